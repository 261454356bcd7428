// Applying the rules, with programs that are played by the test.
#include "source/intercept/command.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>

#include "absl/strings/str_join.h"

namespace heddle::intercept {
namespace {

// Programs by their first words; what is not there does not exist.
struct Programs {
  std::map<std::string, Ended> known;
  std::vector<std::string> ran;
  bool ipv6 = true;

  System system() {
    return {.run = [this](const std::vector<std::string>& words,
                          const std::string&) -> absl::StatusOr<Ended> {
              ran.push_back(absl::StrJoin(words, " "));
              const auto it = known.find(words[0]);
              if (it == known.end()) return absl::NotFoundError("there is no program " + words[0]);
              return it->second;
            },
            .has_ipv6 = [this] { return ipv6; }};
  }
};

const std::map<std::string, Ended> kIptables = {{"iptables-save", {}},
                                                {"ip6tables-save", {}},
                                                {"iptables-restore", {}},
                                                {"ip6tables-restore", {}}};

SCENARIO("auto takes nft when it works, else iptables, else says what is missing") {
  Programs both{.known = kIptables, .ran = {}};
  both.known["nft"] = {};
  CHECK(*Execute(Options(), both.system()) ==
        "intercepting by nftables, IPv4 and IPv6: outbound to 15001, inbound to 15006\n");
  CHECK(both.ran == std::vector<std::string>{"nft list tables", "nft -f -"});
  Programs old{.known = kIptables, .ran = {}, .ipv6 = false};
  old.known["nft"] = {.code = 1, .out = "", .error = "no such protocol"};
  CHECK(*Execute(Options(), old.system()) ==
        "intercepting by iptables, IPv4 only: outbound to 15001, inbound to 15006\n");
  CHECK(std::count(old.ran.begin(), old.ran.end(), "iptables-restore --wait 10 --noflush") == 1);
  CHECK(std::count(old.ran.begin(), old.ran.end(), "ip6tables-restore --wait 10 --noflush") == 0);
  Programs none;
  CHECK(Execute(Options(), none.system()).status().message() ==
        "--backend auto: neither nft nor iptables works here; both need NET_ADMIN and a kernel "
        "with nf_tables or ip_tables");
}

SCENARIO("when the second family fails, the first is taken back") {
  Programs broken{.known = kIptables, .ran = {}};
  broken.known["iptables-save"].out =
      "*nat\n:HEDDLE_OUTBOUND - [0:0]\n-A OUTPUT -p tcp -j HEDDLE_OUTBOUND\nCOMMIT\n";
  broken.known["ip6tables-restore"] = {.code = 2, .out = "", .error = "line 1\nline 2\n"};
  Options options;
  options.backend = Backend::kIptables;
  CHECK(Execute(options, broken.system()).status().message() ==
        "ip6tables-restore ended with 2: line 1; line 2");
  // Once to set, once to take back.
  CHECK(std::count(broken.ran.begin(), broken.ran.end(), "iptables-restore --wait 10 --noflush") ==
        2);
}

SCENARIO("a dry run changes nothing and needs no program when the backend is named") {
  Programs none;
  Options options;
  options.dry_run = true;
  options.backend = Backend::kIptables;
  const auto printed = Execute(options, none.system());
  REQUIRE(printed.ok());
  CHECK(printed->find("# iptables-restore\n*nat\n") == 0);
  CHECK(printed->find("# ip6tables-restore\n*nat\n") != std::string::npos);
  CHECK(none.ran.empty());
}

SCENARIO("cleaning up leaves out a backend that is not there, unless it is named") {
  Programs nft{.known = {{"nft", {}}}, .ran = {}};
  Options options;
  options.cleanup = true;
  CHECK(Execute(options, nft.system()).ok());
  options.backend = Backend::kIptables;
  CHECK(Execute(options, nft.system()).status().message() == "iptables does not work here");
}

SCENARIO("a program gets its input whole, and what it said comes back") {
  const std::string long_text(300000, 'x');
  const auto cat = RunProgram({"cat"}, long_text);
  REQUIRE(cat.ok());
  CHECK(cat->code == 0);
  CHECK(cat->out == long_text);
  const auto wrong = RunProgram({"ls", "/there/is/no/such/folder"}, "");
  REQUIRE(wrong.ok());
  CHECK(wrong->code == 2);
  CHECK(wrong->error.find("/there/is/no/such/folder") != std::string::npos);
  CHECK(absl::IsNotFound(RunProgram({"heddle-there-is-no-such-program"}, "").status()));
}

}  // namespace
}  // namespace heddle::intercept
