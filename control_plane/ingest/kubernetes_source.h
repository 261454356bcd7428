// A cluster as the source of configuration: Services, EndpointSlices, Pods with a sidecar, Gateway
// API routes and our own kinds, watched. Each object is what a file is in a directory: what is
// wrong with one changes nothing but that one, and what it said before serves on.
//
// The first update comes when every kind was listed. Changes are gathered until 10 ms passed
// without another, 100 ms at most. A change of anything that the mesh does not use is none.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "control_plane/ingest/kube_object.h"
#include "control_plane/ingest/source.h"
#include "control_plane/kube/client.h"
#include "control_plane/model/build.h"

namespace heddle::ingest {

struct KubernetesSourceOptions {
  model::WorldOptions world;
  // Where ConfigMap heddle-last-good is; empty: it is not looked for.
  std::string system_namespace = {};
  absl::Duration quiet = absl::Milliseconds(10);
  absl::Duration longest_wait = absl::Milliseconds(100);
};

// What of the cluster is not configuration.
struct ClusterView {
  // Namespaces whose pods need the trust bundle: labelled, or with a pod that has a sidecar.
  std::set<std::string> meshed;
  // What we write a status to, by the `file` of its problems.
  std::map<std::string, StatusTarget> targets;
};

// How one resource is followed; see kube::ReflectorCounters.
struct WatchReport {
  std::string resource;  // "httproutes"
  uint64_t lists = 0, watches = 0, events = 0, failures = 0, expired = 0;
};

class KubernetesSource : public Source {
 public:
  // `client` outlives it.
  static std::unique_ptr<KubernetesSource> Make(kube::Client& client,
                                                KubernetesSourceOptions options);

  // The rest: any thread.
  virtual bool synced() const = 0;
  // What is waited for, and what went wrong last, for the status page; empty when all is well.
  virtual std::vector<std::string> Waiting() const = 0;
  virtual std::shared_ptr<const ClusterView> view() const = 0;
  virtual std::vector<WatchReport> Watches() const = 0;
  // Of a pod that has a sidecar; empty: not known.
  virtual std::string PodUid(absl::string_view ns, absl::string_view name) const = 0;
  // Nullopt: no such namespace is known.
  virtual std::optional<std::map<std::string, std::string>> NamespaceLabels(
      absl::string_view ns) const = 0;
};

}  // namespace heddle::ingest
