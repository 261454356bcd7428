// What `heddle-proxy intercept` is asked for: which TCP connections of this network namespace go
// through the sidecar. A connection is redirected when every include list holds it and no exclude
// list does.
//
//   HEDDLE_ASSIGN_OR_RETURN(const Options options, ParseOptions({"--inbound-port", "15006"}));
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace heddle::intercept {

struct Range {  // both ends are in it
  uint32_t low = 0, high = 0;
  friend bool operator==(const Range&, const Range&) = default;
};

// Ports or users. Sorted, apart from each other: no two overlap or touch.
struct Ranges {
  bool all = false;  // "*"; then `some` is empty
  std::vector<Range> some;
  bool empty() const { return !all && some.empty(); }
};

// Address ranges of both families, "10.0.0.0/8", none inside another. A /0 sets `all` of its
// family.
struct Networks {
  struct Family {
    bool all = false;
    std::vector<std::string> some;
    bool empty() const { return !all && some.empty(); }
  };
  Family v4, v6;
  const Family& of(bool ipv6) const { return ipv6 ? v6 : v4; }
};

enum class Mode : uint8_t { kRedirect, kTproxy };
enum class Backend : uint8_t { kAuto, kIptables, kNftables };
enum class Ipv6 : uint8_t { kAuto, kOn, kOff };

struct Options {
  uint16_t outbound_port = 15001, inbound_port = 15006;
  uint16_t health_port = 15021;  // never redirected; 0: there is none
  uint32_t proxy_uid = 1337;
  uint32_t proxy_gid = 0;  // 0: the group says nothing
  Mode mode = Mode::kRedirect;
  Ranges include_inbound_ports{.all = true, .some = {}}, exclude_inbound_ports;
  Ranges include_outbound_ports{.all = true, .some = {}}, exclude_outbound_ports;
  Networks include_outbound{.v4 = {.all = true, .some = {}}, .v6 = {.all = true, .some = {}}};
  Networks exclude_outbound;
  std::vector<std::string> exclude_interfaces;
  Ranges exclude_uids;
  Ipv6 ipv6 = Ipv6::kAuto;
  Backend backend = Backend::kAuto;
  bool dry_run = false, cleanup = false, help = false;
};

// InvalidArgument names the flag, what was found and what is allowed.
absl::StatusOr<Options> ParseOptions(const std::vector<std::string>& arguments);

extern const char kHelp[];

}  // namespace heddle::intercept
