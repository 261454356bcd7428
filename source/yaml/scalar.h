// Text to scalar values, by proto3 JSON. Private to this folder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace heddle::yaml {

// Whether plain YAML text is a number of JSON, and not a string.
bool LooksLikeNumber(absl::string_view text);
// "12", and "1e3" or "12.0" which are whole.
std::optional<int64_t> ParseSigned(absl::string_view text);
std::optional<uint64_t> ParseUnsigned(absl::string_view text);
// Also "NaN", "Infinity", "-Infinity".
std::optional<double> ParseDouble(absl::string_view text);

struct SecondsNanos {
  int64_t seconds = 0;
  int32_t nanos = 0;
};
// "1.5s", at most nine decimals and 10,000 years either way.
std::optional<SecondsNanos> ParseDuration(absl::string_view text);
std::string PrintDuration(SecondsNanos value);
// RFC 3339.
std::optional<SecondsNanos> ParseTimestamp(absl::string_view text);
std::string PrintTimestamp(SecondsNanos value);
// Either alphabet, with or without padding.
std::optional<std::string> ParseBase64(absl::string_view text);

// The most similar of several names, or empty when none is near enough to have been meant.
class Nearest {
 public:
  explicit Nearest(absl::string_view wanted) : wanted_(wanted) {}
  void Offer(absl::string_view name);
  const std::string& best() const { return best_; }

 private:
  const absl::string_view wanted_;
  std::string best_;
  size_t distance_ = static_cast<size_t>(-1);
};

}  // namespace heddle::yaml
