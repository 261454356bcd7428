// Retry policies. The table gives the order of the bits in config::RetryPolicy::On.
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.pb.h"
#include "source/decode/parts.h"

namespace heddle::decode {
namespace {

namespace route = envoy::config::route::v3;
using envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate;
using On = config::RetryPolicy::On;

struct Token {
  absl::string_view name;
  uint32_t bit;
};
constexpr Token kTokens[] = {
    {"5xx", On::k5xx},
    {"gateway-error", On::kGatewayError},
    {"reset", On::kReset},
    {"reset-before-request", On::kResetBeforeRequest},
    {"connect-failure", On::kConnectFailure},
    {"envoy-ratelimited", On::kEnvoyRatelimited},
    {"retriable-4xx", On::kRetriable4xx},
    {"refused-stream", On::kRefusedStream},
    {"retriable-status-codes", On::kRetriableStatusCodes},
    {"retriable-headers", On::kRetriableHeaders},
    {"cancelled", On::kGrpcCancelled},
    {"deadline-exceeded", On::kGrpcDeadlineExceeded},
    {"internal", On::kGrpcInternal},
    {"resource-exhausted", On::kGrpcResourceExhausted},
    {"unavailable", On::kGrpcUnavailable},
    // HTTP/3 is not spoken, so this never happens.
    {"http3-post-connect-failure", 0},
};

absl::Status DecodeOn(absl::string_view text, const Path& at, uint32_t* out) {
  for (absl::string_view word : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    word = absl::StripAsciiWhitespace(word);
    const Token* found = nullptr;
    for (const Token& token : kTokens) {
      if (token.name == word) found = &token;
    }
    if (found == nullptr) {
      std::vector<absl::string_view> names;
      for (const Token& token : kTokens) names.push_back(token.name);
      return at.Error(
          absl::StrCat("unknown token \"", word, "\", allowed ", absl::StrJoin(names, ", ")));
    }
    *out |= found->bit;
  }
  return absl::OkStatus();
}

absl::Status DecodeHeaders(const google::protobuf::RepeatedPtrField<route::HeaderMatcher>& in,
                           const Path& at, std::vector<config::HeaderMatcher>* out) {
  for (int i = 0; i < in.size(); ++i) {
    HEDDLE_ASSIGN_OR_RETURN(config::HeaderMatcher header,
                            DecodeHeader(in[i], at.Index(static_cast<size_t>(i))));
    out->push_back(std::move(header));
  }
  return absl::OkStatus();
}

absl::Status DecodeBackoff(const route::RetryPolicy& in, const Path& at, config::RetryPolicy* out) {
  if (!in.has_retry_back_off()) return absl::OkStatus();
  const auto& backoff = in.retry_back_off();
  HEDDLE_RETURN_IF_ERROR(Required(backoff.has_base_interval(), at.Field("base_interval")));
  HEDDLE_RETURN_IF_ERROR(PositiveDuration(true, backoff.base_interval(), at.Field("base_interval"),
                                          &out->backoff_base));
  out->backoff_max = 10 * out->backoff_base;
  HEDDLE_RETURN_IF_ERROR(PositiveDuration(backoff.has_max_interval(), backoff.max_interval(),
                                          at.Field("max_interval"), &out->backoff_max));
  if (out->backoff_max < out->backoff_base)
    return at.Field("max_interval").Error("is less than base_interval");
  return absl::OkStatus();
}

absl::Status DecodePredicates(const route::RetryPolicy& in, const Path& at, Context& context,
                              config::RetryPolicy* out) {
  for (int i = 0; i < in.retry_host_predicate_size(); ++i) {
    const auto& predicate = in.retry_host_predicate(i);
    const Path here = at.Index(static_cast<size_t>(i));
    if (predicate.has_typed_config()) {
      PreviousHostsPredicate message;
      HEDDLE_RETURN_IF_ERROR(
          Unpack(predicate.typed_config(), here.Field("typed_config"), context, &message));
    } else if (predicate.name() != "envoy.retry_host_predicates.previous_hosts") {
      return here.Field("typed_config").Error("required");
    }
    out->previous_hosts = true;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<config::RetryPolicy> DecodeRetry(const route::RetryPolicy& in, const Path& at,
                                                Context& context) {
  config::RetryPolicy out;
  HEDDLE_RETURN_IF_ERROR(DecodeOn(in.retry_on(), at.Field("retry_on"), &out.on));
  HEDDLE_RETURN_IF_ERROR(Uint(in.has_num_retries(), in.num_retries(), at.Field("num_retries"), 0,
                              kMaxUint, &out.num_retries));
  HEDDLE_RETURN_IF_ERROR(Duration(in.has_per_try_timeout(), in.per_try_timeout(),
                                  at.Field("per_try_timeout"), &out.per_try_timeout));
  HEDDLE_RETURN_IF_ERROR(Duration(in.has_per_try_idle_timeout(), in.per_try_idle_timeout(),
                                  at.Field("per_try_idle_timeout"), &out.per_try_idle_timeout));
  HEDDLE_RETURN_IF_ERROR(DecodeBackoff(in, at.Field("retry_back_off"), &out));
  HEDDLE_RETURN_IF_ERROR(DecodePredicates(in, at.Field("retry_host_predicate"), context, &out));
  const Path attempts = at.Field("host_selection_retry_max_attempts");
  if (in.host_selection_retry_max_attempts() < 0 || in.host_selection_retry_max_attempts() > 1000) {
    return attempts.Error(
        absl::StrCat("found ", in.host_selection_retry_max_attempts(), ", allowed 0 to 1000"));
  }
  if (in.host_selection_retry_max_attempts() > 0) {
    out.host_selection_attempts = static_cast<uint32_t>(in.host_selection_retry_max_attempts());
  }
  const Path codes = at.Field("retriable_status_codes");
  for (int i = 0; i < in.retriable_status_codes_size(); ++i) {
    const uint32_t code = in.retriable_status_codes(i);
    if (code < 100 || code > 599) {
      return codes.Index(static_cast<size_t>(i))
          .Error(absl::StrCat("found ", code, ", allowed 100 to 599"));
    }
    out.retriable_status_codes.push_back(code);
  }
  HEDDLE_RETURN_IF_ERROR(
      DecodeHeaders(in.retriable_headers(), at.Field("retriable_headers"), &out.retriable_headers));
  HEDDLE_RETURN_IF_ERROR(DecodeHeaders(in.retriable_request_headers(),
                                       at.Field("retriable_request_headers"),
                                       &out.retriable_request_headers));
  return out;
}

}  // namespace heddle::decode
