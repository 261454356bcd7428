#include "source/base/flags.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace heddle::base {
namespace {

bool Among(const std::vector<std::string>& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

}  // namespace

absl::StatusOr<std::vector<Flag>> SplitFlags(const std::vector<std::string>& arguments,
                                             const FlagSyntax& syntax) {
  std::vector<Flag> out;
  for (auto it = arguments.begin(); it != arguments.end(); ++it) {
    Flag& flag = out.emplace_back(Flag{*it, std::nullopt});
    if (Among(syntax.ends, *it)) break;
    if (Among(syntax.switches, *it)) continue;
    const size_t equals = it->find('=');
    if (absl::StartsWith(*it, "--") && equals != std::string::npos) {
      flag = {it->substr(0, equals), it->substr(equals + 1)};
    } else if (std::next(it) != arguments.end()) {
      flag.value = *++it;
    } else {
      return absl::InvalidArgumentError(absl::StrCat(
          "\"", *it, "\" is no flag, or needs a value; see ", syntax.program, " --help"));
    }
  }
  return out;
}

absl::Status WrongFlag(absl::string_view flag, absl::string_view found, absl::string_view allowed) {
  return absl::InvalidArgumentError(
      absl::StrCat(flag, ": found \"", found, "\", allowed ", allowed));
}

absl::Status UnknownFlag(absl::string_view flag, const FlagSyntax& syntax) {
  return absl::InvalidArgumentError(
      absl::StrCat("unknown flag \"", flag, "\"; see ", syntax.program, " --help"));
}

bool ParseNumber(absl::string_view text, uint32_t low, uint32_t high, uint32_t* out) {
  const bool digits = !text.empty() && std::all_of(text.begin(), text.end(),
                                                   [](char c) { return c >= '0' && c <= '9'; });
  return digits && absl::SimpleAtoi(text, out) && *out >= low && *out <= high;
}

absl::Status SetNumber(absl::string_view flag, absl::string_view text, uint32_t low, uint32_t high,
                       uint32_t* out, absl::string_view unit) {
  if (ParseNumber(text, low, high, out)) return absl::OkStatus();
  return WrongFlag(
      flag, text,
      absl::StrCat(low, " to ", high, unit.empty() ? "" : absl::StrCat(" (", unit, ")")));
}

}  // namespace heddle::base
