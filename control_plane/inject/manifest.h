// Manifests as people keep them: files of several documents, each perhaps with a pod template, read
// and written with the order of their members kept. Comments are not.
//
//   HEDDLE_ASSIGN_OR_RETURN(std::vector<nlohmann::ordered_json> documents,
//                           ReadManifest(text, "web.yaml"));
//   for (auto& document : documents)
//     for (const PodPlace& place : FindPods(document)) ...
//   out << WriteManifest(documents);
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace heddle::inject {

absl::StatusOr<std::vector<nlohmann::ordered_json>> ReadManifest(absl::string_view text,
                                                                 const std::string& name);

// Block-style YAML, documents separated by "---".
std::string WriteManifest(const std::vector<nlohmann::ordered_json>& documents);
std::string WriteYaml(const nlohmann::ordered_json& document);

struct PodPlace {
  std::string pointer;  // JSON pointer of what has the pod's metadata and spec; "" for a Pod
  std::string object;   // "Deployment shop/web"
  std::string ns;       // "" when not written
};

// Where in a document pods are described: Pod, Deployment, ReplicaSet, ReplicationController,
// StatefulSet, DaemonSet, Job, CronJob, PodTemplate, and Lists of these. Other kinds: none.
std::vector<PodPlace> FindPods(const nlohmann::ordered_json& document);

// The pod at `place`, and the document with that pod changed to `after` member by member, so that
// what did not change stays where it was.
nlohmann::json PodAt(const nlohmann::ordered_json& document, const PodPlace& place);
absl::Status ChangePod(const PodPlace& place, const nlohmann::json& after,
                       nlohmann::ordered_json* document);

}  // namespace heddle::inject
