#include "control_plane/heddlectl/args.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace heddle::heddlectl {

absl::StatusOr<Args> Args::Parse(const std::vector<FlagSpec>& specs,
                                 const std::vector<std::string>& words) {
  Args out;
  for (const FlagSpec& spec : specs)
    if (!spec.fallback.empty()) out.fallbacks_[std::string(spec.name)] = std::string(spec.fallback);
  bool flags = true;
  for (size_t i = 0; i < words.size(); ++i) {
    absl::string_view word = words[i];
    if (flags && word == "--") {
      flags = false;
      continue;
    }
    const FlagSpec* found = nullptr;
    for (const FlagSpec& spec : specs)
      if (flags && word.size() == 2 && word[0] == '-' && word.substr(1) == spec.letter)
        found = &spec;
    if (found != nullptr) word = found->name;
    if (found == nullptr && (!flags || !absl::ConsumePrefix(&word, "--"))) {
      out.rest_.push_back(words[i]);
      continue;
    }
    const size_t equals = word.find('=');
    const std::string name(word.substr(0, equals));
    for (const FlagSpec& spec : specs)
      if (spec.name == name) found = &spec;
    if (found == nullptr)
      return absl::InvalidArgumentError(absl::StrCat("--", name, ": no such flag here"));
    if (found->value.empty()) {
      if (equals != absl::string_view::npos)
        return absl::InvalidArgumentError(absl::StrCat("--", name, " takes no value"));
      out.given_.emplace(name, "");
    } else if (equals != absl::string_view::npos) {
      out.given_.emplace(name, std::string(word.substr(equals + 1)));
    } else if (i + 1 < words.size()) {
      out.given_.emplace(name, words[++i]);
    } else {
      return absl::InvalidArgumentError(absl::StrCat("--", name, " wants ", found->value));
    }
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
