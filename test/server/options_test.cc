// heddle-proxy's command line.
#include "source/server/options.h"

#include <catch2/catch.hpp>

namespace heddle::server {
namespace {

std::string ErrorOf(const std::vector<std::string>& arguments) {
  return std::string(ParseOptions(arguments).status().message());
}

const std::vector<std::string> kControl = {"--control",         "c:15010", "--namespace",  "n",
                                           "--service-account", "s",       "--workload",   "w",
                                           "--address",         "1.2.3.4", "--control-ca", "f"};

std::vector<std::string> With(std::vector<std::string> more) {
  std::vector<std::string> out = kControl;
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

SCENARIO("what can be asked for") {
  const auto file = ParseOptions(
      {"-c", "envoy.yaml", "--concurrency=4", "--log-level", "debug", "--mode", "validate"});
  REQUIRE(file.ok());
  CHECK(file->config_path == "envoy.yaml");
  CHECK(file->concurrency == 4);
  CHECK(file->log_level == base::LogLevel::kDebug);
  CHECK(file->validate);
  const auto control = ParseOptions(With({"--intercept", "--drain-time-s", "5"}));
  REQUIRE(control.ok());
  CHECK(control->intercept);
  CHECK(control->drain_time == absl::Seconds(5));
  CHECK(control->concurrency == 1);
  CHECK_FALSE(control->tproxy);
  CHECK(ParseOptions(With({"--intercept=redirect"}))->intercept);
  CHECK(ParseOptions(With({"--intercept=tproxy"}))->tproxy);
  CHECK(ParseOptions(With({"--address", "fd00::7"}))->address == "fd00::7");
  CHECK(ParseOptions(With({"--health-address", "0.0.0.0:15021"}))->health_address ==
        "0.0.0.0:15021");
  CHECK(ParseOptions({"--help"})->help);
  CHECK(ParseOptions({"--version"})->version);
}

SCENARIO("what is wrong is named, with what is allowed") {
  CHECK(ErrorOf({}) == "exactly one of -c FILE and --control HOST:PORT is required");
  CHECK(ErrorOf({"-c", "a", "--control", "b:1"}) ==
        "exactly one of -c FILE and --control HOST:PORT is required");
  CHECK(ErrorOf({"-c", "a", "--concurrency", "0"}) ==
        "--concurrency: found \"0\", allowed 1 to 128");
  CHECK(ErrorOf({"-c", "a", "--log-level", "loud"}) ==
        "--log-level: found \"loud\", allowed trace, debug, info, warning, error, off");
  CHECK(ErrorOf({"-c", "a", "--mode", "x"}) == "--mode: found \"x\", allowed serve, validate");
  CHECK(ErrorOf({"-c", "a", "--frobnicate", "1"}) ==
        "unknown flag \"--frobnicate\"; see heddle-proxy --help");
  CHECK(ErrorOf({"-c"}) == "\"-c\" is no flag, or needs a value; see heddle-proxy --help");
  CHECK(ErrorOf({"--control", "c:15010"}) == "--namespace is required with --control");
  CHECK(ErrorOf(With({"--address", "host"})) == "--address: found \"host\", allowed an IP address");
  CHECK(ErrorOf(With({"--control", "c"})) == "--control: found \"c\", allowed HOST:PORT");
  CHECK(ErrorOf({"-c", "a", "--admin-address", "0.0.0.0:1"}) ==
        "--admin-address: found \"0.0.0.0:1\", allowed a loopback address: the admin page has no "
        "password");
  CHECK(ErrorOf(With({"--intercept=yes"})) ==
        "--intercept: found \"yes\", allowed redirect, tproxy");
  CHECK(ErrorOf(With({"--address", "$(POD_IP)"})) ==
        "--address: found \"$(POD_IP)\", allowed an IP address");
  CHECK(ErrorOf(With({"--namespace", ""})) == "--namespace: found \"\", allowed a value");
  CHECK(ErrorOf(With({"--health-address", "15021"})) ==
        "--health-address: found \"15021\", allowed IP:PORT");
  CHECK(ErrorOf({"-c", "a", "--drain-time-s", "x"}) ==
        "--drain-time-s: found \"x\", allowed 0 to 86400");
}

}  // namespace
}  // namespace heddle::server
