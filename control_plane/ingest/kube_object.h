// From an object of the Kubernetes API to what Merge takes. Kubernetes' own kinds are read
// leniently and only what the mesh uses of them is kept, so that a change of anything else is none;
// Gateway API routes and our kinds are read as strictly as from a file. Pure.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "control_plane/ingest/parse.h"
#include "control_plane/model/digest.h"
#include "control_plane/model/types.h"

namespace heddle::ingest {

enum class KubeKind {
  kNamespace,
  kNode,
  kPod,
  kService,
  kEndpointSlice,
  kHttpRoute,
  kGrpcRoute,
  kReferenceGrant,
  kMeshConfig,
  kBackendPolicy,
  kAuthorizationPolicy,
  kWorkloadPolicy,
  kWorkload,
};

struct KubeResource {
  KubeKind kind;
  const char* api_version;     // "discovery.k8s.io/v1"
  const char* name;            // "EndpointSlice"
  const char* plural;          // "endpointslices"
  const char* label_selector;  // empty: all
  bool has_status;             // we write conditions to it
};
// Every one that is watched.
const std::vector<KubeResource>& KubeResources();
// "/apis/discovery.k8s.io/v1/endpointslices"; "/api/v1/pods".
std::string ResourcePath(const KubeResource& resource);
// Of one object, with its namespace when it has one.
std::string ObjectPath(const KubeResource& resource, absl::string_view ns, absl::string_view name);

// The node's topology labels.
model::Locality NodeLocality(const nlohmann::json& node);

// What a status is written to.
struct StatusTarget {
  const KubeResource* resource = nullptr;
  std::string ns, name, uid;
  int64_t generation = 0;
  std::vector<std::string> parents;  // a route's, those that are Services, as JSON
};

struct KubeObject {
  std::optional<ParsedFile> file;  // unset: not the mesh's
  model::Digest digest;            // of what is in it
  std::optional<StatusTarget> status;
};
// `name` is how problems and the status writer call it: "HTTPRoute bookshop/reviews".
KubeObject ReadKubeObject(const KubeResource& resource, const nlohmann::json& object,
                          const model::Locality& locality);
std::string FileName(const KubeResource& resource, absl::string_view ns, absl::string_view name);

// The node a pod is on, and whether it has our sidecar.
std::string PodNode(const nlohmann::json& pod);
bool HasSidecar(const nlohmann::json& pod);
// The namespace label heddle.dev/inject is "enabled".
bool WantsInjection(const nlohmann::json& ns);

}  // namespace heddle::ingest
