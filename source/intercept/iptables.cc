#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "source/intercept/rules.h"

namespace heddle::intercept {
namespace {

// What one multiport match holds; a range counts as two.
constexpr size_t kMultiport = 15;
constexpr absl::string_view kTables[] = {"nat", "mangle"};

// What an earlier run left in one table.
struct Existing {
  std::vector<std::string> chains;  // ours
  std::vector<std::string> jumps;   // "OUTPUT -p tcp -j HEDDLE_OUTBOUND"
};

Existing Find(absl::string_view saved, absl::string_view table) {
  Existing out;
  bool here = false;
  for (absl::string_view line : absl::StrSplit(saved, '\n')) {
    if (absl::ConsumePrefix(&line, "*")) {
      here = line == table;
    } else if (!here) {
      continue;
    } else if (absl::ConsumePrefix(&line, ":")) {
      const absl::string_view name = line.substr(0, line.find(' '));
      if (absl::StartsWith(name, kChainPrefix)) out.chains.emplace_back(name);
    } else if (absl::ConsumePrefix(&line, "-A ") && !absl::StartsWith(line, kChainPrefix) &&
               absl::StrContains(line, absl::StrCat("-j ", kChainPrefix))) {
      out.jumps.emplace_back(line);
    }
  }
  return out;
}

// Matches for ports, each at most kMultiport long; one that says TCP only when all are meant.
std::vector<std::string> Ports(const Ranges& ports) {
  if (ports.all) return {" -p tcp"};
  std::vector<std::string> out, items;
  size_t used = 0;
  const auto flush = [&] {
    if (!items.empty())
      out.push_back(absl::StrCat(" -p tcp -m multiport --dports ", absl::StrJoin(items, ",")));
    items.clear();
    used = 0;
  };
  for (const Range& range : ports.some) {
    const size_t size = range.low == range.high ? 1 : 2;
    if (used + size > kMultiport) flush();
    used += size;
    items.push_back(size == 1 ? absl::StrCat(range.low) : absl::StrCat(range.low, ":", range.high));
  }
  flush();
  return out;
}

std::vector<std::string> Destinations(const Networks::Family& networks) {
  if (networks.all) return {""};
  std::vector<std::string> out;
  out.reserve(networks.some.size());
  for (const std::string& network : networks.some) out.push_back(absl::StrCat(" -d ", network));
  return out;
}

// Ranges and the single ones, as the owner match takes them.
std::vector<std::string> Users(const Ranges& users) {
  std::vector<std::string> out;
  out.reserve(users.some.size());
  for (const Range& range : users.some) {
    out.push_back(
        absl::StrCat(" -m owner --uid-owner ", range.low,
                     range.low == range.high ? std::string() : absl::StrCat("-", range.high)));
  }
  return out;
}

class Table {
 public:
  Table(absl::string_view name, Existing existing) : name_(name), existing_(std::move(existing)) {}

  void Jump(absl::string_view from, absl::string_view to) {
    jumps_.push_back(absl::StrCat("-A ", from, " -p tcp -j ", kChainPrefix, to));
  }
  // `match` begins with a space or is empty.
  void Rule(absl::string_view chain, absl::string_view match, absl::string_view target) {
    const std::string full = absl::StrCat(kChainPrefix, chain);
    if (std::find(chains_.begin(), chains_.end(), full) == chains_.end()) chains_.push_back(full);
    rules_.push_back(absl::StrCat("-A ", full, match, " -j ", target));
  }

  std::string Text() const {
    if (chains_.empty() && existing_.chains.empty() && existing_.jumps.empty()) return "";
    std::string out = absl::StrCat("*", name_, "\n");
    // A chain that is declared is made, or emptied when it is there: so also those that go.
    std::vector<std::string> gone;
    for (const std::string& chain : existing_.chains) {
      if (std::find(chains_.begin(), chains_.end(), chain) == chains_.end()) gone.push_back(chain);
    }
    for (const std::string& chain : chains_) absl::StrAppend(&out, ":", chain, " - [0:0]\n");
    for (const std::string& chain : gone) absl::StrAppend(&out, ":", chain, " - [0:0]\n");
    for (const std::string& jump : existing_.jumps) absl::StrAppend(&out, "-D ", jump, "\n");
    for (const std::string& chain : gone) absl::StrAppend(&out, "-X ", chain, "\n");
    for (const std::string& jump : jumps_) absl::StrAppend(&out, jump, "\n");
    for (const std::string& rule : rules_) absl::StrAppend(&out, rule, "\n");
    return absl::StrCat(out, "COMMIT\n");
  }

 private:
  const absl::string_view name_;
  const Existing existing_;
  std::vector<std::string> chains_, jumps_, rules_;
};

void LeaveInboundAlone(const Options& options, absl::string_view chain, Table* out) {
  for (const std::string& interface : options.exclude_interfaces)
    out->Rule(chain, absl::StrCat(" -i ", interface), "RETURN");
  if (options.health_port != 0)
    out->Rule(chain, absl::StrCat(" -p tcp --dport ", options.health_port), "RETURN");
  for (const std::string& ports : Ports(options.exclude_inbound_ports))
    out->Rule(chain, ports, "RETURN");
}

void Own(const std::string& owner, absl::string_view loopback, Table* out) {
  out->Rule("OUTBOUND", absl::StrCat(" -o lo ! -d ", loopback, owner),
            absl::StrCat(kChainPrefix, "INBOUND"));
  out->Rule("OUTBOUND", owner, "RETURN");
}

void Outbound(const Options& options, bool ipv6, Table* out) {
  const absl::string_view loopback = ipv6 ? "::1/128" : "127.0.0.0/8";
  constexpr absl::string_view kChain = "OUTBOUND";
  Own(absl::StrCat(" -m owner --uid-owner ", options.proxy_uid), loopback, out);
  if (options.proxy_gid != 0)
    Own(absl::StrCat(" -m owner --gid-owner ", options.proxy_gid), loopback, out);
  out->Rule(kChain, " -o lo", "RETURN");
  out->Rule(kChain, absl::StrCat(" -d ", loopback), "RETURN");
  for (const std::string& users : Users(options.exclude_uids)) out->Rule(kChain, users, "RETURN");
  for (const std::string& interface : options.exclude_interfaces)
    out->Rule(kChain, absl::StrCat(" -o ", interface), "RETURN");
  for (const std::string& ports : Ports(options.exclude_outbound_ports))
    out->Rule(kChain, ports, "RETURN");
  for (const std::string& to : Destinations(options.exclude_outbound.of(ipv6)))
    out->Rule(kChain, to, "RETURN");
  for (const std::string& to : Destinations(options.include_outbound.of(ipv6))) {
    for (const std::string& ports : Ports(options.include_outbound_ports)) {
      out->Rule(kChain, absl::StrCat(to, ports),
                absl::StrCat("REDIRECT --to-ports ", options.outbound_port));
    }
  }
}

}  // namespace

std::string IptablesRestore(const Options& options, bool ipv6, absl::string_view existing) {
  const bool tproxy = options.mode == Mode::kTproxy;
  Table nat(kTables[0], Find(existing, kTables[0]));
  Table mangle(kTables[1], Find(existing, kTables[1]));
  if (!tproxy) nat.Jump("PREROUTING", "INBOUND");
  nat.Jump("OUTPUT", "OUTBOUND");
  LeaveInboundAlone(options, "INBOUND", &nat);
  for (const std::string& ports : Ports(options.include_inbound_ports))
    nat.Rule("INBOUND", ports, absl::StrCat("REDIRECT --to-ports ", options.inbound_port));
  // The chain must be there to be jumped to, even with nothing to do in it.
  if (options.include_inbound_ports.empty()) nat.Rule("INBOUND", "", "RETURN");
  Outbound(options, ipv6, &nat);
  if (tproxy) {
    mangle.Jump("PREROUTING", "TPROXY");
    mangle.Rule("TPROXY", " -i lo", "RETURN");
    LeaveInboundAlone(options, "TPROXY", &mangle);
    for (const std::string& ports : Ports(options.include_inbound_ports)) {
      mangle.Rule("TPROXY", absl::StrCat(ports, " -m conntrack --ctdir ORIGINAL"),
                  absl::StrCat("TPROXY --on-port ", options.inbound_port));
    }
  }
  return absl::StrCat(nat.Text(), mangle.Text());
}

std::string IptablesCleanup(absl::string_view existing) {
  std::string out;
  for (const absl::string_view table : kTables)
    absl::StrAppend(&out, Table(table, Find(existing, table)).Text());
  return out;
}

}  // namespace heddle::intercept
