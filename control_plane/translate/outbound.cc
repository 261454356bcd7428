#include "control_plane/translate/outbound.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "control_plane/translate/cluster.h"
#include "control_plane/translate/encode.h"
#include "envoy/config/cluster/v3/cluster.pb.h"

namespace heddle::translate {
namespace {

using model::Digest;
using model::Service;
using model::ServicePort;
using ServiceRef = std::shared_ptr<const Service>;

std::shared_ptr<const ResourceList> Listed(std::vector<ResourceRef> resources) {
  auto out = std::make_shared<ResourceList>();
  std::sort(resources.begin(), resources.end(),
            [](const ResourceRef& a, const ResourceRef& b) { return a->name < b->name; });
  Digest::Builder version;
  for (const ResourceRef& one : resources) version.Add(one->name).Add(one->version);
  out->sorted = std::move(resources);
  out->version = version.Done();
  return out;
}

// Of a headless service its workloads' own, of which a port can lead to one service only.
std::vector<std::string> AddressesOf(const Service& service, const ServicePort& port,
                                     std::map<std::pair<uint16_t, std::string>, std::string>* taken,
                                     std::vector<std::string>* notices) {
  std::vector<std::string> wanted = service.cluster_ips;
  if (wanted.empty()) {
    for (const model::Endpoint& one : port.endpoints) wanted.push_back(one.address);
    wanted.insert(wanted.end(), port.other_addresses.begin(), port.other_addresses.end());
  }
  std::vector<std::string> out;
  const std::string name = model::ClusterName(service.key, port.port);
  for (std::string& address : wanted) {
    const auto [it, fresh] = taken->try_emplace({port.port, address}, name);
    if (fresh) {
      out.push_back(std::move(address));
    } else if (it->second != name) {
      notices->push_back(absl::StrCat("connections to ", address, ":", port.port, " do not reach ",
                                      name, ": they lead to ", it->second));
    }
  }
  return out;
}

void FindTcp(Reach* out) {
  std::map<std::pair<uint16_t, std::string>, std::string> taken;
  Digest::Builder digest;
  for (const ServiceRef& service : out->services) {
    for (const ServicePort& port : service->ports) {
      if (model::IsHttp(port.protocol)) continue;
      TcpDestination to{service.get(), &port,
                        AddressesOf(*service, port, &taken, &out->tcp_notices)};
      if (to.addresses.empty()) continue;
      digest.Add(service->digest).Add(port.port).Add(to.addresses.size());
      for (const std::string& address : to.addresses) digest.Add(address);
      out->tcp.push_back(std::move(to));
    }
  }
  out->tcp_digest = digest.Done();
}

bool Within(const Reach& reach, const model::Key& key) {
  const auto less = [](const ServiceRef& a, const model::Key& b) { return a->key < b; };
  const auto at = std::lower_bound(reach.services.begin(), reach.services.end(), key, less);
  return at != reach.services.end() && (*at)->key == key;
}

// Where the routes that a client of that namespace meets at the service lead: services and their
// ports.
std::vector<std::pair<model::Key, uint16_t>> BackendsOf(const Service& service,
                                                        const std::string& client_ns) {
  std::vector<std::pair<model::Key, uint16_t>> out;
  if (service.routes.empty()) return out;
  for (const ServicePort& port : service.ports) {
    if (!model::IsHttp(port.protocol)) continue;
    for (const model::Route* route : RoutesFor(service, port.port, client_ns))
      for (const model::RouteRule& rule : route->rules)
        for (const model::RouteBackend& backend : rule.backends)
          if (!backend.invalid)
            out.emplace_back(backend.service, backend.port == 0 ? port.port : backend.port);
  }
  return out;
}

}  // namespace

const Outbounds::ServiceResources& Outbounds::ResourcesOf(const model::World& world,
                                                          const ServiceRef& service) {
  ServiceResources& out = services_[service.get()];
  out.turn = turn_;
  if (out.service != nullptr) return out;
  out.service = service;
  for (const ServicePort& port : service->ports) {
    const std::string name = model::ClusterName(service->key, port.port);
    PortResources& to = out.ports.emplace_back();
    // Mutual TLS depends on the endpoints' accounts.
    to.cluster = memo_.Get(Digest::Builder()
                               .Add("cluster")
                               .Add(service->digest)
                               .Add(port.port)
                               .Add(port.endpoints_digest)
                               .Done(),
                           [&] {
                             return MakeResource(ResourceType::kCluster, name,
                                                 ServiceCluster(world.mesh, *service, port));
                           });
    to.endpoints = memo_.Get(
        Digest::Builder().Add("endpoints").Add(name).Add(port.endpoints_digest).Done(), [&] {
          return MakeResource(ResourceType::kEndpoints, name,
                              ServiceEndpoints(name, port.endpoints));
        });
  }
  return out;
}

const Reach& Outbounds::ReachOf(const model::World& world, const model::EgressSet& egress) {
  std::unique_ptr<Reach>& slot = reaches_[egress.digest];
  if (slot != nullptr) return *slot;
  slot = std::make_unique<Reach>();
  std::vector<ResourceRef> clusters, endpoints;
  for (const model::Key& key : egress.services) {
    ServiceRef service = world.services.Share(key);
    if (service == nullptr) continue;  // a view of another World
    for (const PortResources& one : ResourcesOf(world, service).ports) {
      clusters.push_back(one.cluster);
      endpoints.push_back(one.endpoints);
    }
    for (const ServicePort& port : service->ports)
      if (model::IsHttp(port.protocol)) slot->http_ports.insert(port.port);
    slot->services.push_back(std::move(service));
  }
  slot->clusters = Listed(std::move(clusters));
  slot->endpoints = Listed(std::move(endpoints));
  FindTcp(slot.get());
  return *slot;
}

void Outbounds::Fill(const model::World& world, const Reach& reach, const std::string& client_ns,
                     Outbound* out) {
  out->reach = &reach;
  out->routes = std::make_shared<Outbound::Routes>();
  out->clusters = reach.clusters;
  out->endpoints = reach.endpoints;
  // Ports that only routes lead to.
  std::map<std::string, PortResources> more;
  const auto place = [&](const ServiceRef& service, const ServicePort& port) {
    if (port.placement == model::Placement::kAnywhere) return;
    out->by_zone = out->by_zone || port.placement == model::Placement::kZone;
    out->by_node = out->by_node || port.placement == model::Placement::kNode;
    out->placed[model::ClusterName(service->key, port.port)] = {service, &port};
  };
  for (const ServiceRef& service : reach.services) {
    for (const ServicePort& port : service->ports) place(service, port);
    for (const auto& [key, number] : BackendsOf(*service, client_ns)) {
      if (Within(reach, key)) continue;
      const ServiceRef to = world.services.Share(key);
      const ServicePort* const port = to == nullptr ? nullptr : to->FindPort(number);
      if (port == nullptr) continue;
      place(to, *port);
      more[model::ClusterName(to->key, port->port)] =
          ResourcesOf(world, to).ports[static_cast<size_t>(port - to->ports.data())];
    }
  }
  if (more.empty()) return;
  std::vector<ResourceRef> clusters = reach.clusters->sorted;
  std::vector<ResourceRef> endpoints = reach.endpoints->sorted;
  for (const auto& [name, one] : more) {
    clusters.push_back(one.cluster);
    endpoints.push_back(one.endpoints);
  }
  out->clusters = Listed(std::move(clusters));
  out->endpoints = Listed(std::move(endpoints));
}

Outbound& Outbounds::Of(const model::World& world, const ProxyView& view) {
  if (world_ != world.digest || turn_ == 0) {
    world_ = world.digest;
    outbounds_.clear();
    reaches_.clear();
    absl::erase_if(services_, [this](const auto& one) { return one.second.turn < turn_; });
    ++turn_;
  }
  const Digest key = Digest::Builder().Add(view.egress->digest).Add(view.workload.ns).Done();
  std::unique_ptr<Outbound>& known = outbounds_[key];
  if (known == nullptr) {
    known = std::make_unique<Outbound>();
    Fill(world, ReachOf(world, *view.egress), view.workload.ns, known.get());
  }
  Outbound& anywhere = *known;
  if (anywhere.placed.empty()) return anywhere;
  const model::Place here{.zone = anywhere.by_zone ? view.locality.zone : "",
                          .node = anywhere.by_node ? view.node : ""};
  std::unique_ptr<Outbound>& at =
      outbounds_[Digest::Builder().Add(key).Add("at").Add(here.zone).Add(here.node).Done()];
  if (at == nullptr) at = At(anywhere, here);
  return *at;
}

std::unique_ptr<Outbound> Outbounds::At(const Outbound& anywhere, const model::Place& here) {
  auto out = std::make_unique<Outbound>(anywhere);
  std::vector<ResourceRef> endpoints = anywhere.endpoints->sorted;
  for (ResourceRef& one : endpoints) {
    const std::string name = one->name;
    const auto placed = anywhere.placed.find(name);
    if (placed == anywhere.placed.end()) continue;
    const ServicePort& port = *placed->second.port;
    const std::vector<model::Endpoint> those = EndpointsFor(port, here);
    Digest::Builder key;
    key.Add("some endpoints").Add(name).Add(port.endpoints_digest).Add(those.size());
    for (const model::Endpoint& endpoint : those) key.Add(endpoint.address).Add(endpoint.port);
    one = memo_.Get(key.Done(), [&] {
      return MakeResource(ResourceType::kEndpoints, name, ServiceEndpoints(name, those));
    });
  }
  out->endpoints = Listed(std::move(endpoints));
  return out;
}

}  // namespace heddle::translate
