// Pod shapes kept as files: what goes in, under which settings, and what comes out. A file holds
// YAML documents: the case (`case`, and optionally `settings`, `namespace`, `namespaceLabels`), the
// object, and then, written by `bazel run //test/control_plane/inject:update_goldens`, the result
// and the object as injected.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "control_plane/inject/decide.h"
#include "control_plane/inject/manifest.h"
#include "control_plane/inject/settings.h"

namespace heddle::test {

struct Golden {
  std::string sentence;
  inject::Settings settings;
  inject::Namespace ns;
  std::vector<nlohmann::ordered_json> documents;  // of the file
  nlohmann::ordered_json input;
};

absl::StatusOr<Golden> ReadGolden(const std::string& text, const std::string& name);

// The whole file, with the result as it is now.
absl::StatusOr<std::string> PrintGolden(const Golden& golden);

std::string ReadText(const std::string& path);
// Every *.yaml of the folder, sorted.
std::vector<std::string> GoldenFiles(const std::string& folder);

}  // namespace heddle::test
