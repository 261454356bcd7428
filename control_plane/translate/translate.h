// From a World to the xDS resources of one proxy: pure functions, memoised, so that a resource that
// two proxies share is made and encoded once and held once.
//
//   Translator translator;                          // one thread
//   absl::StatusOr<ProxyView> view = MakeProxyView(*world, {"bookshop", "web-a"}, {});
//   std::shared_ptr<const Snapshot> snapshot = translator.Translate(*world, *view);
//   for (const ResourceRef& cluster : snapshot->Of(ResourceType::kCluster)) Push(*cluster);
#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "control_plane/model/world.h"

namespace heddle::translate {

// In the order in which they are pushed (clusters before what refers to them).
enum class ResourceType { kCluster, kEndpoints, kListener, kRoutes };
inline constexpr size_t kResourceTypes = 4;

// "type.googleapis.com/envoy.config.cluster.v3.Cluster".
absl::string_view TypeUrl(ResourceType type);

// One encoded resource. Never changes.
struct Resource {
  ResourceType type = ResourceType::kCluster;
  std::string name;
  std::string version;  // hash of `body`: equal content, equal version, in every process
  std::string body;     // the message, serialised deterministically: Any.value under TypeUrl(type)
};
using ResourceRef = std::shared_ptr<const Resource>;

// Everything one proxy is given.
struct Snapshot {
  std::array<std::vector<ResourceRef>, kResourceTypes> resources;  // each sorted by name
  std::string version;                                             // hash over all versions
  // The same of each type: equal ones, equal resources.
  std::array<std::string, kResourceTypes> versions;
  // What could not be given and why, as sentences; for the status page.
  std::vector<std::string> notices;

  const std::vector<ResourceRef>& Of(ResourceType type) const {
    return resources[static_cast<size_t>(type)];
  }
  // Null: none of that name.
  ResourceRef Find(ResourceType type, absl::string_view name) const;
};

// What a proxy itself may say about itself (node.metadata). It changes how it is configured, never
// what it may do.
struct ProxyFacts {
  bool intercept = false;
};

// Everything about a proxy that a translation may look at; two proxies with equal views get equal
// snapshots.
struct ProxyView {
  model::Key workload;
  std::string service_account;
  std::string address;
  std::map<std::string, std::string> labels;
  std::vector<model::WorkloadPort> ports;
  // Where it is: looked at only for services whose endpoints depend on it.
  model::Locality locality;
  std::string node;
  model::MtlsMode mtls = model::MtlsMode::kPermissive;
  std::map<uint16_t, model::MtlsMode> port_mtls;
  std::shared_ptr<const model::EgressSet> egress;  // not null
  std::string service_name;                        // in traces
  bool intercept = false;
};

// NotFound when there is no such workload, FailedPrecondition when it has no sidecar. Who may ask
// for it is the caller's to check: the peer must have proven namespace and service account of the
// Workload.
absl::StatusOr<ProxyView> MakeProxyView(const model::World& world, const model::Key& workload,
                                        const ProxyFacts& facts);

// Every name that a resource refers to is there: endpoints of EDS clusters, route configurations of
// listeners, clusters of routes, listeners and tracing. Names in `elsewhere` count as clusters that
// the proxy has by itself.
absl::Status CheckConsistent(const Snapshot& snapshot,
                             const std::vector<std::string>& elsewhere = {});

class Memo;
class Outbounds;

// Not thread-safe. Holds the memo: keep one for the life of the control plane. Worlds with equal
// digests are the same to it.
class Translator {
 public:
  Translator();
  ~Translator();

  std::shared_ptr<const Snapshot> Translate(const model::World& world, const ProxyView& view);

  // How often a resource was made, and how often it was there already.
  struct Stats {
    size_t made = 0;
    size_t reused = 0;
    size_t held = 0;  // resources in the memo now
  };
  Stats stats() const;

 private:
  std::unique_ptr<Memo> memo_;
  std::unique_ptr<Outbounds> outbounds_;
};

}  // namespace heddle::translate
