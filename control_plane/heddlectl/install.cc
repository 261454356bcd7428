// heddlectl install, heddlectl uninstall: text only, no cluster is asked.
#include "control_plane/heddlectl/install.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "control_plane/heddlectl/commands.h"
#include "control_plane/install/template.h"
#include "control_plane/install/values.h"
#include "source/base/status.h"

namespace heddle::heddlectl {
namespace {

using install::Manifest;
using nlohmann::json;

constexpr size_t kMaxFile = 1 << 20;

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream text;
  if (!in || !(text << in.rdbuf()))
    return absl::NotFoundError(absl::StrCat("--values ", path, ": cannot be read"));
  if (text.str().size() > kMaxFile)
    return absl::InvalidArgumentError(absl::StrCat("--values ", path, ": larger than 1 MiB"));
  return text.str();
}

bool IsDnsLabel(const std::string& text) {
  return !text.empty() && text.size() <= 63 && text.front() != '-' && text.back() != '-' &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

absl::Status CheckNamespace(const std::string& ns) {
  if (IsDnsLabel(ns)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--namespace \"", ns, "\": want 1 to 63 of a-z, 0-9 and '-'"));
}

absl::StatusOr<json> ReadValues(const Args& args) {
  HEDDLE_ASSIGN_OR_RETURN(json values, install::DefaultValues());
  values["namespace"]["create"] = true;
  for (const std::string& path : args.All("values")) {
    HEDDLE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
    HEDDLE_RETURN_IF_ERROR(install::MergeValuesFile(path, text, &values));
  }
  for (const std::string& one : args.All("set"))
    HEDDLE_RETURN_IF_ERROR(install::SetValue(one, &values));
  HEDDLE_RETURN_IF_ERROR(install::CheckValues(values));
  return values;
}

// Only what names the object.
std::string Reference(const Manifest& manifest) {
  return absl::StrCat("apiVersion: ", manifest.api_version, "\nkind: ", manifest.kind,
                      "\nmetadata:\n  name: ", manifest.name,
                      manifest.ns.empty() ? "" : "\n  namespace: ", manifest.ns, "\n");
}

}  // namespace

absl::StatusOr<std::vector<Manifest>> RequestedManifests(const Args& args) {
  HEDDLE_RETURN_IF_ERROR(CheckNamespace(args.Get("namespace")));
  HEDDLE_ASSIGN_OR_RETURN(const json values, ReadValues(args));
  return install::RenderChart({.ns = args.Get("namespace")}, values);
}

int Install(const Args& args, Terminal& terminal) {
  if (!args.rest().empty())
    return Misused(terminal, "install takes no arguments; see heddlectl install --help");
  if (args.Has("show-values")) {
    const absl::StatusOr<json> values = ReadValues(args);
    if (!values.ok()) return Fail(terminal, values.status());
    terminal.out << install::ToYaml(*values) << "\n";
    return 0;
  }
  const absl::StatusOr<std::vector<Manifest>> manifests = RequestedManifests(args);
  if (!manifests.ok()) return Fail(terminal, manifests.status());
  for (const Manifest& one : *manifests) terminal.out << "---\n" << one.text;
  return 0;
}

int Uninstall(const Args& args, Terminal& terminal) {
  if (!args.rest().empty())
    return Misused(terminal, "uninstall takes no arguments; see heddlectl uninstall --help");
  const std::string ns = args.Get("namespace");
  if (const absl::Status status = CheckNamespace(ns); !status.ok()) return Fail(terminal, status);
  absl::StatusOr<json> values = install::DefaultValues();
  if (!values.ok()) return Fail(terminal, values.status());
  (*values)["namespace"]["create"] = !args.Has("keep-namespace");
  absl::StatusOr<std::vector<Manifest>> manifests = install::RenderChart({.ns = ns}, *values);
  if (!manifests.ok()) return Fail(terminal, manifests.status());
  // Made by heddle-control at run time. The secret is the mesh's certificate authority.
  manifests->push_back({"coordination.k8s.io/v1", "Lease", ns, "heddle-control", {}});
  if (!args.Has("keep-namespace")) manifests->push_back({"v1", "Secret", ns, "heddle-ca", {}});
  std::reverse(manifests->begin(), manifests->end());
  std::stable_partition(manifests->begin(), manifests->end(), [](const Manifest& one) {
    return absl::EndsWith(one.kind, "WebhookConfiguration");
  });
  for (const Manifest& one : *manifests)
    if (one.kind != "CustomResourceDefinition" || args.Has("crds"))
      terminal.out << "---\n" << Reference(one);
  return 0;
}

}  // namespace heddle::heddlectl
