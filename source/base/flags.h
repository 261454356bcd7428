// Command lines: "--name value", "--name=value", and switches, which stand alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace heddle::base {

struct Flag {
  std::string name;                  // as it was given, with its dashes
  std::optional<std::string> value;  // none: a switch
};

struct FlagSyntax {
  std::string program;                // for errors: whose --help to see
  std::vector<std::string> switches;  // take no value
  std::vector<std::string> ends;      // switches behind which nothing is read: --help
};

// The flags in their order. InvalidArgument for the last argument when it is neither a switch nor
// has a value.
absl::StatusOr<std::vector<Flag>> SplitFlags(const std::vector<std::string>& arguments,
                                             const FlagSyntax& syntax);

// InvalidArgument: FLAG: found "FOUND", allowed ALLOWED.
absl::Status WrongFlag(absl::string_view flag, absl::string_view found, absl::string_view allowed);
absl::Status UnknownFlag(absl::string_view flag, const FlagSyntax& syntax);

// A number of decimal digits from `low` to `high`.
bool ParseNumber(absl::string_view text, uint32_t low, uint32_t high, uint32_t* out);
// The same, with WrongFlag when it is none. `unit`, as in "seconds", ends the error's text.
absl::Status SetNumber(absl::string_view flag, absl::string_view text, uint32_t low, uint32_t high,
                       uint32_t* out, absl::string_view unit = "");

}  // namespace heddle::base
