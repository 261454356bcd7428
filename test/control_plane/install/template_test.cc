// The template language of the chart, as Go's text/template and Helm's functions have it.
#include "control_plane/install/template.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"

namespace heddle::install {
namespace {

using nlohmann::json;

const json& Data() {
  static const auto& data = *new json(json::parse(R"({
    "Values": {"name": "web", "count": 3, "on": true, "off": false, "none": "", "list": ["a", "b c"],
               "nothing": [], "map": {"b": "2", "a": {"x": [1, {"z": null}]}}, "odd": "yes"},
    "Release": {"Namespace": "mesh"}})"));
  return data;
}

SCENARIO("a template renders as Helm would render it") {
  struct Case {
    const char* source;
    const char* expect;
  };
  const Case cases[] = {
      {"plain", "plain"},
      {"a: {{ .Values.name }}", "a: web"},
      {"a: {{.Values.count}}", "a: 3"},
      {"a: {{ .Values.on }}", "a: true"},
      {"a: {{ .Values.name | quote }}", "a: \"web\""},
      {"a: {{ .Values.count | quote }}", "a: \"3\""},
      {"a: {{ quote .Values.name }}", "a: \"web\""},
      {"a:  {{- .Values.name }}\nb", "a:web\nb"},
      {"a: {{ .Values.name -}}\n  b", "a: webb"},
      {"{{- if .Values.on }}\nyes\n{{- end }}\n", "\nyes\n"},
      {"{{- if .Values.off }}\nyes\n{{- end }}\n", "\n"},
      {"{{- if not .Values.off }}x{{- end }}", "x"},
      {"{{ if .Values.none }}a{{ else }}b{{ end }}", "b"},
      {"{{ if .Values.nothing }}a{{ end }}", ""},
      {"{{ if .Values.off }}{{ .Values.missing }}{{ if .x }}{{ end }}{{ end }}", ""},
      {"l:\n{{- range .Values.list }}\n- {{ . | quote }}\n{{- end }}", "l:\n- \"a\"\n- \"b c\""},
      {"{{ range .Values.nothing }}x{{ end }}", ""},
      {"{{ toYaml .Values.map }}", "a:\n  x:\n    - 1\n    - z: null\nb: \"2\""},
      {"m:\n  {{- toYaml .Values.map | nindent 2 }}",
       "m:\n  a:\n    x:\n      - 1\n      - z: null\n  b: \"2\""},
      {"{{ .Values.list | toJson }}", "[\"a\",\"b c\"]"},
      {"{{ .Values.nothing | toYaml | indent 2 }}", "  []"},
      {"{{ .Values.odd | toYaml }}", "\"yes\""},
      {"{{/* not printed */}}a", "a"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.source);
    const auto text = RenderTemplate("t.yaml", c.source, Data());
    CAPTURE(text.status().ToString());
    REQUIRE(text.ok());
    REQUIRE(*text == c.expect);
  }
}

SCENARIO("what the language does not have is an error with its line") {
  struct Case {
    const char* source;
    const char* expect;
  };
  const Case cases[] = {
      {"\n{{ .Values.nme }}", "t.yaml:2: {{ .Values.nme }}: there is no \"nme\" in .Values.nme"},
      {"{{ .Values.name | upper }}", "no function \"upper\""},
      {"{{ include \"x\" . }}", "no function \"include\""},
      {"{{ if .Values.on }}", "is not closed"},
      {"{{ end }}", "nothing that this closes"},
      {"\n\n{{ .Values.on", "t.yaml:3: {{ without }}"},
      {"{{ range .Values.map }}{{ end }}", "not a list"},
      {"{{ .Values.name | nindent x }}", "no function \"nindent\""},
      {"{{ | quote }}", "empty"},
      {"{{ quote }}", "does not begin with a value"},
      {"{{ .Values.name.more }}", "there is no \"more\""},
      {"{{ .Values.name | .Values.on }}", "only stand at the beginning"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.source);
    const auto text = RenderTemplate("t.yaml", c.source, Data());
    REQUIRE_FALSE(text.ok());
    CAPTURE(std::string(text.status().message()));
    REQUIRE(absl::StrContains(text.status().message(), c.expect));
  }
}

}  // namespace
}  // namespace heddle::install
