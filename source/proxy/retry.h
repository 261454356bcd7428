// Whether and when a request is sent again (proxy_semantics.md 2.2). A value inside the forwarder;
// it decides, the forwarder acts. Source: Envoy, source/common/router/retry_state_impl.cc,
// source/common/common/backoff_strategy.cc.
#pragma once

#include <string>

#include "absl/container/inlined_vector.h"
#include "source/base/clock.h"
#include "source/config/route.h"
#include "source/http/headers.h"
#include "source/proxy/fault.h"

namespace heddle::proxy {

class RetryState {
 public:
  enum class Decision : uint8_t {
    kNo,
    kRetry,     // after Backoff()
    kRetryNow,  // 425: at once
    kNoneLeft,  // the outcome is retriable but no retry remains: flag URX
  };

  // Never retries.
  RetryState() = default;
  // `policy` may be null. Reads what the client asks for (x-envoy-retry-on and its kin); `head` is
  // not changed.
  RetryState(const config::RetryPolicy* policy, const http::RequestHead& head);

  bool enabled() const { return on_ != 0; }
  // The request cannot be sent again from here on.
  void Abandon() { on_ = 0; }

  // Takes one of the remaining retries when it answers kRetry or kRetryNow.
  Decision OnResponse(const http::ResponseHead& head, bool early_data = false);
  // `sent`: some byte of the request's head went to the upstream.
  Decision OnFault(Fault fault, bool sent);
  Decision OnPerTryTimeout();

  // Microseconds to wait: random below 25 ms, 50, 100, 200, 250 (by default), in turn.
  base::Micros Backoff(base::Random& random);

  uint32_t remaining() const { return remaining_; }
  const config::RetryPolicy* policy() const { return policy_; }

 private:
  bool Wanted(const http::ResponseHead& head, bool early_data, bool* now) const;
  bool Wanted(Fault fault, bool sent) const;
  Decision Take(bool now);

  const config::RetryPolicy* policy_ = nullptr;
  uint32_t on_ = 0;  // config::RetryPolicy::On bits
  uint32_t remaining_ = 0;
  base::Micros interval_ = 0, max_interval_ = 0;
  absl::InlinedVector<uint32_t, 2> more_codes_;       // of x-envoy-retriable-status-codes
  absl::InlinedVector<std::string, 1> more_headers_;  // of x-envoy-retriable-header-names
};

// Bits of a comma-separated retry_on; unknown tokens are ignored, as for the header in Envoy.
uint32_t ParseRetryOn(absl::string_view text);

// Drops what only this proxy reads, before the request goes up.
void StripRetryHeaders(http::Headers& headers);

}  // namespace heddle::proxy
