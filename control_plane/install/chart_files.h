// The Helm chart of this folder, as it was when the program was built: heddlectl carries it along.
#pragma once

#include <vector>

#include "absl/strings/string_view.h"

namespace heddle::install {

struct ChartFile {
  absl::string_view path;  // "templates/service.yaml", below chart/
  absl::string_view text;
};

// By path.
const std::vector<ChartFile>& ChartFiles();
// Empty when there is none.
absl::string_view ChartFileText(absl::string_view path);

}  // namespace heddle::install
