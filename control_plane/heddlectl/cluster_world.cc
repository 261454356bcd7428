#include "control_plane/heddlectl/cluster_world.h"

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "control_plane/heddlectl/http_client.h"
#include "control_plane/ingest/kube_object.h"
#include "control_plane/ingest/merge.h"
#include "source/base/status.h"

namespace heddle::heddlectl {
namespace {

using nlohmann::json;

std::string NameOf(const json& object) {
  const json::json_pointer at("/metadata/name");
  return object.contains(at) && object[at].is_string() ? object[at].get<std::string>() : "";
}

// The items of a list; none when the kind is not served.
absl::StatusOr<json> List(const Kubectl& kubectl, const ingest::KubeResource& resource) {
  const std::string selector = resource.label_selector;
  const absl::StatusOr<std::string> text =
      kubectl.Run({"get", "--raw",
                   absl::StrCat(ingest::ResourcePath(resource),
                                selector.empty() ? "" : "?labelSelector=", EncodeQuery(selector))});
  if (absl::IsNotFound(text.status())) return json::array();
  if (!text.ok()) return text.status();
  const json list = json::parse(*text, nullptr, false);
  if (!list.is_object() || !list.contains("items"))
    return absl::DataLossError(
        absl::StrCat("no list of ", resource.plural, ": ", text->substr(0, 200)));
  return list["items"].is_array() ? list["items"] : json::array();
}

using Localities = std::map<std::string, model::Locality>;

absl::StatusOr<Localities> ReadNodes(const Kubectl& kubectl) {
  Localities out;
  for (const ingest::KubeResource& resource : ingest::KubeResources()) {
    if (resource.kind != ingest::KubeKind::kNode) continue;
    HEDDLE_ASSIGN_OR_RETURN(const json items, List(kubectl, resource));
    for (const json& item : items)
      if (item.is_object()) out[NameOf(item)] = ingest::NodeLocality(item);
  }
  return out;
}

}  // namespace

absl::StatusOr<ingest::Update> LoadCluster(const Kubectl& kubectl, model::WorldOptions options) {
  options.live = true;
  ingest::Merge merge(std::move(options));
  HEDDLE_ASSIGN_OR_RETURN(Localities nodes, ReadNodes(kubectl));
  for (const ingest::KubeResource& resource : ingest::KubeResources()) {
    const bool pod = resource.kind == ingest::KubeKind::kPod;
    if (resource.kind == ingest::KubeKind::kNode || resource.kind == ingest::KubeKind::kNamespace)
      continue;
    HEDDLE_ASSIGN_OR_RETURN(const json items, List(kubectl, resource));
    for (const json& item : items) {
      if (!item.is_object()) continue;
      // A pod is where its node is.
      const model::Locality locality = pod ? nodes[ingest::PodNode(item)] : model::Locality();
      ingest::KubeObject read = ingest::ReadKubeObject(resource, item, locality);
      if (read.file.has_value()) merge.Put(*std::move(read.file));
    }
  }
  merge.Apply();
  ingest::Update update;
  update.generation = 1;
  update.world = merge.world();
  update.problems = merge.problems();
  return update;
}

}  // namespace heddle::heddlectl
