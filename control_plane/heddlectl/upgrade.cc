// heddlectl upgrade: install, after a look at what is there.
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "control_plane/heddlectl/commands.h"
#include "control_plane/heddlectl/install.h"
#include "control_plane/heddlectl/kubectl.h"
#include "control_plane/install/values.h"
#include "control_plane/status/version.h"
#include "source/base/status.h"

namespace heddle::heddlectl {
namespace {

using install::Manifest;
using nlohmann::json;

// Major and minor of "1.2.3"; negative when it is no version.
struct Release {
  int major = -1, minor = -1;
};

Release ReadVersion(const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, '.');
  Release out;
  if (parts.size() != 3 || !absl::SimpleAtoi(parts[0], &out.major) ||
      !absl::SimpleAtoi(parts[1], &out.minor))
    return {};
  return out;
}

// Why this version must not follow `installed`; empty: it may.
std::string SkewProblem(const std::string& installed) {
  const Release from = ReadVersion(installed), to = ReadVersion(kControlVersion);
  if (from.major < 0)
    return absl::StrCat("the installed heddle-control has no version label (\"", installed, "\")");
  if (from.major != to.major) return "another major version: uninstall and install";
  if (from.minor > to.minor) return "the installed one is newer";
  if (to.minor - from.minor > 1)
    return "more than one minor version apart: sidecars of the installed one are not supported";
  return "";
}

// Where an object stands in the API.
std::string PathOf(const Manifest& manifest) {
  static const auto& plurals = *new std::map<std::string, std::string>{
      {"Namespace", "namespaces"},
      {"CustomResourceDefinition", "customresourcedefinitions"},
      {"ServiceAccount", "serviceaccounts"},
      {"ClusterRole", "clusterroles"},
      {"ClusterRoleBinding", "clusterrolebindings"},
      {"Role", "roles"},
      {"RoleBinding", "rolebindings"},
      {"ConfigMap", "configmaps"},
      {"Service", "services"},
      {"PodDisruptionBudget", "poddisruptionbudgets"},
      {"Deployment", "deployments"},
      {"MutatingWebhookConfiguration", "mutatingwebhookconfigurations"},
      {"ValidatingWebhookConfiguration", "validatingwebhookconfigurations"},
      {"MeshConfig", "meshconfigs"}};
  const bool core = manifest.api_version == "v1";
  return absl::StrCat(core ? "/api/" : "/apis/", manifest.api_version,
                      manifest.ns.empty() ? "" : "/namespaces/", manifest.ns, "/",
                      plurals.at(manifest.kind), "/", manifest.name);
}

// The paths at which `there` lacks what `wanted` says. What the API server added is no difference.
void Differences(const json& wanted, const json& there, const std::string& path,
                 std::vector<std::string>* out) {
  if (wanted.is_object() && there.is_object()) {
    for (const auto& [key, value] : wanted.items()) {
      const std::string here = absl::StrCat(path, path.empty() ? "" : ".", key);
      const auto it = there.find(key);
      const bool empty = value.is_null() || (value.is_structured() && value.empty());
      if (it != there.end())
        Differences(value, *it, here, out);
      else if (!empty)
        out->push_back(here);
    }
    return;
  }
  if (wanted.is_array() && there.is_array() && wanted.size() == there.size()) {
    for (size_t i = 0; i < wanted.size(); ++i)
      Differences(wanted[i], there[i], absl::StrCat(path, "[", i, "]"), out);
    return;
  }
  if (wanted != there) out->push_back(path);
}

std::string Summary(const std::vector<std::string>& paths) {
  constexpr size_t kShown = 6;
  std::vector<std::string> shown(
      paths.begin(), paths.begin() + static_cast<ptrdiff_t>(std::min(kShown, paths.size())));
  if (paths.size() > kShown) shown.push_back(absl::StrCat("and ", paths.size() - kShown, " more"));
  return absl::StrJoin(shown, ", ");
}

// "new", "unchanged", or what differs.
absl::StatusOr<std::string> Compare(const Kubectl& kubectl, const Manifest& manifest) {
  const absl::StatusOr<std::string> text = kubectl.Run({"get", "--raw", PathOf(manifest)});
  if (absl::IsNotFound(text.status())) return "new";
  if (!text.ok()) return text.status();
  const json there = json::parse(*text, nullptr, false);
  HEDDLE_ASSIGN_OR_RETURN(const json wanted,
                          install::ParseYamlValue(manifest.ToString(), manifest.text));
  std::vector<std::string> differences;
  Differences(wanted, there, "", &differences);
  return differences.empty() ? "unchanged" : absl::StrCat("changes ", Summary(differences));
}

}  // namespace

int Upgrade(const Args& args, Terminal& terminal) {
  if (!args.rest().empty())
    return Misused(terminal, "upgrade takes no arguments; see heddlectl upgrade --help");
  const absl::StatusOr<std::vector<Manifest>> manifests = RequestedManifests(args);
  if (!manifests.ok()) return Fail(terminal, manifests.status());
  const Kubectl kubectl = Kubectl::FromArgs(args);
  const std::string ns = args.Get("namespace");
  const absl::StatusOr<Json> deployment =
      kubectl.Get(absl::StrCat("/apis/apps/v1/namespaces/", ns, "/deployments/heddle-control"));
  if (absl::IsNotFound(deployment.status()))
    return Fail(terminal, absl::FailedPreconditionError(absl::StrCat(
                              "there is no heddle-control in namespace ", ns,
                              ": heddlectl install, or give its namespace with --namespace")));
  if (!deployment.ok()) return Fail(terminal, deployment.status());
  const std::string installed =
      (*deployment)["metadata"]["labels"]["app.kubernetes.io/version"].Text();
  if (const std::string problem = SkewProblem(installed); !problem.empty())
    return Fail(terminal, absl::FailedPreconditionError(absl::StrCat(
                              "from ", installed, " to ", kControlVersion, ": ", problem)));
  terminal.err << "heddle-control " << installed << " -> " << kControlVersion << "\n";
  for (const Manifest& one : *manifests) {
    const absl::StatusOr<std::string> found = Compare(kubectl, one);
    if (!found.ok()) return Fail(terminal, found.status());
    if (*found != "unchanged") terminal.err << "  " << one.ToString() << ": " << *found << "\n";
  }
  terminal.err
      << "After applying: kubectl -n " << ns
      << " rollout status deployment/heddle-control, heddlectl check, and a rolling restart "
         "of the injected workloads for the new sidecar\n";
  if (args.Has("dry-run")) return 0;
  for (const Manifest& one : *manifests) terminal.out << "---\n" << one.text;
  return 0;
}

}  // namespace heddle::heddlectl
