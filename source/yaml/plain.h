// YAML documents of which no message is known (manifests of other people's kinds), as JSON text.
// Plain scalars are typed as Kubernetes' own tools type them, which is YAML 1.1: `yes`, `no`, `on`
// and `off` are booleans, 0644 is octal, and a `<<` key merges maps.
//
//   HEDDLE_ASSIGN_OR_RETURN(std::vector<std::string> documents, yaml::ToPlainJson(text, options));
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "source/yaml/yaml.h"

namespace heddle::yaml {

// One JSON text for each document that is not empty, members in the order of the text. The input is
// bounded by `options` as everywhere.
absl::StatusOr<std::vector<std::string>> ToPlainJson(absl::string_view text,
                                                     const Options& options);

}  // namespace heddle::yaml
