#include "source/proxy/retry.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "source/config/match.h"
#include "source/proxy/reply.h"

namespace heddle::proxy {
namespace {

using config::RetryPolicy;
using http::HeaderId;

struct Token {
  absl::string_view name;
  uint32_t bit;
};
constexpr Token kTokens[] = {
    {"5xx", RetryPolicy::k5xx},
    {"gateway-error", RetryPolicy::kGatewayError},
    {"reset", RetryPolicy::kReset},
    {"reset-before-request", RetryPolicy::kResetBeforeRequest},
    {"connect-failure", RetryPolicy::kConnectFailure},
    {"envoy-ratelimited", RetryPolicy::kEnvoyRatelimited},
    {"retriable-4xx", RetryPolicy::kRetriable4xx},
    {"refused-stream", RetryPolicy::kRefusedStream},
    {"retriable-status-codes", RetryPolicy::kRetriableStatusCodes},
    {"retriable-headers", RetryPolicy::kRetriableHeaders},
    {"cancelled", RetryPolicy::kGrpcCancelled},
    {"deadline-exceeded", RetryPolicy::kGrpcDeadlineExceeded},
    {"internal", RetryPolicy::kGrpcInternal},
    {"resource-exhausted", RetryPolicy::kGrpcResourceExhausted},
    {"unavailable", RetryPolicy::kGrpcUnavailable},
};

uint32_t GrpcBit(int status) {
  switch (status) {
    case 1:
      return RetryPolicy::kGrpcCancelled;
    case 4:
      return RetryPolicy::kGrpcDeadlineExceeded;
    case 8:
      return RetryPolicy::kGrpcResourceExhausted;
    case 13:
      return RetryPolicy::kGrpcInternal;
    case 14:
      return RetryPolicy::kGrpcUnavailable;
    default:
      return 0;
  }
}

bool GatewayError(int status) { return status >= 502 && status <= 504; }

bool RequestMayRetry(const RetryPolicy* policy, const http::RequestHead& head) {
  if (policy == nullptr || policy->retriable_request_headers.empty()) return true;
  return std::any_of(
      policy->retriable_request_headers.begin(), policy->retriable_request_headers.end(),
      [&head](const config::HeaderMatcher& matcher) { return config::Matches(matcher, head); });
}

}  // namespace

uint32_t ParseRetryOn(absl::string_view text) {
  uint32_t on = 0;
  for (absl::string_view name : absl::StrSplit(text, ',')) {
    name = absl::StripAsciiWhitespace(name);
    for (const Token& token : kTokens) {
      if (token.name == name) on |= token.bit;
    }
  }
  return on;
}

void StripRetryHeaders(http::Headers& headers) {
  constexpr HeaderId kIds[] = {HeaderId::kXEnvoyRetryOn,
                               HeaderId::kXEnvoyRetryGrpcOn,
                               HeaderId::kXEnvoyMaxRetries,
                               HeaderId::kXEnvoyHedgeOnPerTryTimeout,
                               HeaderId::kXEnvoyRetriableHeaderNames,
                               HeaderId::kXEnvoyRetriableStatusCodes,
                               HeaderId::kXEnvoyUpstreamRqPerTryTimeoutMs,
                               HeaderId::kXEnvoyUpstreamRqTimeoutMs,
                               HeaderId::kXEnvoyUpstreamRqTimeoutAltResponse};
  auto& entries = headers.mutable_entries();
  entries.erase(std::remove_if(entries.begin(), entries.end(),
                               [&](const http::Headers::Entry& e) {
                                 return e.id != HeaderId::kOther &&
                                        std::find(std::begin(kIds), std::end(kIds), e.id) !=
                                            std::end(kIds);
                               }),
                entries.end());
}

RetryState::RetryState(const RetryPolicy* policy, const http::RequestHead& head) : policy_(policy) {
  on_ = policy == nullptr ? 0 : policy->on;
  remaining_ = policy == nullptr ? 1 : policy->num_retries;
  if (const auto asked = head.headers.Get(HeaderId::kXEnvoyRetryOn)) on_ |= ParseRetryOn(*asked);
  if (const auto asked = head.headers.Get(HeaderId::kXEnvoyRetryGrpcOn))
    on_ |= ParseRetryOn(*asked);
  if (on_ == 0) return;
  if (!RequestMayRetry(policy, head)) {
    on_ = 0;
    return;
  }
  interval_ = policy == nullptr ? 25'000 : base::ToMicros(policy->backoff_base);
  max_interval_ = policy == nullptr ? 250'000 : base::ToMicros(policy->backoff_max);
  if (const auto asked = head.headers.Get(HeaderId::kXEnvoyMaxRetries)) {
    uint32_t retries = 0;
    if (absl::SimpleAtoi(*asked, &retries)) remaining_ = retries;
  }
  if (const auto codes = head.headers.Get(HeaderId::kXEnvoyRetriableStatusCodes)) {
    for (absl::string_view text : absl::StrSplit(*codes, ',')) {
      uint32_t code = 0;
      if (absl::SimpleAtoi(text, &code)) more_codes_.push_back(code);
    }
  }
  if (const auto names = head.headers.Get(HeaderId::kXEnvoyRetriableHeaderNames)) {
    for (absl::string_view name : absl::StrSplit(*names, ',')) {
      more_headers_.push_back(absl::AsciiStrToLower(absl::StripAsciiWhitespace(name)));
    }
  }
}

bool RetryState::Wanted(const http::ResponseHead& head, bool early_data, bool* now) const {
  const http::Headers& headers = head.headers;
  if (headers.Has(HeaderId::kXEnvoyRatelimited)) return (on_ & RetryPolicy::kEnvoyRatelimited) != 0;
  const int status = head.status;
  if ((on_ & RetryPolicy::k5xx) != 0 && status >= 500 && status <= 599) return true;
  if ((on_ & RetryPolicy::kGatewayError) != 0 && GatewayError(status)) return true;
  if ((on_ & RetryPolicy::kRetriable4xx) != 0 && status == 409) return true;
  if ((on_ & RetryPolicy::kRetriableStatusCodes) != 0) {
    const auto code = static_cast<uint32_t>(status);
    const bool listed =
        policy_ != nullptr &&
        std::find(policy_->retriable_status_codes.begin(), policy_->retriable_status_codes.end(),
                  code) != policy_->retriable_status_codes.end();
    if (listed || std::find(more_codes_.begin(), more_codes_.end(), code) != more_codes_.end()) {
      if (status != 425) return true;
      *now = true;
      return !early_data;
    }
  }
  if ((on_ & RetryPolicy::kRetriableHeaders) != 0) {
    if (policy_ != nullptr &&
        std::any_of(policy_->retriable_headers.begin(), policy_->retriable_headers.end(),
                    [&](const auto& matcher) { return config::Matches(matcher, headers); })) {
      return true;
    }
    if (std::any_of(more_headers_.begin(), more_headers_.end(),
                    [&](const auto& name) { return headers.Get(name).has_value(); })) {
      return true;
    }
  }
  constexpr uint32_t kAnyGrpc = RetryPolicy::kGrpcCancelled | RetryPolicy::kGrpcDeadlineExceeded |
                                RetryPolicy::kGrpcInternal | RetryPolicy::kGrpcResourceExhausted |
                                RetryPolicy::kGrpcUnavailable;
  if ((on_ & kAnyGrpc) == 0) return false;
  const auto grpc = GrpcStatusOf(headers);
  return grpc && (on_ & GrpcBit(*grpc)) != 0;
}

bool RetryState::Wanted(Fault fault, bool sent) const {
  if (fault == Fault::kOverflow) return false;
  const bool connect = fault == Fault::kConnectFailed || fault == Fault::kConnectTimeout;
  if (connect && (on_ & RetryPolicy::kConnectFailure) != 0) return true;
  if (!sent && (on_ & RetryPolicy::kResetBeforeRequest) != 0) return true;
  if ((on_ & (RetryPolicy::kReset | RetryPolicy::k5xx | RetryPolicy::kGatewayError)) != 0)
    return true;
  return fault == Fault::kRemoteRefused && (on_ & RetryPolicy::kRefusedStream) != 0;
}

RetryState::Decision RetryState::Take(bool now) {
  if (remaining_ == 0) return Decision::kNoneLeft;
  --remaining_;
  return now ? Decision::kRetryNow : Decision::kRetry;
}

RetryState::Decision RetryState::OnResponse(const http::ResponseHead& head, bool early_data) {
  bool now = false;
  if (on_ == 0 || !Wanted(head, early_data, &now)) return Decision::kNo;
  return Take(now);
}

RetryState::Decision RetryState::OnFault(Fault fault, bool sent) {
  if (on_ == 0 || !Wanted(fault, sent)) return Decision::kNo;
  return Take(false);
}

RetryState::Decision RetryState::OnPerTryTimeout() {
  constexpr uint32_t kBits = RetryPolicy::kReset | RetryPolicy::k5xx | RetryPolicy::kGatewayError;
  if ((on_ & kBits) == 0) return Decision::kNo;
  return Take(false);
}

base::Micros RetryState::Backoff(base::Random& random) {
  const base::Micros wait = static_cast<base::Micros>(
      random.Below(static_cast<uint64_t>(std::max<base::Micros>(interval_, 1))));
  interval_ = std::min(interval_ * 2, std::max(max_interval_, interval_));
  return wait;
}

}  // namespace heddle::proxy
