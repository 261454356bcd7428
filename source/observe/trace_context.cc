#include "source/observe/trace_context.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace heddle::observe {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;  // upper case is not allowed
}

// Exactly out.size() bytes from twice as many lower-case hex digits.
template <size_t N>
bool FromHex(absl::string_view text, std::array<uint8_t, N>* out) {
  if (text.size() != 2 * N) return false;
  for (size_t i = 0; i < N; ++i) {
    const int high = HexDigit(text[2 * i]);
    const int low = HexDigit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    (*out)[i] = static_cast<uint8_t>(high * 16 + low);
  }
  return true;
}

template <size_t N>
std::string ToHex(const std::array<uint8_t, N>& bytes) {
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(bytes.data()), N));
}

template <size_t N>
bool Zero(const std::array<uint8_t, N>& bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t b) { return b == 0; });
}

uint64_t NonZero(base::Random& random) {
  uint64_t value;
  do {
    value = random.Next();
  } while (value == 0);
  return value;
}

}  // namespace

std::string TraceContext::TraceIdHex() const { return ToHex(trace_id); }
std::string TraceContext::SpanIdHex() const { return ToHex(span_id); }

std::optional<TraceContext> ParseTraceparent(absl::string_view text) {
  constexpr size_t kLength = 55;
  if (text.size() < kLength || text[2] != '-' || text[35] != '-' || text[52] != '-')
    return std::nullopt;
  std::array<uint8_t, 1> version, flags;
  TraceContext context;
  if (!FromHex(text.substr(0, 2), &version) || version[0] == 0xff) return std::nullopt;
  if (text.size() > kLength && (version[0] == 0 || text[kLength] != '-')) return std::nullopt;
  if (!FromHex(text.substr(3, 32), &context.trace_id) ||
      !FromHex(text.substr(36, 16), &context.span_id) || !FromHex(text.substr(53, 2), &flags)) {
    return std::nullopt;
  }
  if (Zero(context.trace_id) || Zero(context.span_id)) return std::nullopt;
  context.sampled = (flags[0] & 1) != 0;
  return context;
}

std::string FormatTraceparent(const TraceContext& context) {
  return absl::StrCat("00-", context.TraceIdHex(), "-", context.SpanIdHex(),
                      context.sampled ? "-01" : "-00");
}

void NewTraceId(base::Random& random, TraceContext* context) {
  const uint64_t halves[2] = {NonZero(random), NonZero(random)};
  std::memcpy(context->trace_id.data(), halves, sizeof(halves));
}

void NewSpanId(base::Random& random, TraceContext* context) {
  const uint64_t id = NonZero(random);
  std::memcpy(context->span_id.data(), &id, sizeof(id));
}

}  // namespace heddle::observe
