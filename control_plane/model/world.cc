#include "control_plane/model/world.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace heddle::model {

MtlsMode Workload::MtlsOf(uint16_t port) const {
  const auto it = port_mtls.find(port);
  return it == port_mtls.end() ? mtls : it->second;
}

const WorkloadPort* Workload::FindPort(uint16_t port) const {
  for (const WorkloadPort& one : ports)
    if (one.port == port) return &one;
  return nullptr;
}

std::string Workload::ServiceName() const {
  const auto app = labels.find("app");
  return absl::StrCat(app == labels.end() ? key.name : app->second, ".", key.ns);
}

const ServicePort* Service::FindPort(uint16_t port) const {
  for (const ServicePort& one : ports)
    if (one.port == port) return &one;
  return nullptr;
}

const ServicePort* Service::DefaultHttpPort() const {
  const ServicePort* first = nullptr;
  for (const ServicePort& one : ports) {
    if (!IsHttp(one.protocol)) continue;
    if (one.port == 80) return &one;
    if (first == nullptr) first = &one;
  }
  return first;
}

const Service* World::FindService(const Key& key) const { return services.Find(key); }

const Workload* World::FindWorkload(const Key& key) const { return workloads.Find(key); }

bool AuthorizationOperation::AsksAboutHttp() const {
  return !hosts.empty() || !not_hosts.empty() || !methods.empty() || !not_methods.empty() ||
         !paths.empty() || !not_paths.empty() || !headers.empty();
}

bool AuthorizationPolicy::Selects(const std::string& ns,
                                  const std::map<std::string, std::string>& labels) const {
  return (everywhere || key.ns == ns) && SelectorMatches(selector, labels);
}

bool SelectorMatches(const std::map<std::string, std::string>& selector,
                     const std::map<std::string, std::string>& labels) {
  for (const auto& [name, value] : selector) {
    const auto it = labels.find(name);
    if (it == labels.end() || it->second != value) return false;
  }
  return true;
}

std::vector<Endpoint> EndpointsFor(const ServicePort& port, const Place& caller) {
  std::vector<Endpoint> out;
  switch (port.placement) {
    case Placement::kAnywhere:
      return port.endpoints;
    case Placement::kZone:
      for (const Endpoint& one : port.endpoints)
        if (std::find(one.zones.begin(), one.zones.end(), caller.zone) != one.zones.end())
          out.push_back(one);
      return caller.zone.empty() || out.empty() ? port.endpoints : out;
    case Placement::kNode:
      for (const Endpoint& one : port.endpoints)
        if (!one.node.empty() && one.node == caller.node) out.push_back(one);
      return out;
  }
  return out;
}

std::string ClusterName(const Key& service, uint16_t port) {
  return absl::StrCat(service.name, ".", service.ns, ":", port);
}

}  // namespace heddle::model
