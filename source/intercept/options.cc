#include "source/intercept/options.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "source/base/flags.h"
#include "source/base/status.h"
#include "source/net/address.h"

namespace heddle::intercept {

const char kHelp[] =
    R"(heddle-proxy intercept: sends this network namespace's TCP through the sidecar, by nftables or iptables.

Usage:
  heddle-proxy intercept [flags]            needs NET_ADMIN (and NET_RAW with iptables); run it again at will
  heddle-proxy intercept --dry-run [flags]  prints the rules and changes nothing
  heddle-proxy intercept --cleanup          removes every rule that this command makes

A connection is redirected when every include list holds it and no exclude list does. Lists are separated by commas;
ports and users may be ranges (8000-8010); "*" is everything and "" nothing. UDP is left alone, and so is what the
application sends to loopback or to this pod's own address.

Where to:
  --outbound-port N               the sidecar's port for what the application sends; default 15001
  --inbound-port N                the sidecar's port for what arrives; default 15006
  --mode redirect|tproxy          how inbound connections arrive; default redirect. tproxy leaves their addresses as they
                                  are (no NAT) and needs a sidecar that runs with --intercept=tproxy and NET_ADMIN
The sidecar itself:
  --proxy-uid N                   user that the sidecar runs as; default 1337. Its own connections are left alone, except
                                  those to this very pod, which enter as inbound
  --proxy-gid N                   its group, for a sidecar that must run as root (tproxy); default none
  --health-port N                 its health port, never redirected; default 15021; 0: none
What:
  --include-inbound-ports LIST    default *
  --exclude-inbound-ports LIST    default none
  --include-outbound-ports LIST   default *
  --exclude-outbound-ports LIST   default none
  --include-outbound-cidrs LIST   networks, 10.0.0.0/8,fd00::/8; default *
  --exclude-outbound-cidrs LIST   default none
  --exclude-interfaces LIST       neither what arrives there nor what leaves there; default none
  --exclude-uids LIST             users whose connections are left alone; default none
How:
  --ipv6 auto|on|off              default auto: when this namespace has IPv6. off leaves IPv6 alone: it passes by the mesh
  --backend auto|nftables|iptables  default auto: nftables when nft works here, else iptables
  --dry-run, --cleanup, --help

Exit codes: 0 done; 1 for a wrong flag or when the rules cannot be set, with one line that says why. Nothing is left
half done: after a failure no rule of this command is there.
)";

namespace {

constexpr uint32_t kMaxPort = 65535;
constexpr uint32_t kMaxUid = 4294967294;  // one less than what stands for nobody
// Bounds on what one flag may hold.
constexpr size_t kMaxItems = 1024;

using base::ParseNumber;
using base::WrongFlag;

const base::FlagSyntax& Syntax() {
  static const auto& syntax = *new base::FlagSyntax{.program = "heddle-proxy intercept",
                                                    .switches = {"--dry-run", "--cleanup"},
                                                    .ends = {"--help", "-h"}};
  return syntax;
}

absl::Status SetPort(absl::string_view flag, absl::string_view value, uint32_t low, uint16_t* out) {
  uint32_t port = 0;
  HEDDLE_RETURN_IF_ERROR(base::SetNumber(flag, value, low, kMaxPort, &port));
  *out = static_cast<uint16_t>(port);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<absl::string_view>> Items(absl::string_view flag,
                                                     absl::string_view value) {
  if (value.empty()) return std::vector<absl::string_view>();
  std::vector<absl::string_view> out = absl::StrSplit(value, ',');
  if (out.size() > kMaxItems) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, ": found ", out.size(), " items, allowed at most ", kMaxItems));
  }
  return out;
}

void Merge(std::vector<Range>* ranges) {
  std::sort(ranges->begin(), ranges->end(),
            [](const Range& a, const Range& b) { return a.low < b.low; });
  std::vector<Range> out;
  for (const Range& range : *ranges) {
    if (!out.empty() && range.low <= out.back().high + 1) {
      out.back().high = std::max(out.back().high, range.high);
    } else {
      out.push_back(range);
    }
  }
  *ranges = std::move(out);
}

struct Bounds {
  uint32_t low, high;
  bool star;
};

absl::Status SetRanges(absl::string_view flag, absl::string_view value, const Bounds& bounds,
                       Ranges* out) {
  *out = Ranges();
  if (bounds.star && value == "*") {
    out->all = true;
    return absl::OkStatus();
  }
  HEDDLE_ASSIGN_OR_RETURN(const std::vector<absl::string_view> items, Items(flag, value));
  for (const absl::string_view item : items) {
    const std::pair<absl::string_view, absl::string_view> ends =
        absl::StrSplit(item, absl::MaxSplits('-', 1));
    Range range;
    const bool one = !absl::StrContains(item, '-');
    if (!ParseNumber(ends.first, bounds.low, bounds.high, &range.low) ||
        !ParseNumber(one ? ends.first : ends.second, bounds.low, bounds.high, &range.high) ||
        range.low > range.high) {
      return WrongFlag(flag, item,
                       absl::StrCat(bounds.star ? "*, or " : "", "numbers from ", bounds.low,
                                    " to ", bounds.high, " and ranges of them, low-high"));
    }
    out->some.push_back(range);
  }
  Merge(&out->some);
  return absl::OkStatus();
}

struct Network {
  net::Address start;
  net::Cidr range;
};

// Keeps those that no other holds, in the order they were given.
Networks::Family Outermost(const std::vector<Network>& networks) {
  Networks::Family out;
  for (size_t i = 0; i < networks.size(); ++i) {
    const Network& one = networks[i];
    if (one.range.prefix_bits() == 0) return {.all = true, .some = {}};
    bool inside = false;
    for (size_t j = 0; j < networks.size() && !inside; ++j) {
      const Network& other = networks[j];
      if (i == j || !other.range.Contains(one.start)) continue;
      inside = other.range.prefix_bits() < one.range.prefix_bits() ||
               (other.range == one.range && j < i);
    }
    if (!inside) out.some.push_back(one.range.ToString());
  }
  return out;
}

absl::Status SetNetworks(absl::string_view flag, absl::string_view value, Networks* out) {
  *out = Networks();
  if (value == "*") {
    out->v4.all = out->v6.all = true;
    return absl::OkStatus();
  }
  HEDDLE_ASSIGN_OR_RETURN(const std::vector<absl::string_view> items, Items(flag, value));
  std::vector<Network> v4, v6;
  for (const absl::string_view item : items) {
    const auto range = net::Cidr::Parse(item);
    const auto start = net::Address::FromIp(item.substr(0, item.find('/')), 0);
    if (!range.ok() || !start.ok()) {
      return WrongFlag(flag, item, "*, or networks like 10.0.0.0/8 and fd00::/8");
    }
    (start->family() == AF_INET6 ? v6 : v4).push_back({*start, *range});
  }
  out->v4 = Outermost(v4);
  out->v6 = Outermost(v6);
  return absl::OkStatus();
}

absl::Status SetInterfaces(absl::string_view flag, absl::string_view value,
                           std::vector<std::string>* out) {
  out->clear();
  HEDDLE_ASSIGN_OR_RETURN(const std::vector<absl::string_view> items, Items(flag, value));
  for (const absl::string_view item : items) {
    const bool plain = std::all_of(item.begin(), item.end(), [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
             c == '_' || c == '-' || c == '.' || c == ':' || c == '@';
    });
    if (item.empty() || item.size() > 15 || !plain || item.front() == '-') {
      return WrongFlag(
          flag, item, "names of interfaces: 1 to 15 letters, digits and _ - . : @, not - in front");
    }
    if (std::find(out->begin(), out->end(), item) == out->end()) out->emplace_back(item);
  }
  return absl::OkStatus();
}

template <typename T>
struct Choice {
  absl::string_view name;
  T value;
};

template <typename T, size_t N>
absl::Status Choose(absl::string_view flag, absl::string_view value, const Choice<T> (&choices)[N],
                    T* out) {
  std::string allowed;
  for (const Choice<T>& choice : choices) {
    if (choice.name == value) {
      *out = choice.value;
      return absl::OkStatus();
    }
    absl::StrAppend(&allowed, allowed.empty() ? "" : ", ", choice.name);
  }
  return WrongFlag(flag, value, allowed);
}

constexpr Choice<Mode> kModes[] = {{"redirect", Mode::kRedirect}, {"tproxy", Mode::kTproxy}};
constexpr Choice<Backend> kBackends[] = {
    {"auto", Backend::kAuto}, {"nftables", Backend::kNftables}, {"iptables", Backend::kIptables}};
constexpr Choice<Ipv6> kIpv6[] = {{"auto", Ipv6::kAuto}, {"on", Ipv6::kOn}, {"off", Ipv6::kOff}};

struct Flag {
  absl::string_view name;
  absl::Status (*set)(absl::string_view flag, absl::string_view value, Options* out);
};

constexpr Bounds kPorts = {.low = 1, .high = kMaxPort, .star = true};
constexpr Bounds kSomePorts = {.low = 1, .high = kMaxPort, .star = false};
constexpr Bounds kUids = {.low = 0, .high = kMaxUid, .star = false};

// Root cannot be the sidecar: every program that runs as root would pass by it.
absl::Status SetOwner(absl::string_view flag, absl::string_view value, uint32_t* out) {
  return base::SetNumber(flag, value, 1, kMaxUid, out);
}

constexpr Flag kFlags[] = {
    {"--outbound-port", [](absl::string_view f, absl::string_view v,
                           Options* o) { return SetPort(f, v, 1, &o->outbound_port); }},
    {"--inbound-port", [](absl::string_view f, absl::string_view v,
                          Options* o) { return SetPort(f, v, 1, &o->inbound_port); }},
    {"--health-port", [](absl::string_view f, absl::string_view v,
                         Options* o) { return SetPort(f, v, 0, &o->health_port); }},
    {"--proxy-uid", [](absl::string_view f, absl::string_view v,
                       Options* o) { return SetOwner(f, v, &o->proxy_uid); }},
    {"--proxy-gid", [](absl::string_view f, absl::string_view v,
                       Options* o) { return SetOwner(f, v, &o->proxy_gid); }},
    {"--mode", [](absl::string_view f, absl::string_view v,
                  Options* o) { return Choose(f, v, kModes, &o->mode); }},
    {"--include-inbound-ports",
     [](absl::string_view f, absl::string_view v, Options* o) {
       return SetRanges(f, v, kPorts, &o->include_inbound_ports);
     }},
    {"--exclude-inbound-ports",
     [](absl::string_view f, absl::string_view v, Options* o) {
       return SetRanges(f, v, kSomePorts, &o->exclude_inbound_ports);
     }},
    {"--include-outbound-ports",
     [](absl::string_view f, absl::string_view v, Options* o) {
       return SetRanges(f, v, kPorts, &o->include_outbound_ports);
     }},
    {"--exclude-outbound-ports",
     [](absl::string_view f, absl::string_view v, Options* o) {
       return SetRanges(f, v, kSomePorts, &o->exclude_outbound_ports);
     }},
    {"--include-outbound-cidrs",
     [](absl::string_view f, absl::string_view v, Options* o) {
       return SetNetworks(f, v, &o->include_outbound);
     }},
    {"--exclude-outbound-cidrs",
     [](absl::string_view f, absl::string_view v, Options* o) {
       return SetNetworks(f, v, &o->exclude_outbound);
     }},
    {"--exclude-interfaces",
     [](absl::string_view f, absl::string_view v, Options* o) {
       return SetInterfaces(f, v, &o->exclude_interfaces);
     }},
    {"--exclude-uids", [](absl::string_view f, absl::string_view v,
                          Options* o) { return SetRanges(f, v, kUids, &o->exclude_uids); }},
    {"--ipv6", [](absl::string_view f, absl::string_view v,
                  Options* o) { return Choose(f, v, kIpv6, &o->ipv6); }},
    {"--backend", [](absl::string_view f, absl::string_view v,
                     Options* o) { return Choose(f, v, kBackends, &o->backend); }},
};

absl::Status SetFlag(const std::string& flag, const std::string& value, Options* out) {
  for (const Flag& known : kFlags) {
    if (known.name == flag) return known.set(flag, value, out);
  }
  return base::UnknownFlag(flag, Syntax());
}

absl::Status Check(const Options& options) {
  const auto same = [](absl::string_view flag, uint16_t port, absl::string_view other) {
    return WrongFlag(flag, absl::StrCat(port), absl::StrCat("a port that is not ", other));
  };
  if (options.inbound_port == options.outbound_port) {
    return same("--inbound-port", options.inbound_port, "--outbound-port");
  }
  if (options.health_port == options.inbound_port || options.health_port == options.outbound_port) {
    return same("--health-port", options.health_port, "one of the two others");
  }
  if (options.dry_run && options.cleanup) {
    return absl::InvalidArgumentError("--dry-run: not together with --cleanup");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Options> ParseOptions(const std::vector<std::string>& arguments) {
  Options out;
  HEDDLE_ASSIGN_OR_RETURN(const std::vector<base::Flag> flags,
                          base::SplitFlags(arguments, Syntax()));
  for (const base::Flag& flag : flags) {
    if (flag.value) {
      HEDDLE_RETURN_IF_ERROR(SetFlag(flag.name, *flag.value, &out));
    } else if (flag.name == "--dry-run") {
      out.dry_run = true;
    } else if (flag.name == "--cleanup") {
      out.cleanup = true;
    } else {
      out.help = true;
      return out;
    }
  }
  HEDDLE_RETURN_IF_ERROR(Check(out));
  return out;
}

}  // namespace heddle::intercept
