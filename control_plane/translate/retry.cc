// From retry settings to Envoy's retry policy.
#include <algorithm>
#include <array>

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "control_plane/translate/encode.h"
#include "control_plane/translate/routes.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.pb.h"

namespace heddle::translate {
namespace {

namespace route = ::envoy::config::route::v3;

constexpr uint32_t kLongestBackoffFactor = 10;

void SetCommon(uint32_t attempts, absl::Duration backoff, absl::Duration per_try_timeout,
               route::RetryPolicy* out) {
  out->mutable_num_retries()->set_value(attempts);
  if (per_try_timeout > absl::ZeroDuration()) Set(out->mutable_per_try_timeout(), per_try_timeout);
  Set(out->mutable_retry_back_off()->mutable_base_interval(), backoff);
  Set(out->mutable_retry_back_off()->mutable_max_interval(), backoff * kLongestBackoffFactor);
  route::RetryPolicy::RetryHostPredicate* const other = out->add_retry_host_predicate();
  other->set_name("envoy.retry_host_predicates.previous_hosts");
  Pack(::envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate(),
       other->mutable_typed_config());
  out->set_host_selection_retry_max_attempts(5);
}

}  // namespace

bool IsIdempotent(const std::string& method) {
  constexpr std::array<absl::string_view, 6> kMethods = {"GET",   "HEAD", "OPTIONS",
                                                         "TRACE", "PUT",  "DELETE"};
  return std::find(kMethods.begin(), kMethods.end(), method) != kMethods.end();
}

RetryConditions ConditionsOf(const model::RetrySettings& settings, model::Protocol protocol) {
  RetryConditions out;
  const bool grpc = protocol == model::Protocol::kGrpc;
  out.any = settings.on;
  if (out.any.empty()) {
    out.any = {"connect-failure", "refused-stream", "reset-before-request"};
    if (grpc) out.any.push_back("unavailable");
  }
  if (grpc || settings.same_for_all_methods) return out;
  out.idempotent = out.any;
  for (const std::string& one : settings.on_idempotent)
    if (std::find(out.any.begin(), out.any.end(), one) == out.any.end())
      out.idempotent.push_back(one);
  if (out.idempotent.size() == out.any.size()) out.idempotent.clear();
  return out;
}

void SetRetryPolicy(const model::RetrySettings& settings,
                    const std::vector<std::string>& conditions, absl::Duration per_try_timeout,
                    route::RetryPolicy* out) {
  std::vector<absl::string_view> names;
  for (const std::string& one : conditions) {
    uint32_t code = 0;
    if (absl::SimpleAtoi(one, &code)) {
      out->add_retriable_status_codes(code);
    } else {
      names.push_back(one);
    }
  }
  if (out->retriable_status_codes_size() > 0) names.push_back("retriable-status-codes");
  out->set_retry_on(absl::StrJoin(names, ","));
  SetCommon(settings.attempts, settings.backoff, per_try_timeout, out);
}

void SetRetryPolicy(const model::RouteRetry& retry, absl::Duration per_try_timeout,
                    route::RetryPolicy* out) {
  out->set_retry_on("connect-failure,refused-stream,reset-before-request,retriable-status-codes");
  for (const uint32_t code : retry.codes) out->add_retriable_status_codes(code);
  SetCommon(retry.attempts, retry.backoff, per_try_timeout, out);
}

}  // namespace heddle::translate
