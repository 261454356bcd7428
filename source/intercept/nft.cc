#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "source/intercept/rules.h"

namespace heddle::intercept {
namespace {

std::string RangeText(const Range& range) {
  return range.low == range.high ? absl::StrCat(range.low)
                                 : absl::StrCat(range.low, "-", range.high);
}

std::string Set(const std::vector<Range>& ranges) {
  return absl::StrCat("{ ",
                      absl::StrJoin(ranges, ", ",
                                    [](std::string* out, const Range& range) {
                                      absl::StrAppend(out, RangeText(range));
                                    }),
                      " }");
}

// `"eth1", "eth2"`: interfaces are quoted, or some names would be words of the language.
std::string Set(const std::vector<std::string>& names, absl::string_view quote) {
  return absl::StrCat("{ ",
                      absl::StrJoin(names, ", ",
                                    [quote](std::string* out, const std::string& name) {
                                      absl::StrAppend(out, quote, name, quote);
                                    }),
                      " }");
}

class Script {
 public:
  Script(const Options& options, bool ipv6) : options_(options), ipv6_(ipv6) {}

  std::string Text() {
    absl::StrAppend(&out_, "add table inet ", kTable, "\ndelete table inet ", kTable,
                    "\ntable inet ", kTable, " {\n");
    Inbound();
    Outbound();
    const bool tproxy = options_.mode == Mode::kTproxy;
    if (tproxy) Tproxy();
    Base("output", "nat", -100, {tcp(), "jump outbound"});
    Base("prerouting", tproxy ? "filter" : "nat", tproxy ? -150 : -100,
         {tproxy ? "iifname != \"lo\"" : "", tcp(),
          tproxy ? "jump inbound_tproxy" : "jump inbound"});
    absl::StrAppend(&out_, "}\n");
    return std::move(out_);
  }

 private:
  using Words = std::vector<std::string>;

  std::string tcp() const {
    return absl::StrCat(ipv6_ ? "" : "meta nfproto ipv4 ", "meta l4proto tcp");
  }

  void Rule(const Words& words) {
    absl::StrAppend(&out_, "\t\t");
    bool first = true;
    for (const std::string& word : words) {
      if (word.empty()) continue;
      absl::StrAppend(&out_, first ? "" : " ", word);
      first = false;
    }
    absl::StrAppend(&out_, "\n");
  }
  void Begin(absl::string_view chain) { absl::StrAppend(&out_, "\tchain ", chain, " {\n"); }
  void End() { absl::StrAppend(&out_, "\t}\n"); }

  void Base(absl::string_view chain, absl::string_view type, int priority, const Words& rule) {
    Begin(chain);
    absl::StrAppend(&out_, "\t\ttype ", type, " hook ", chain, " priority ", priority,
                    "; policy accept;\n");
    Rule(rule);
    End();
  }

  void LeaveInboundAlone() {
    if (!options_.exclude_interfaces.empty())
      Rule({"iifname", Set(options_.exclude_interfaces, "\""), "return"});
    if (options_.health_port != 0)
      Rule({"tcp dport", absl::StrCat(options_.health_port), "return"});
    if (!options_.exclude_inbound_ports.empty())
      Rule({"tcp dport", Set(options_.exclude_inbound_ports.some), "return"});
  }

  static std::string Ports(const Ranges& ports) {
    return ports.all ? "meta l4proto tcp" : absl::StrCat("tcp dport ", Set(ports.some));
  }

  void Inbound() {
    Begin("inbound");
    LeaveInboundAlone();
    if (!options_.include_inbound_ports.empty()) {
      Rule({Ports(options_.include_inbound_ports), "redirect to",
            absl::StrCat(":", options_.inbound_port)});
    }
    End();
  }

  // Only packets of the direction that a connection was opened in: answers to connections that this
  // pod opened have a socket of their own.
  void Tproxy() {
    Begin("inbound_tproxy");
    LeaveInboundAlone();
    for (const bool v6 : {false, true}) {
      if ((v6 && !ipv6_) || options_.include_inbound_ports.empty()) continue;
      Rule({v6 ? "meta nfproto ipv6" : "meta nfproto ipv4", Ports(options_.include_inbound_ports),
            "ct direction original", v6 ? "tproxy ip6 to" : "tproxy ip to",
            absl::StrCat(":", options_.inbound_port), "accept"});
    }
    End();
  }

  void Own(const std::string& owner) {
    Rule({owner, "oifname \"lo\" ip daddr != 127.0.0.0/8 jump inbound"});
    if (ipv6_) Rule({owner, "oifname \"lo\" ip6 daddr != ::1 jump inbound"});
    Rule({owner, "return"});
  }

  void Outbound() {
    Begin("outbound");
    Own(absl::StrCat("meta skuid ", options_.proxy_uid));
    if (options_.proxy_gid != 0) Own(absl::StrCat("meta skgid ", options_.proxy_gid));
    Rule({"oifname \"lo\" return"});
    Rule({"ip daddr 127.0.0.0/8 return"});
    if (ipv6_) Rule({"ip6 daddr ::1 return"});
    if (!options_.exclude_uids.empty())
      Rule({"meta skuid", Set(options_.exclude_uids.some), "return"});
    if (!options_.exclude_interfaces.empty())
      Rule({"oifname", Set(options_.exclude_interfaces, "\""), "return"});
    if (!options_.exclude_outbound_ports.empty())
      Rule({"tcp dport", Set(options_.exclude_outbound_ports.some), "return"});
    for (const bool v6 : {false, true}) {
      if (v6 && !ipv6_) continue;
      const Networks::Family& networks = options_.exclude_outbound.of(v6);
      if (!networks.empty()) Rule({To(networks, v6), "return"});
    }
    Redirect();
    End();
  }

  static std::string To(const Networks::Family& networks, bool v6) {
    if (networks.all) return v6 ? "meta nfproto ipv6" : "meta nfproto ipv4";
    return absl::StrCat(v6 ? "ip6 daddr " : "ip daddr ", Set(networks.some, ""));
  }

  void Redirect() {
    if (options_.include_outbound_ports.empty()) return;
    const std::string ports = Ports(options_.include_outbound_ports);
    const std::string to = absl::StrCat("redirect to :", options_.outbound_port);
    const Networks& included = options_.include_outbound;
    if (included.v4.all && (included.v6.all || !ipv6_)) return Rule({ports, to});
    for (const bool v6 : {false, true}) {
      if ((v6 && !ipv6_) || included.of(v6).empty()) continue;
      Rule({To(included.of(v6), v6), ports, to});
    }
  }

  const Options& options_;
  const bool ipv6_;
  std::string out_;
};

}  // namespace

std::string NftScript(const Options& options, bool ipv6) { return Script(options, ipv6).Text(); }

std::string NftCleanup() {
  // Adding first makes it no error that there is none.
  return absl::StrCat("add table inet ", kTable, "\ndelete table inet ", kTable, "\n");
}

}  // namespace heddle::intercept
