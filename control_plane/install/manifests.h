// What an installation consists of, in the order in which it is applied.
//
//   HEDDLE_ASSIGN_OR_RETURN(std::vector<Manifest> all, RenderChart({.ns = "heddle-system"},
//   values)); for (const Manifest& one : all) std::cout << "---\n" << one.text;
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace heddle::install {

struct Manifest {
  std::string api_version;
  std::string kind;
  std::string ns;  // empty: of the cluster
  std::string name;
  std::string text;  // ends with a line break

  std::string ToString() const;  // "Deployment heddle-system/heddle-control"
};

struct Release {
  std::string ns = "heddle-system";
};

// `values` are complete and checked. A MeshConfig among the manifests and the injection settings
// are checked by the rules of heddle-control.
absl::StatusOr<std::vector<Manifest>> RenderChart(const Release& release,
                                                  const nlohmann::json& values);

// The chart's appVersion.
std::string ChartVersion();

}  // namespace heddle::install
