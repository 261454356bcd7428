#include "source/config/types.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace heddle::config {
namespace {

re2::StringPiece Piece(absl::string_view text) { return {text.data(), text.size()}; }

bool MatchesLowered(const StringMatcher& m, absl::string_view value) {
  switch (m.kind) {
    case StringMatcher::Kind::kExact:
      return absl::EqualsIgnoreCase(value, m.text);
    case StringMatcher::Kind::kPrefix:
      return absl::StartsWithIgnoreCase(value, m.text);
    case StringMatcher::Kind::kSuffix:
      return absl::EndsWithIgnoreCase(value, m.text);
    case StringMatcher::Kind::kContains:
      return absl::StrContains(absl::AsciiStrToLower(value), m.text);
    case StringMatcher::Kind::kRegex:
      return RE2::FullMatch(Piece(value), *m.regex);
  }
  return false;
}

}  // namespace

bool StringMatcher::Matches(absl::string_view value) const {
  if (ignore_case) return MatchesLowered(*this, value);
  switch (kind) {
    case Kind::kExact:
      return value == text;
    case Kind::kPrefix:
      return absl::StartsWith(value, text);
    case Kind::kSuffix:
      return absl::EndsWith(value, text);
    case Kind::kContains:
      return absl::StrContains(value, text);
    case Kind::kRegex:
      return RE2::FullMatch(Piece(value), *regex);
  }
  return false;
}

}  // namespace heddle::config
