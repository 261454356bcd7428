// Small values that every part of the configuration uses. Plain structs with defaults; no protobuf
// here or in any header of this folder: source/decode makes them once, everyone else reads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "re2/re2.h"
#include "source/net/address.h"

namespace heddle::config {

// envoy.type.matcher.v3.StringMatcher. Regular expressions match the whole text (RE2::FullMatch).
struct StringMatcher {
  enum class Kind : uint8_t { kExact, kPrefix, kSuffix, kContains, kRegex };
  Kind kind = Kind::kExact;
  std::string text;  // lower case already when ignore_case
  bool ignore_case = false;
  std::shared_ptr<const RE2> regex;  // kRegex only
  bool Matches(absl::string_view value) const;
};

// envoy.config.route.v3.HeaderMatcher. Several fields of one name are joined by ','.
struct HeaderMatcher {
  enum class Kind : uint8_t { kPresent, kString, kRange };
  std::string name;  // lower case; ":method", ":path", ":authority", ":scheme" allowed
  Kind kind = Kind::kPresent;
  bool present = true;  // kPresent: false = must be absent
  StringMatcher string;
  int64_t range_begin = 0, range_end = 0;  // [begin, end)
  bool invert = false;
  bool treat_missing_as_empty = false;
};

struct QueryMatcher {  // QueryParameterMatcher; no matcher = present
  std::string name;
  std::optional<StringMatcher> string;
};

// Out of `denominator` (100, 10'000 or 1'000'000).
struct Fraction {
  uint32_t numerator = 0;
  uint32_t denominator = 100;
};

struct HeaderOption {  // HeaderValueOption
  enum class Action : uint8_t { kAppendOrAdd, kAddIfAbsent, kOverwriteOrAdd, kOverwriteIfExists };
  std::string name;   // lower case
  std::string value;  // may hold %COMMAND% operators (observe/format)
  Action action = Action::kAppendOrAdd;
  bool keep_empty_value = false;
};

struct HeaderMutations {  // *_headers_to_add, *_headers_to_remove
  std::vector<HeaderOption> add;
  std::vector<std::string> remove;  // lower case
  bool empty() const { return add.empty() && remove.empty(); }
};

// What is opaque to most readers: filter metadata by namespace as flattened "a.b" -> text.
using Metadata = absl::flat_hash_map<std::string, absl::flat_hash_map<std::string, std::string>>;

// Where xDS resources come from. kNone: given inline.
enum class Source : uint8_t { kNone, kAds };

}  // namespace heddle::config
