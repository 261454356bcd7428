// Flags of `heddle-proxy intercept`.
#include "source/intercept/options.h"

#include <catch2/catch.hpp>

namespace heddle::intercept {
namespace {

std::string ErrorOf(const std::vector<std::string>& arguments) {
  return std::string(ParseOptions(arguments).status().message());
}

SCENARIO("every flag has a default, and each can be given in both ways") {
  const auto plain = ParseOptions({});
  REQUIRE(plain.ok());
  CHECK(plain->outbound_port == 15001);
  CHECK(plain->inbound_port == 15006);
  CHECK(plain->health_port == 15021);
  CHECK(plain->proxy_uid == 1337);
  CHECK(plain->include_inbound_ports.all);
  CHECK(plain->include_outbound.v6.all);
  CHECK(plain->exclude_uids.empty());
  const auto given = ParseOptions({"--outbound-port=1", "--inbound-port", "2", "--mode", "tproxy",
                                   "--backend=iptables", "--ipv6", "off", "--dry-run"});
  REQUIRE(given.ok());
  CHECK(given->outbound_port == 1);
  CHECK(given->inbound_port == 2);
  CHECK(given->mode == Mode::kTproxy);
  CHECK(given->backend == Backend::kIptables);
  CHECK(given->ipv6 == Ipv6::kOff);
  CHECK(given->dry_run);
  CHECK(ParseOptions({"--help"})->help);
  CHECK(ParseOptions({"--cleanup"})->cleanup);
}

SCENARIO("ranges that overlap or touch are one, networks inside others are left out") {
  const auto options = ParseOptions({"--exclude-uids", "5,0-2,3", "--include-outbound-cidrs",
                                     "10.1.0.0/16,10.0.0.0/8,10.0.0.0/8,192.168.1.7/24,fd00::1"});
  REQUIRE(options.ok());
  CHECK(options->exclude_uids.some == std::vector<Range>{{0, 3}, {5, 5}});
  CHECK(options->include_outbound.v4.some ==
        std::vector<std::string>{"10.0.0.0/8", "192.168.1.0/24"});
  CHECK(options->include_outbound.v6.some == std::vector<std::string>{"fd00::1/128"});
  const auto all = ParseOptions({"--include-outbound-cidrs", "10.0.0.0/8,0.0.0.0/0"});
  REQUIRE(all.ok());
  CHECK(all->include_outbound.v4.all);
  CHECK(all->include_outbound.v6.empty());
}

SCENARIO("what is wrong is named, with what is allowed") {
  struct Case {
    std::vector<std::string> flags;
    std::string error;
  };
  const Case cases[] = {
      {{"--outbound-port", "0"}, "--outbound-port: found \"0\", allowed 1 to 65535"},
      {{"--inbound-port", "-1"}, "--inbound-port: found \"-1\", allowed 1 to 65535"},
      {{"--health-port", "65536"}, "--health-port: found \"65536\", allowed 0 to 65535"},
      {{"--inbound-port", "15001"},
       "--inbound-port: found \"15001\", allowed a port that is not --outbound-port"},
      {{"--health-port", "15006"},
       "--health-port: found \"15006\", allowed a port that is not one of the two others"},
      {{"--proxy-uid", "0"}, "--proxy-uid: found \"0\", allowed 1 to 4294967294"},
      {{"--proxy-uid", "heddle"}, "--proxy-uid: found \"heddle\", allowed 1 to 4294967294"},
      {{"--mode", "dnat"}, "--mode: found \"dnat\", allowed redirect, tproxy"},
      {{"--backend", "nft"}, "--backend: found \"nft\", allowed auto, nftables, iptables"},
      {{"--ipv6", "yes"}, "--ipv6: found \"yes\", allowed auto, on, off"},
      {{"--exclude-inbound-ports", "22,http"},
       "--exclude-inbound-ports: found \"http\", allowed numbers from 1 to 65535 and ranges of "
       "them, low-high"},
      {{"--include-inbound-ports", "90-80"},
       "--include-inbound-ports: found \"90-80\", allowed *, or numbers from 1 to 65535 and ranges "
       "of them, low-high"},
      {{"--exclude-outbound-ports", "1,"},
       "--exclude-outbound-ports: found \"\", allowed numbers from 1 to 65535 and ranges of them, "
       "low-high"},
      {{"--exclude-outbound-ports", "*"},
       "--exclude-outbound-ports: found \"*\", allowed numbers from 1 to 65535 and ranges of them, "
       "low-high"},
      {{"--include-outbound-ports", "80-"},
       "--include-outbound-ports: found \"80-\", allowed *, or numbers from 1 to 65535 and ranges "
       "of them, low-high"},
      {{"--exclude-uids", "4294967295"},
       "--exclude-uids: found \"4294967295\", allowed numbers from 0 to 4294967294 and ranges of "
       "them, low-high"},
      {{"--include-outbound-cidrs", "10.0.0.0/33"},
       "--include-outbound-cidrs: found \"10.0.0.0/33\", allowed *, or networks like 10.0.0.0/8 "
       "and fd00::/8"},
      {{"--exclude-outbound-cidrs", "example.org"},
       "--exclude-outbound-cidrs: found \"example.org\", allowed *, or networks like 10.0.0.0/8 "
       "and fd00::/8"},
      {{"--exclude-interfaces", "eth0,a\" accept"},
       "--exclude-interfaces: found \"a\" accept\", allowed names of interfaces: 1 to 15 letters, "
       "digits and _ - . : @, not - in front"},
      {{"--exclude-interfaces", "-j"},
       "--exclude-interfaces: found \"-j\", allowed names of interfaces: 1 to 15 letters, digits "
       "and _ - . : @, not - in front"},
      {{"--dry-run", "--cleanup"}, "--dry-run: not together with --cleanup"},
      {{"--port", "1"}, "unknown flag \"--port\"; see heddle-proxy intercept --help"},
      {{"--mode"}, "\"--mode\" is no flag, or needs a value; see heddle-proxy intercept --help"},
  };
  for (const Case& one : cases) CHECK(ErrorOf(one.flags) == one.error);
  CHECK(ErrorOf({"--exclude-outbound-ports", std::string(4000, ',')}) ==
        "--exclude-outbound-ports: found 4001 items, allowed at most 1024");
}

SCENARIO("the help names every flag") {
  const std::string help = kHelp;
  for (const char* flag :
       {"--outbound-port", "--inbound-port", "--health-port", "--proxy-uid", "--proxy-gid",
        "--mode", "--include-inbound-ports", "--exclude-inbound-ports", "--include-outbound-ports",
        "--exclude-outbound-ports", "--include-outbound-cidrs", "--exclude-outbound-cidrs",
        "--exclude-interfaces", "--exclude-uids", "--ipv6", "--backend", "--dry-run",
        "--cleanup"}) {
    INFO(flag);
    CHECK(help.find(flag) != std::string::npos);
  }
}

}  // namespace
}  // namespace heddle::intercept
