#include "control_plane/install/manifests.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "control_plane/ingest/parse.h"
#include "control_plane/inject/settings.h"
#include "control_plane/install/chart_files.h"
#include "control_plane/install/template.h"
#include "control_plane/install/values.h"
#include "control_plane/model/build.h"
#include "source/base/status.h"
#include "source/yaml/yaml.h"

namespace heddle::install {
namespace {

using nlohmann::json;

// What must be there before what. Webhooks come after who answers them; a MeshConfig needs its CRD.
constexpr std::array<absl::string_view, 14> kOrder = {
    "Namespace",
    "CustomResourceDefinition",
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "ConfigMap",
    "Service",
    "PodDisruptionBudget",
    "Deployment",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
    "MeshConfig",
};

size_t Rank(absl::string_view kind) {
  return static_cast<size_t>(std::find(kOrder.begin(), kOrder.end(), kind) - kOrder.begin());
}

// One file's documents.
absl::Status AddManifests(absl::string_view file, absl::string_view text,
                          std::vector<Manifest>* out) {
  yaml::Options options;
  options.file = std::string(file);
  for (const absl::string_view part : absl::StrSplit(text, "\n---\n")) {
    HEDDLE_ASSIGN_OR_RETURN(const std::vector<yaml::Document> documents,
                            yaml::Parse(part, options));
    if (documents.empty()) continue;
    const yaml::Document& document = documents.front();
    Manifest manifest{.api_version = std::string(document.Text("apiVersion")),
                      .kind = std::string(document.Text("kind")),
                      .ns = std::string(document.TextAt("metadata.namespace")),
                      .name = std::string(document.TextAt("metadata.name")),
                      .text = absl::StrCat(absl::StripAsciiWhitespace(part), "\n")};
    if (documents.size() != 1 || manifest.kind.empty() || manifest.name.empty())
      return absl::InternalError(absl::StrCat(file, ": not one object with a kind and a name"));
    out->push_back(std::move(manifest));
  }
  return absl::OkStatus();
}

// A MeshConfig that heddle-control would refuse is refused here.
absl::Status CheckMeshConfig(const Manifest& manifest, const json& values) {
  const ingest::ParsedFile file = ingest::ParseFile("meshConfig", manifest.text);
  std::vector<model::Problem> problems = file.problems;
  if (problems.empty()) {
    const model::BuildResult built = model::BuildWorld(
        file.objects,
        {.trust_domain = values.value("trustDomain", "cluster.local"),
         .control_address = model::HostPort{.host = "heddle-control", .port = 15010}});
    problems = built.problems;
  }
  std::vector<std::string> lines;
  for (const model::Problem& one : problems)
    if (one.severity == model::Severity::kError)
      lines.push_back(absl::StrCat("meshConfig.", one.path, ": ", one.message));
  return lines.empty() ? absl::OkStatus() : absl::InvalidArgumentError(absl::StrJoin(lines, "\n"));
}

// Injection settings that heddle-control would refuse are refused here.
absl::Status CheckInjection(const Manifest& manifest) {
  HEDDLE_ASSIGN_OR_RETURN(const json object, ParseYamlValue(manifest.ToString(), manifest.text));
  const json::json_pointer at("/data/settings.yaml");
  if (!object.contains(at) || !object[at].is_string())
    return absl::InternalError(absl::StrCat(manifest.ToString(), ": no settings.yaml"));
  return inject::ReadSettings(object[at].get<std::string>(), "injection").status();
}

}  // namespace

std::string Manifest::ToString() const {
  return absl::StrCat(kind, " ", ns, ns.empty() ? "" : "/", name);
}

std::string ChartVersion() {
  const absl::StatusOr<json> chart = ParseYamlValue("Chart.yaml", ChartFileText("Chart.yaml"));
  return chart.ok() && chart->is_object() ? chart->value("appVersion", "") : "";
}

absl::StatusOr<std::vector<Manifest>> RenderChart(const Release& release, const json& values) {
  const json data = {{"Values", values},
                     {"Release", {{"Namespace", release.ns}, {"Name", "heddle"}}},
                     {"Chart", {{"AppVersion", ChartVersion()}, {"Name", "heddle"}}}};
  std::vector<Manifest> out;
  for (const ChartFile& file : ChartFiles()) {
    if (absl::StartsWith(file.path, "crds/"))
      HEDDLE_RETURN_IF_ERROR(AddManifests(file.path, file.text, &out));
    if (!absl::StartsWith(file.path, "templates/") || !absl::EndsWith(file.path, ".yaml")) continue;
    HEDDLE_ASSIGN_OR_RETURN(const std::string text, RenderTemplate(file.path, file.text, data));
    HEDDLE_RETURN_IF_ERROR(AddManifests(file.path, text, &out));
  }
  for (const Manifest& one : out) {
    if (one.kind == "MeshConfig") {
      HEDDLE_RETURN_IF_ERROR(CheckMeshConfig(one, values));
    } else if (one.kind == "ConfigMap") {
      HEDDLE_RETURN_IF_ERROR(CheckInjection(one));
    }
  }
  std::stable_sort(out.begin(), out.end(), [](const Manifest& a, const Manifest& b) {
    return Rank(a.kind) < Rank(b.kind);
  });
  return out;
}

}  // namespace heddle::install
