// The small part of Helm's template language that our chart is written in. What is not in it is an
// error, so that a chart which renders here renders the same with Helm:
//
//   {{ .Values.a.b }}  {{ . }}  {{ toYaml .Values.a | nindent 8 }}  {{ .Values.a | toJson | quote
//   }}
//   {{- if .Values.a }} ... {{- else }} ... {{- end }}    {{- range .Values.list }} ... {{- end }}
//
// Functions: quote, toYaml, toJson, indent N, nindent N. "{{-" and "-}}" trim white space as Go
// does.
//
//   HEDDLE_ASSIGN_OR_RETURN(std::string text, RenderTemplate("pdb.yaml", source, data));
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace heddle::install {

// `data` is what "." is at the top. Errors begin with "<name>:<line>: ". A path that is not there
// is an error: every value has a default.
absl::StatusOr<std::string> RenderTemplate(absl::string_view name, absl::string_view source,
                                           const nlohmann::json& data);

// Block-style YAML without a final line break; maps in key order.
std::string ToYaml(const nlohmann::json& value);
// As Go's encoding/json writes it.
std::string ToGoJson(const nlohmann::json& value);

}  // namespace heddle::install
