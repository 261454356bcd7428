#include "source/proxy/header_mutation.h"

#include "absl/strings/match.h"

namespace heddle::proxy {
namespace {

bool SetPseudo(http::RequestHead& head, absl::string_view name, absl::string_view value) {
  if (name == "host" || name == ":authority") {
    head.SetAuthority(value);
  } else if (name == ":path") {
    head.SetPath(value);
  } else if (name == ":method") {
    head.SetMethod(value);
  } else if (name == ":scheme") {
    head.SetScheme(value);
  } else {
    return false;
  }
  return true;
}

void Write(http::Headers& headers, const config::HeaderOption& option, absl::string_view value) {
  using Action = config::HeaderOption::Action;
  switch (option.action) {
    case Action::kAppendOrAdd:
      headers.Add(option.name, value);
      break;
    case Action::kAddIfAbsent:
      if (!headers.Get(option.name)) headers.Add(option.name, value);
      break;
    case Action::kOverwriteOrAdd:
      headers.Set(option.name, value);
      break;
    case Action::kOverwriteIfExists:
      if (headers.Get(option.name)) headers.Set(option.name, value);
      break;
  }
}

}  // namespace

HeaderMutation::HeaderMutation(const config::HeaderMutations& config) : remove_(config.remove) {
  steps_.reserve(config.add.size());
  for (const config::HeaderOption& option : config.add) {
    Step& step = steps_.emplace_back(Step{option, std::nullopt});
    if (!absl::StrContains(option.value, '%')) continue;
    auto format = observe::Formatter::Text(option.value, /*omit_empty=*/true);
    if (format.ok()) step.format = *std::move(format);
  }
}

void HeaderMutation::Apply(http::Headers& headers, const observe::AccessRecord& record,
                           http::RequestHead* head) const {
  for (const std::string& name : remove_) headers.Remove(name);
  std::string formatted;
  for (const Step& step : steps_) {
    absl::string_view value = step.option.value;
    if (step.format) {
      formatted.clear();
      step.format->Append(record, &formatted);
      value = formatted;
    }
    if (value.empty() && !step.option.keep_empty_value) continue;
    if (head != nullptr && SetPseudo(*head, step.option.name, value)) continue;
    Write(headers, step.option, value);
  }
}

}  // namespace heddle::proxy
