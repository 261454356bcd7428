#include "source/proxy/timeouts.h"

#include <algorithm>
#include <charconv>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace heddle::proxy {
namespace {

using http::HeaderId;
constexpr base::Micros kMilli = 1000;

void Override(const http::Headers& headers, HeaderId id, base::Micros* timeout) {
  const auto text = headers.Get(id);
  uint32_t millis = 0;
  if (text && absl::SimpleAtoi(*text, &millis)) *timeout = millis * kMilli;
}

// At most eight digits: beyond that, seconds.
void SetGrpcTimeout(base::Micros timeout, http::Headers& headers) {
  const base::Micros millis = std::max<base::Micros>(timeout / kMilli, 1);
  const bool few = millis < 100'000'000;
  headers.Set(HeaderId::kGrpcTimeout,
              few ? absl::StrCat(millis, "m")
                  : absl::StrCat(std::min(millis / 1000, base::Micros{99'999'999}), "S"));
}

}  // namespace

std::optional<base::Micros> ParseGrpcTimeout(absl::string_view text) {
  if (text.size() < 2 || text.size() > 9) return std::nullopt;
  uint64_t value = 0;
  if (!absl::SimpleAtoi(text.substr(0, text.size() - 1), &value)) return std::nullopt;
  const auto number = static_cast<base::Micros>(value);
  switch (text.back()) {
    case 'H':
      return number * 3'600'000'000;
    case 'M':
      return number * 60'000'000;
    case 'S':
      return number * 1'000'000;
    case 'm':
      return number * 1000;
    case 'u':
      return number;
    case 'n':
      return number / 1000;
    default:
      return std::nullopt;
  }
}

Timeouts TimeoutsOf(const config::RouteAction& action, const config::RetryPolicy* retry,
                    const http::RequestHead& head) {
  Timeouts out;
  if (!action.stream_duration)
    out.global = base::ToMicros(action.timeout.value_or(absl::Seconds(15)));
  if (retry != nullptr) {
    out.per_try = base::ToMicros(retry->per_try_timeout);
    out.per_try_idle = base::ToMicros(retry->per_try_idle_timeout);
  }
  Override(head.headers, HeaderId::kXEnvoyUpstreamRqTimeoutMs, &out.global);
  Override(head.headers, HeaderId::kXEnvoyUpstreamRqPerTryTimeoutMs, &out.per_try);
  if (out.global != 0 && out.per_try >= out.global) out.per_try = 0;
  return out;
}

base::Micros StreamDuration(const config::RouteAction& action, base::Micros otherwise,
                            http::RequestHead& head) {
  const base::Micros fixed =
      action.max_stream_duration ? base::ToMicros(*action.max_stream_duration) : otherwise;
  if (!action.max_grpc_timeout) return fixed;
  const base::Micros cap = base::ToMicros(*action.max_grpc_timeout);
  const auto text = head.headers.Get(HeaderId::kGrpcTimeout);
  if (!text) {
    if (action.max_stream_duration && fixed != 0 && head.grpc())
      SetGrpcTimeout(fixed, head.headers);
    return fixed;
  }
  const std::optional<base::Micros> asked = ParseGrpcTimeout(*text);
  if (!asked) return fixed;
  if (cap == 0 || (*asked != 0 && *asked <= cap)) return *asked;
  if (*asked != 0) SetGrpcTimeout(cap, head.headers);
  return cap;
}

void WriteTimeoutHeaders(const Timeouts& timeouts, base::Micros elapsed, http::Headers& headers) {
  base::Micros expected = timeouts.per_try != 0 ? timeouts.per_try : timeouts.global;
  if (expected == 0) return;
  if (timeouts.global != 0) {
    expected = elapsed >= timeouts.global ? kMilli : std::min(expected, timeouts.global - elapsed);
  }
  char text[24];
  const base::Micros millis = std::max<base::Micros>(expected / kMilli, 1);
  const char* end = std::to_chars(text, text + sizeof(text), millis).ptr;
  headers.Set(HeaderId::kXEnvoyExpectedRqTimeoutMs,
              absl::string_view(text, static_cast<size_t>(end - text)));
}

}  // namespace heddle::proxy
