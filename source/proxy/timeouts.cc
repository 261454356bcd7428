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
  if (action.max_grpc_timeout && head.grpc()) {
    const base::Micros cap = base::ToMicros(*action.max_grpc_timeout);
    const auto asked = head.headers.Get(HeaderId::kGrpcTimeout);
    out.global = asked ? ParseGrpcTimeout(*asked).value_or(0) : 0;
    if (cap != 0 && (out.global == 0 || out.global > cap)) out.global = cap;
    out.rewrite_grpc = true;
  } else {
    out.global = base::ToMicros(action.timeout.value_or(absl::Seconds(15)));
  }
  if (retry != nullptr) {
    out.per_try = base::ToMicros(retry->per_try_timeout);
    out.per_try_idle = base::ToMicros(retry->per_try_idle_timeout);
  }
  Override(head.headers, HeaderId::kXEnvoyUpstreamRqTimeoutMs, &out.global);
  Override(head.headers, HeaderId::kXEnvoyUpstreamRqPerTryTimeoutMs, &out.per_try);
  if (out.global != 0 && out.per_try >= out.global) out.per_try = 0;
  return out;
}

void WriteTimeoutHeaders(const Timeouts& timeouts, base::Micros elapsed, http::Headers& headers) {
  base::Micros expected = timeouts.per_try != 0 ? timeouts.per_try : timeouts.global;
  if (expected == 0) return;
  if (timeouts.global != 0) {
    expected = elapsed >= timeouts.global ? kMilli : std::min(expected, timeouts.global - elapsed);
  }
  char text[24];
  const base::Micros millis = std::max<base::Micros>(expected / kMilli, 1);
  char* end = std::to_chars(text, text + sizeof(text) - 1, millis).ptr;
  headers.Set(HeaderId::kXEnvoyExpectedRqTimeoutMs,
              absl::string_view(text, static_cast<size_t>(end - text)));
  if (!timeouts.rewrite_grpc) return;
  // Eight digits at most: beyond that, seconds.
  if (millis < 100'000'000) {
    *end++ = 'm';
  } else {
    end = std::to_chars(text, text + sizeof(text) - 1, millis / 1000).ptr;
    *end++ = 'S';
  }
  headers.Set(HeaderId::kGrpcTimeout, absl::string_view(text, static_cast<size_t>(end - text)));
}

}  // namespace heddle::proxy
