#include <iterator>

#include "source/observe/access_record.h"
#include "source/observe/flags.h"

namespace heddle::observe {
namespace {

// In the order Envoy prints them, which is that of events: what leads to another one comes first.
constexpr FlagName kFlags[] = {
    {Flag::kDelayInjected, "DI", "DelayInjected"},
    {Flag::kUpstreamOverflow, "UO", "UpstreamOverflow"},
    {Flag::kRetryLimit, "URX", "UpstreamRetryLimitExceeded"},
    {Flag::kFailedLocalHealthCheck, "LH", "FailedLocalHealthCheck"},
    {Flag::kNoHealthyUpstream, "UH", "NoHealthyUpstream"},
    {Flag::kUpstreamTimeout, "UT", "UpstreamRequestTimeout"},
    {Flag::kLocalReset, "LR", "LocalReset"},
    {Flag::kUpstreamRemoteReset, "UR", "UpstreamRemoteReset"},
    {Flag::kUpstreamConnectFailure, "UF", "UpstreamConnectionFailure"},
    {Flag::kUpstreamTermination, "UC", "UpstreamConnectionTermination"},
    {Flag::kNoRoute, "NR", "NoRouteFound"},
    {Flag::kFaultInjected, "FI", "FaultInjected"},
    {Flag::kRateLimited, "RL", "RateLimited"},
    {Flag::kUnauthorizedExternal, "UAEX", "UnauthorizedExternalService"},
    {Flag::kDownstreamTermination, "DC", "DownstreamConnectionTermination"},
    {Flag::kStreamIdleTimeout, "SI", "StreamIdleTimeout"},
    {Flag::kDownstreamProtocolError, "DPE", "DownstreamProtocolError"},
    {Flag::kUpstreamProtocolError, "UPE", "UpstreamProtocolError"},
    {Flag::kMaxStreamDuration, "UMSDR", "UpstreamMaxStreamDurationReached"},
    {Flag::kNoCluster, "NC", "NoClusterFound"},
    {Flag::kOverloadManager, "OM", "OverloadManagerTerminated"},
    {Flag::kDurationTimeout, "DT", "DurationTimeout"},
    {Flag::kDownstreamReset, "DR", "DownstreamRemoteReset"},
};

std::string Join(uint32_t flags, absl::string_view FlagName::*text) {
  if (flags == 0) return "-";
  std::string out;
  for (const FlagName& name : kFlags) {
    if ((flags & static_cast<uint32_t>(name.flag)) == 0) continue;
    if (!out.empty()) out.push_back(',');
    out.append((name.*text).data(), (name.*text).size());
  }
  return out;
}

}  // namespace

absl::Span<const FlagName> FlagNames() { return kFlags; }

std::string FlagsText(uint32_t flags) { return Join(flags, &FlagName::short_name); }

std::string LongFlagsText(uint32_t flags) { return Join(flags, &FlagName::long_name); }

std::optional<Flag> FlagOf(absl::string_view short_name) {
  for (const FlagName& name : kFlags) {
    if (name.short_name == short_name) return name.flag;
  }
  return std::nullopt;
}

}  // namespace heddle::observe
