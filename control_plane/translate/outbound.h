// What many sidecars have in common: the clusters, endpoints and route tables of the services that
// they may call. Made once for each World, reach and namespace; of a service that did not change
// not even its resources' keys are looked at again.
//
//   Outbound& out = outbounds.Of(world, view);
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "control_plane/model/digest.h"
#include "control_plane/model/world.h"
#include "control_plane/translate/listeners.h"
#include "control_plane/translate/memo.h"
#include "control_plane/translate/routes.h"
#include "control_plane/translate/translate.h"

namespace heddle::translate {

struct ResourceList {
  std::vector<ResourceRef> sorted;  // by name
  model::Digest version;            // over names and versions
};

// What an EgressSet lists.
struct Reach {
  std::vector<std::shared_ptr<const model::Service>> services;  // sorted
  std::shared_ptr<const ResourceList> clusters, endpoints;
  std::set<uint16_t> http_ports;
  // With interception: TCP destinations, none of which share an address and port.
  std::vector<TcpDestination> tcp;
  model::Digest tcp_digest;
  std::vector<std::string> tcp_notices;
};

// That, from one namespace.
struct Outbound {
  const Reach* reach = nullptr;
  std::shared_ptr<const ResourceList> clusters, endpoints;  // also of what routes lead to
  // By port; made when they are asked for. One map, wherever the caller is.
  using Routes = std::map<std::pair<uint16_t, OutboundRoutes::Unlisted>, ResourceRef>;
  std::shared_ptr<Routes> routes;

  // Clusters whose endpoints depend on where the caller is, by name.
  struct Placed {
    std::shared_ptr<const model::Service> service;
    const model::ServicePort* port = nullptr;
  };
  std::map<std::string, Placed> placed;
  bool by_zone = false, by_node = false;  // on what of it
};

class Outbounds {
 public:
  explicit Outbounds(Memo& memo) : memo_(memo) {}

  // Valid until it is asked about another World.
  Outbound& Of(const model::World& world, const ProxyView& view);

 private:
  struct PortResources {
    ResourceRef cluster, endpoints;
  };
  struct ServiceResources {
    std::shared_ptr<const model::Service> service;
    std::vector<PortResources> ports;  // by index of the service's
    uint64_t turn = 0;                 // the last that needed them
  };
  const ServiceResources& ResourcesOf(const model::World& world,
                                      const std::shared_ptr<const model::Service>& service);
  const Reach& ReachOf(const model::World& world, const model::EgressSet& egress);
  // The same for callers at one place.
  std::unique_ptr<Outbound> At(const Outbound& anywhere, const model::Place& here);
  void Fill(const model::World& world, const Reach& reach, const std::string& client_ns,
            Outbound* out);

  Memo& memo_;
  model::Digest world_;
  uint64_t turn_ = 0;  // counts Worlds
  absl::flat_hash_map<const model::Service*, ServiceResources> services_;
  absl::flat_hash_map<model::Digest, std::unique_ptr<Reach>> reaches_;
  absl::flat_hash_map<model::Digest, std::unique_ptr<Outbound>> outbounds_;
};

}  // namespace heddle::translate
