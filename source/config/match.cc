#include "source/config/match.h"

#include "absl/strings/numbers.h"

namespace heddle::config {
namespace {

// RangeMatch wants the whole value to be one decimal number.
bool InRange(const HeaderMatcher& m, absl::string_view value) {
  int64_t number = 0;
  return absl::SimpleAtoi(value, &number) && number >= m.range_begin && number < m.range_end;
}

bool MatchesOne(const HeaderMatcher& m, absl::string_view value) {
  return m.kind == HeaderMatcher::Kind::kRange ? InRange(m, value) : m.string.Matches(value);
}

// Envoy: an absent header never matches (invert does not turn that round), unless it is to be read
// as empty. The exception is present_match, whose business absence is.
bool MatchesAbsent(const HeaderMatcher& m) {
  if (m.kind == HeaderMatcher::Kind::kPresent)
    return (m.treat_missing_as_empty == m.present) != m.invert;
  return m.treat_missing_as_empty && MatchesOne(m, "") != m.invert;
}

bool MatchesValue(const HeaderMatcher& m, absl::string_view value) {
  if (m.kind == HeaderMatcher::Kind::kPresent) return m.present != m.invert;
  return MatchesOne(m, value) != m.invert;
}

}  // namespace

bool Matches(const HeaderMatcher& matcher, const http::RequestHead& head) {
  if (matcher.name == ":method") return MatchesValue(matcher, head.method);
  if (matcher.name == ":path") return MatchesValue(matcher, head.path);
  if (matcher.name == ":authority" || matcher.name == "host")
    return MatchesValue(matcher, head.authority);
  if (matcher.name == ":scheme") return MatchesValue(matcher, head.scheme);
  return Matches(matcher, head.headers);
}

bool Matches(const HeaderMatcher& matcher, const http::Headers& headers) {
  bool there = false, any = false;
  const auto id = http::IdOf(matcher.name);
  for (const auto& entry : headers.entries()) {
    if (entry.id != id || entry.name != matcher.name) continue;
    if (matcher.kind == HeaderMatcher::Kind::kPresent) return matcher.present != matcher.invert;
    there = true;
    any = any || MatchesOne(matcher, entry.value);
  }
  return there ? any != matcher.invert : MatchesAbsent(matcher);
}

}  // namespace heddle::config
