// The values of an installation: the chart's defaults, then files, then single keys, checked
// against the chart's values.schema.json.
//
//   HEDDLE_ASSIGN_OR_RETURN(json values, DefaultValues());
//   HEDDLE_RETURN_IF_ERROR(MergeValuesFile("mine.yaml", text, &values));
//   HEDDLE_RETURN_IF_ERROR(SetValue("control.replicas=3", &values));
//   HEDDLE_RETURN_IF_ERROR(CheckValues(values));
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace heddle::install {

// values.yaml of the chart.
absl::StatusOr<nlohmann::json> DefaultValues();

// One YAML or JSON document. Maps are merged key by key; anything else replaces what was there.
absl::Status MergeValuesFile(absl::string_view name, absl::string_view text,
                             nlohmann::json* values);

// "a.b=VALUE". VALUE is YAML ("3", "true", "[a, b]"), or the text itself where the schema wants
// text.
absl::Status SetValue(absl::string_view assignment, nlohmann::json* values);

// InvalidArgument that names every key that is unknown or not allowed, one per line.
absl::Status CheckValues(const nlohmann::json& values);

// YAML or JSON text, at most one document, as JSON; none: null. Whole numbers stay whole.
absl::StatusOr<nlohmann::json> ParseYamlValue(absl::string_view name, absl::string_view text);

}  // namespace heddle::install
