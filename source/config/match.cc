#include "source/config/match.h"

#include "absl/strings/numbers.h"

namespace heddle::config {
namespace {

// Joins only when there is more than one field of the name.
std::optional<absl::string_view> JoinedField(const http::Headers& headers, absl::string_view name,
                                             std::string* joined) {
  const auto first = headers.Get(name);
  if (!first.has_value()) return std::nullopt;
  size_t count = 0;
  for (const auto& entry : headers.entries()) count += entry.name == name ? 1 : 0;
  if (count == 1) return first;
  *joined = headers.GetAll(name);
  return absl::string_view(*joined);
}

// RangeMatch wants the whole value to be one decimal number.
bool InRange(const HeaderMatcher& m, absl::string_view value) {
  int64_t number = 0;
  return absl::SimpleAtoi(value, &number) && number >= m.range_begin && number < m.range_end;
}

// Envoy: an absent header never matches (invert does not turn that round), unless it is to be read
// as empty. The exception is present_match, whose business absence is.
bool MatchesValue(const HeaderMatcher& m, std::optional<absl::string_view> value) {
  if (!value.has_value() && m.treat_missing_as_empty) value = "";
  if (m.kind == HeaderMatcher::Kind::kPresent) return (value.has_value() == m.present) != m.invert;
  if (!value.has_value()) return false;
  const bool matches =
      m.kind == HeaderMatcher::Kind::kRange ? InRange(m, *value) : m.string.Matches(*value);
  return matches != m.invert;
}

}  // namespace

std::optional<absl::string_view> FieldOf(const http::RequestHead& head, absl::string_view name,
                                         std::string* joined) {
  if (name == ":method") return head.method;
  if (name == ":path") return head.path;
  if (name == ":authority" || name == "host") return head.authority;
  if (name == ":scheme") return head.scheme;
  return JoinedField(head.headers, name, joined);
}

bool Matches(const HeaderMatcher& matcher, const http::RequestHead& head) {
  std::string joined;
  return MatchesValue(matcher, FieldOf(head, matcher.name, &joined));
}

bool Matches(const HeaderMatcher& matcher, const http::Headers& headers) {
  std::string joined;
  return MatchesValue(matcher, JoinedField(headers, matcher.name, &joined));
}

}  // namespace heddle::config
