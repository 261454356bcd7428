// Standard input, documents of YAML, as one JSON list: for tests in a language without YAML.
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "control_plane/install/values.h"

int main() {
  const std::string text = "\n" + std::string(std::istreambuf_iterator<char>(std::cin), {});
  nlohmann::json out = nlohmann::json::array();
  for (const absl::string_view part : absl::StrSplit(text, "\n---\n")) {
    const auto value = heddle::install::ParseYamlValue("input", part);
    if (!value.ok()) {
      std::cerr << value.status().message() << "\n" << part << "\n";
      return 1;
    }
    if (!value->is_null()) out.push_back(*value);
  }
  std::cout << out.dump() << "\n";
}
