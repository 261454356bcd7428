// How an upstream attempt failed, as one value from which reset text, response flag, retry and
// outlier detection are read (HOUSE_STYLE 9; proxy_semantics.md 2.7).
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "source/http/codec.h"
#include "source/observe/access_record.h"

namespace heddle::proxy {

enum class Fault : uint8_t {
  kConnectFailed,
  kConnectTimeout,
  kTermination,  // the connection went away
  kRemoteReset,
  kRemoteRefused,
  kLocalReset,
  kOverflow,  // a circuit breaker refused
  kProtocolError,
};

Fault FaultOf(http::ResetReason reason);
absl::string_view FaultText(Fault fault);  // Envoy's resetReasonToString
observe::Flag FlagOf(Fault fault);
int StatusOf(Fault fault);  // 503, but 502 for a broken protocol

// "upstream connect error or disconnect/reset before headers. ..."
std::string ResetBody(Fault fault, bool retried, absl::string_view transport_reason);
// "upstream_reset_before_response_started{remote_reset|...}": spaces become underscores.
std::string ResetDetails(Fault fault, bool response_started, absl::string_view transport_reason);

}  // namespace heddle::proxy
