#include "source/yaml/scalar.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"

namespace heddle::yaml {
namespace {

size_t SkipDigits(absl::string_view text, size_t at) {
  while (at < text.size() && absl::ascii_isdigit(static_cast<unsigned char>(text[at]))) ++at;
  return at;
}

// ".5" of a second as nanoseconds.
std::optional<int32_t> ParseFraction(absl::string_view digits) {
  if (digits.empty() || digits.size() > 9 || SkipDigits(digits, 0) != digits.size())
    return std::nullopt;
  int32_t nanos = 0;
  for (size_t i = 0; i < 9; ++i) nanos = nanos * 10 + (i < digits.size() ? digits[i] - '0' : 0);
  return nanos;
}

std::string PrintFraction(int32_t nanos) {
  if (nanos == 0) return "";
  if (nanos % 1000000 == 0) return absl::StrFormat(".%03d", nanos / 1000000);
  if (nanos % 1000 == 0) return absl::StrFormat(".%06d", nanos / 1000);
  return absl::StrFormat(".%09d", nanos);
}

size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t change =
          diagonal + (absl::ascii_tolower(a[i - 1]) == absl::ascii_tolower(b[j - 1]) ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
    }
  }
  return row[b.size()];
}

}  // namespace

bool LooksLikeNumber(absl::string_view text) {
  size_t at = absl::StartsWith(text, "-") ? 1 : 0;
  const size_t whole = SkipDigits(text, at);
  if (whole == at) return false;
  at = whole;
  if (at < text.size() && text[at] == '.') {
    const size_t end = SkipDigits(text, at + 1);
    if (end == at + 1) return false;
    at = end;
  }
  if (at < text.size() && (text[at] | 32) == 'e') {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    const size_t end = SkipDigits(text, at);
    if (end == at) return false;
    at = end;
  }
  return at == text.size();
}

std::optional<double> ParseDouble(absl::string_view text) {
  if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (text == "Infinity") return std::numeric_limits<double>::infinity();
  if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
  double value = 0;
  if (!LooksLikeNumber(text) || !absl::SimpleAtod(text, &value) || std::isinf(value))
    return std::nullopt;
  return value;
}

std::optional<int64_t> ParseSigned(absl::string_view text) {
  int64_t value = 0;
  if (!LooksLikeNumber(text)) return std::nullopt;
  if (absl::SimpleAtoi(text, &value)) return value;
  const std::optional<double> real = ParseDouble(text);
  if (!real || std::trunc(*real) != *real || std::fabs(*real) >= 9007199254740992.0)
    return std::nullopt;
  return static_cast<int64_t>(*real);
}

std::optional<uint64_t> ParseUnsigned(absl::string_view text) {
  uint64_t value = 0;
  if (!LooksLikeNumber(text)) return std::nullopt;
  if (absl::SimpleAtoi(text, &value)) return value;
  const std::optional<int64_t> whole = ParseSigned(text);
  if (!whole || *whole < 0) return std::nullopt;
  return static_cast<uint64_t>(*whole);
}

std::optional<SecondsNanos> ParseDuration(absl::string_view text) {
  if (!absl::ConsumeSuffix(&text, "s")) return std::nullopt;
  const bool negative = absl::ConsumePrefix(&text, "-");
  const size_t whole = SkipDigits(text, 0);
  SecondsNanos out;
  if (whole == 0 || !absl::SimpleAtoi(text.substr(0, whole), &out.seconds)) return std::nullopt;
  if (whole < text.size()) {
    const std::optional<int32_t> nanos =
        text[whole] == '.' ? ParseFraction(text.substr(whole + 1)) : std::nullopt;
    if (!nanos) return std::nullopt;
    out.nanos = *nanos;
  }
  if (out.seconds > 315576000000) return std::nullopt;
  if (negative) out = {-out.seconds, -out.nanos};
  return out;
}

std::string PrintDuration(SecondsNanos value) {
  const bool negative = value.seconds < 0 || value.nanos < 0;
  return absl::StrCat(negative ? "-" : "", std::abs(value.seconds),
                      PrintFraction(std::abs(value.nanos)), "s");
}

std::optional<SecondsNanos> ParseTimestamp(absl::string_view text) {
  absl::Time time;
  if (!absl::ParseTime(absl::RFC3339_full, text, &time, nullptr)) return std::nullopt;
  if (time < absl::FromUnixSeconds(-62135596800) || time >= absl::FromUnixSeconds(253402300800))
    return std::nullopt;
  const timespec spec = absl::ToTimespec(time);
  return SecondsNanos{spec.tv_sec, static_cast<int32_t>(spec.tv_nsec)};
}

std::string PrintTimestamp(SecondsNanos value) {
  return absl::StrCat(absl::FormatTime("%Y-%m-%dT%H:%M:%S", absl::FromUnixSeconds(value.seconds),
                                       absl::UTCTimeZone()),
                      PrintFraction(value.nanos), "Z");
}

std::optional<std::string> ParseBase64(absl::string_view text) {
  std::string out;
  if (absl::Base64Unescape(text, &out) || absl::WebSafeBase64Unescape(text, &out)) return out;
  return std::nullopt;
}

void Nearest::Offer(absl::string_view name) {
  if (wanted_.size() > 100) return;
  const size_t distance = EditDistance(wanted_, name);
  if (distance < distance_ &&
      distance <= std::max<size_t>(1, std::min(wanted_.size(), name.size()) / 3)) {
    distance_ = distance;
    best_ = std::string(name);
  }
}

}  // namespace heddle::yaml
