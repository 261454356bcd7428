// Everything that heddle-control knows, as immutable values: services, workloads, routes, policies,
// each valid and with its references resolved. A World is made by BuildWorld (build.h), never
// changed, and shared between threads as shared_ptr<const World>. Only these structs are seen by
// translation; no protobuf here.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "control_plane/model/digest.h"
#include "control_plane/model/policy.h"
#include "control_plane/model/route.h"
#include "control_plane/model/types.h"

namespace heddle::model {

struct WorkloadPort {
  std::string name;
  uint16_t port = 0;
  uint16_t app_port = 0;  // 0: none given
  Protocol protocol = Protocol::kTcp;
};

// The services a workload calls; shared by all workloads with the same reach.
struct EgressSet {
  std::vector<Key> services;  // sorted; exist in the World
  bool allow_unlisted = true;
  Digest digest;
};

struct Workload {
  Key key;
  std::string address;  // numeric
  std::string service_account;
  std::map<std::string, std::string> labels;
  std::vector<WorkloadPort> ports;
  Locality locality;
  std::string node;  // empty: not known
  uint32_t weight = 1;
  bool sidecar = true;

  // From WorkloadPolicy and MeshConfig.
  MtlsMode mtls = MtlsMode::kPermissive;
  std::map<uint16_t, MtlsMode> port_mtls;
  std::shared_ptr<const EgressSet> egress;  // never null

  MtlsMode MtlsOf(uint16_t port) const;
  const WorkloadPort* FindPort(uint16_t port) const;  // null: none
  // "app" label, else the name; with the namespace: what traces call it.
  std::string ServiceName() const;
};

struct Endpoint {
  std::string address;
  uint16_t port = 0;
  uint32_t weight = 1;
  Locality locality;
  Key workload;
  std::string service_account;
  bool mtls = false;                    // it has a sidecar that accepts mutual TLS on this port
  std::string node = {};                // empty: not known
  std::vector<std::string> zones = {};  // whose callers it is for; with Placement::kZone
};

// Which endpoints a caller is given.
enum class Placement {
  kAnywhere,
  kZone,  // every endpoint says which zones it is for: those for the caller's, if there are any
  kNode,  // those on the caller's node
};

struct ServicePort {
  std::string name;
  uint16_t port = 0;
  Protocol protocol = Protocol::kTcp;
  std::vector<Endpoint> endpoints;  // sorted by address and port
  Placement placement = Placement::kAnywhere;
  // Of a headless Service: the same pods' addresses of the other family.
  std::vector<std::string> other_addresses;
  Digest endpoints_digest;
  BackendSettings backend;  // BackendPolicy over MeshConfig.defaults over the built-in defaults
};

// Where a caller is; empty: not known.
struct Place {
  std::string zone, node;
};
std::vector<Endpoint> EndpointsFor(const ServicePort& port, const Place& caller);

struct Service {
  Key key;
  std::vector<ServicePort> ports;
  std::vector<std::string> cluster_ips;  // numeric, at most one of a family; empty: headless
  bool sticky = false;                   // sessionAffinity: ClientIP
  // Attached to this service, in the order of their names.
  std::vector<std::shared_ptr<const Route>> routes;

  const ServicePort* FindPort(uint16_t port) const;  // null: none
  // The port meant by a host without ":port": 80, else the first HTTP port. Null: no HTTP port.
  const ServicePort* DefaultHttpPort() const;

  // Of everything here but the endpoints, which have their own.
  Digest digest;
};

// All parts of one kind, sorted by key. A part never changes, and is shared with the Worlds before
// and after where nothing it is made from changed. In a loop: `for (const auto& [key, part] :
// all)`.
template <typename T>
class Parts {
 public:
  using Ref = std::shared_ptr<const T>;

  class Iterator {
   public:
    explicit Iterator(typename std::vector<Ref>::const_iterator at) : at_(at) {}
    std::pair<const Key&, const T&> operator*() const { return {(*at_)->key, **at_}; }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    friend bool operator==(const Iterator&, const Iterator&) = default;

   private:
    typename std::vector<Ref>::const_iterator at_;
  };

  Parts() = default;
  explicit Parts(std::vector<Ref> sorted) : sorted_(std::move(sorted)) {}

  size_t size() const { return sorted_.size(); }
  bool empty() const { return sorted_.empty(); }
  Iterator begin() const { return Iterator(sorted_.begin()); }
  Iterator end() const { return Iterator(sorted_.end()); }

  // Null: none of that name.
  Ref Share(const Key& key) const {
    const auto at = Place(key);
    return at != sorted_.end() && (*at)->key == key ? *at : nullptr;
  }
  const T* Find(const Key& key) const {
    const auto at = Place(key);
    return at != sorted_.end() && (*at)->key == key ? at->get() : nullptr;
  }
  // For who makes a World by hand.
  void Put(T part) {
    auto made = std::make_shared<const T>(std::move(part));
    const auto at = sorted_.begin() + (Place(made->key) - sorted_.cbegin());
    if (at != sorted_.end() && (*at)->key == made->key) {
      *at = std::move(made);
    } else {
      sorted_.insert(at, std::move(made));
    }
  }

 private:
  typename std::vector<Ref>::const_iterator Place(const Key& key) const {
    return std::lower_bound(sorted_.begin(), sorted_.end(), key,
                            [](const Ref& part, const Key& to) { return part->key < to; });
  }

  std::vector<Ref> sorted_;
};

struct World {
  MeshConfig mesh;
  Parts<Service> services;
  Parts<Workload> workloads;
  Parts<AuthorizationPolicy> authorization;
  Digest digest;  // of everything: equal digests, equal worlds

  const Service* FindService(const Key& key) const;    // null: none
  const Workload* FindWorkload(const Key& key) const;  // null: none
};

// "reviews.bookshop:9080": the name of the Cluster and of its endpoints for one port of a service.
std::string ClusterName(const Key& service, uint16_t port);

}  // namespace heddle::model
