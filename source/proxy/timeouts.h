// The time a request may take, from its route and from what the client asks for
// (proxy_semantics.md 2.3). Source: Envoy, source/common/router/router.cc
// FilterUtility::finalTimeout and setTimeoutHeaders.
#pragma once

#include <optional>

#include "absl/strings/string_view.h"
#include "source/base/clock.h"
#include "source/config/route.h"
#include "source/http/headers.h"

namespace heddle::proxy {

struct Timeouts {  // microseconds; 0 = off
  base::Micros global = 0;
  base::Micros per_try = 0;
  base::Micros per_try_idle = 0;
};

// Call before StripRetryHeaders. `retry` may be null.
Timeouts TimeoutsOf(const config::RouteAction& action, const config::RetryPolicy* retry,
                    const http::RequestHead& head);

// How long the whole stream may take: by the route, else `otherwise`; 0 = no limit. The
// request's own grpc-timeout counts where the route says so, and is brought down to what is
// allowed. Source: Envoy, ConnectionManagerImpl::ActiveStream::refreshDurationTimeout.
base::Micros StreamDuration(const config::RouteAction& action, base::Micros otherwise,
                            http::RequestHead& head);

// Writes x-envoy-expected-rq-timeout-ms for an attempt that starts `elapsed` after the first.
void WriteTimeoutHeaders(const Timeouts& timeouts, base::Micros elapsed, http::Headers& headers);

// "100m", "5S" ... ; none when malformed. Microseconds, at least 0.
std::optional<base::Micros> ParseGrpcTimeout(absl::string_view text);

}  // namespace heddle::proxy
