#include "control_plane/heddlectl/args.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace heddle::heddlectl {

namespace {

// The name that a word means as a flag, with its value behind a '='; empty: it is none.
absl::string_view FlagName(const std::vector<FlagSpec>& specs, absl::string_view word) {
  if (absl::ConsumePrefix(&word, "--")) return word;
  if (word.size() != 2 || word[0] != '-') return "";
  for (const FlagSpec& spec : specs)
    if (spec.letter == word.substr(1)) return spec.name;
  return "";
}

const FlagSpec* Find(const std::vector<FlagSpec>& specs, absl::string_view name) {
  for (const FlagSpec& spec : specs)
    if (spec.name == name) return &spec;
  return nullptr;
}

}  // namespace

absl::StatusOr<Args> Args::Parse(const std::vector<FlagSpec>& specs,
                                 const std::vector<std::string>& words) {
  Args out;
  for (const FlagSpec& spec : specs)
    if (!spec.fallback.empty()) out.fallbacks_[std::string(spec.name)] = std::string(spec.fallback);
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--") {  // no flags behind it
      out.rest_.insert(out.rest_.end(), words.begin() + static_cast<ptrdiff_t>(i) + 1, words.end());
      break;
    }
    const absl::string_view flag = FlagName(specs, words[i]);
    if (flag.empty()) {
      out.rest_.push_back(words[i]);
      continue;
    }
    const size_t equals = flag.find('=');
    const bool has_value = equals != absl::string_view::npos;
    const std::string name(flag.substr(0, equals));
    const FlagSpec* const spec = Find(specs, name);
    if (spec == nullptr)
      return absl::InvalidArgumentError(absl::StrCat("--", name, ": no such flag here"));
    if (spec->value.empty() && has_value)
      return absl::InvalidArgumentError(absl::StrCat("--", name, " takes no value"));
    std::string value(has_value ? flag.substr(equals + 1) : "");
    if (!spec->value.empty() && !has_value) {
      if (++i == words.size())
        return absl::InvalidArgumentError(absl::StrCat("--", name, " wants ", spec->value));
      value = words[i];
    }
    out.given_.emplace(name, std::move(value));
  }
  return out;
}

bool Args::Has(absl::string_view name) const {
  return given_.find(std::string(name)) != given_.end();
}

std::string Args::Get(absl::string_view name) const {
  const std::vector<std::string> all = All(name);
  if (!all.empty()) return all.back();
  const auto fallback = fallbacks_.find(std::string(name));
  return fallback == fallbacks_.end() ? "" : fallback->second;
}

std::vector<std::string> Args::All(absl::string_view name) const {
  std::vector<std::string> out;
  const auto [begin, end] = given_.equal_range(std::string(name));
  for (auto at = begin; at != end; ++at) out.push_back(at->second);
  return out;
}

std::string FlagHelp(const std::vector<FlagSpec>& specs) {
  constexpr size_t kColumn = 30;
  std::string out;
  for (const FlagSpec& spec : specs) {
    absl::StrAppendFormat(&out, "  %-27s ",
                          absl::StrCat(spec.letter.empty() ? "" : "-", spec.letter,
                                       spec.letter.empty() ? "--" : ", --", spec.name,
                                       spec.value.empty() ? "" : " ", spec.value));
    size_t column = kColumn;
    std::string text(spec.help);
    if (!spec.fallback.empty()) absl::StrAppend(&text, " Default ", spec.fallback, ".");
    for (const absl::string_view word : absl::StrSplit(text, ' ')) {
      if (column + word.size() > 100) {
        out.back() = '\n';
        out.append(kColumn, ' ');
        column = kColumn;
      }
      absl::StrAppend(&out, word, " ");
      column += word.size() + 1;
    }
    out.back() = '\n';
  }
  return out;
}

}  // namespace heddle::heddlectl
