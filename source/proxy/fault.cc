#include "source/proxy/fault.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace heddle::proxy {
namespace {

using observe::Flag;

struct Row {
  Fault fault;
  absl::string_view text;
  Flag flag;
  int status;
};

// In the order of Fault.
constexpr Row kRows[] = {
    {Fault::kConnectFailed, "remote connection failure", Flag::kUpstreamConnectFailure, 503},
    {Fault::kConnectTimeout, "connection timeout", Flag::kUpstreamConnectFailure, 503},
    {Fault::kTermination, "connection termination", Flag::kUpstreamTermination, 503},
    {Fault::kRemoteReset, "remote reset", Flag::kUpstreamRemoteReset, 503},
    {Fault::kRemoteRefused, "remote refused stream reset", Flag::kUpstreamRemoteReset, 503},
    {Fault::kLocalReset, "local reset", Flag::kLocalReset, 503},
    {Fault::kOverflow, "overflow", Flag::kUpstreamOverflow, 503},
    {Fault::kProtocolError, "protocol error", Flag::kUpstreamProtocolError, 502},
};

const Row& RowOf(Fault fault) { return kRows[static_cast<size_t>(fault)]; }

}  // namespace

Fault FaultOf(http::ResetReason reason) {
  switch (reason) {
    case http::ResetReason::kConnectionClosed:
      return Fault::kTermination;
    case http::ResetReason::kRefused:
      return Fault::kRemoteRefused;
    case http::ResetReason::kProtocolError:
    case http::ResetReason::kFlowControl:
    case http::ResetReason::kTooLarge:
      return Fault::kProtocolError;
    case http::ResetReason::kCancel:
    case http::ResetReason::kInternal:
    case http::ResetReason::kHttp11Required:
      return Fault::kRemoteReset;
  }
  return Fault::kRemoteReset;
}

absl::string_view FaultText(Fault fault) { return RowOf(fault).text; }
observe::Flag FlagOf(Fault fault) { return RowOf(fault).flag; }
int StatusOf(Fault fault) { return RowOf(fault).status; }

std::string ResetBody(Fault fault, bool retried, absl::string_view transport_reason) {
  std::string body =
      absl::StrCat("upstream connect error or disconnect/reset before headers. ",
                   retried ? "retried and the latest " : "", "reset reason: ", FaultText(fault));
  // A connection that was refused says so in the log only, as in Envoy.
  if (!transport_reason.empty() && !absl::StartsWith(transport_reason, "delayed connect error"))
    absl::StrAppend(&body, ", transport failure reason: ", transport_reason);
  return body;
}

std::string ResetDetails(Fault fault, bool response_started, absl::string_view transport_reason) {
  std::string details = absl::StrCat(response_started ? "upstream_reset_after_response_started{"
                                                      : "upstream_reset_before_response_started{",
                                     FaultText(fault));
  if (!transport_reason.empty()) absl::StrAppend(&details, "|", transport_reason);
  details += '}';
  std::replace(details.begin(), details.end(), ' ', '_');
  return details;
}

}  // namespace heddle::proxy
