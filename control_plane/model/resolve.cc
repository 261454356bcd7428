// The second half of building a World: what refers to what.
#include <algorithm>
#include <array>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "control_plane/model/builder.h"
#include "heddle/v1/backend_policy.pb.h"

namespace heddle::model {
namespace {

using base::Path;

bool PatternSelects(const std::string& pattern, const std::string& own_ns, const Key& service) {
  const size_t slash = pattern.find('/');
  const absl::string_view ns = absl::string_view(pattern).substr(0, slash);
  const absl::string_view name = absl::string_view(pattern).substr(slash + 1);
  if (ns == "." ? service.ns != own_ns : ns != "*" && ns != service.ns) return false;
  return name == "*" || name == service.name;
}

}  // namespace

void Builder::CheckAddresses() {
  std::map<std::string, Key> workloads, services;
  for (const auto& [key, entry] : workloads_) {
    const auto [it, fresh] = workloads.try_emplace(entry.parts.address, key);
    // A pod may have the address of one that is gone already, whose deletion is yet to be told.
    if (fresh || options_.live) continue;
    const Path root;
    Checker(*entry.object, key, &problems_)
        .Error(root.Field("spec").Field("address"),
               absl::StrCat(it->first, " is the address of Workload ", it->second.ToString()));
  }
  for (auto& [key, entry] : services_) {
    std::string& ip = entry.parts.service.cluster_ip;
    if (ip.empty()) continue;
    const auto [it, fresh] = services.try_emplace(ip, key);
    if (fresh) continue;
    const Path root;
    Checker(*entry.object, key, &problems_)
        .Reference(root.Field("spec").Field("clusterIP"), dangling(), "Conflicted",
                   absl::StrCat(ip, " is the address of Service ", it->second.ToString()));
    ip.clear();
  }
}

void Builder::CheckEgressNames(const WorkloadSettings& settings, const std::string& ns,
                               Checker& check) {
  if (!settings.egress.has_value()) return;
  for (size_t i = 0; i < settings.egress->size(); ++i) {
    const std::string& pattern = (*settings.egress)[i];
    const bool own = pattern.front() == '.';
    if (pattern.back() == '*' || (own && ns.empty())) continue;
    const Key key{own ? ns : pattern.substr(0, pattern.find('/')),
                  pattern.substr(pattern.find('/') + 1)};
    if (services_.contains(key)) continue;
    const Path root;
    check.Reference(root.Field("spec").Field("egress").Field("services").Index(i), dangling(),
                    "TargetNotFound", absl::StrCat("no such Service: ", key.ToString()));
  }
}

std::shared_ptr<const EgressSet> Builder::ResolveEgress(const std::vector<std::string>& patterns,
                                                        const std::string& ns,
                                                        bool allow_unlisted) {
  const std::string key =
      absl::StrCat(ns, allow_unlisted ? "\n+\n" : "\n-\n", absl::StrJoin(patterns, "\n"));
  std::shared_ptr<const EgressSet>& slot = egress_sets_[key];
  if (slot != nullptr) return slot;
  auto set = std::make_shared<EgressSet>();
  set->allow_unlisted = allow_unlisted;
  Digest::Builder digest;
  digest.Add(allow_unlisted);
  for (const auto& [service, entry] : services_) {
    if (std::any_of(patterns.begin(), patterns.end(), [&, &service = service](const auto& one) {
          return PatternSelects(one, ns, service);
        })) {
      set->services.push_back(service);
      digest.Add(service.ns).Add(service.name);
    }
  }
  set->digest = digest.Done();
  slot = std::move(set);
  return slot;
}

void Builder::ApplyWorkloadPolicies() {
  for (const auto& [key, entry] : workload_policies_) {
    Checker check(*entry.object, key, &problems_);
    CheckEgressNames(entry.parts.settings, key.ns, check);
  }
  if (mesh_object_ != nullptr) {
    Checker check(*mesh_object_, &problems_);
    CheckEgressNames(mesh_.settings, "", check);
  }
  const std::vector<std::string> everything = {"*/*"};
  for (auto& [key, entry] : workloads_) {
    Workload& workload = entry.parts;
    // [0]: policies with a selector; [1]: of the whole namespace; [2]: of the mesh.
    std::array<const WorkloadSettings*, 3> levels = {nullptr, nullptr, &mesh_.settings};
    std::array<const Key*, 2> from = {nullptr, nullptr};
    for (const auto& [name, policy] : workload_policies_) {
      if (name.ns != key.ns || !SelectorMatches(policy.parts.selector, workload.labels)) continue;
      const size_t level = policy.parts.selector.empty() ? 1 : 0;
      if (levels[level] == nullptr) {
        levels[level] = &policy.parts.settings;
        from[level] = &name;
        continue;
      }
      const Path root;
      Checker(*policy.object, name, &problems_)
          .Reference(root.Field("spec").Field("selector"), dangling(), "Conflicted",
                     absl::StrCat("selects Workload ", key.ToString(), ", as WorkloadPolicy ",
                                  from[level]->ToString(), " does"));
    }
    const std::vector<std::string>* egress = &everything;
    bool allow_unlisted = true;
    for (int level = 2; level >= 0; --level) {
      const WorkloadSettings* settings = levels[static_cast<size_t>(level)];
      if (settings == nullptr) continue;
      workload.mtls = settings->mtls.value_or(workload.mtls);
      for (const auto& [port, mode] : settings->port_mtls) workload.port_mtls[port] = mode;
      if (settings->egress.has_value()) egress = &*settings->egress;
      allow_unlisted = settings->allow_unlisted.value_or(allow_unlisted);
    }
    workload.egress = ResolveEgress(*egress, key.ns, allow_unlisted);
  }
}

void Builder::ApplyBackendPolicy(const Key& key, const BackendPolicyEntry& policy,
                                 std::map<std::pair<Key, std::string>, Key>* taken) {
  Checker check(*policy.object, key, &problems_);
  BackendSettings settings = mesh_.defaults;
  ReadBackendPolicy(static_cast<const v1::BackendPolicy&>(*policy.object->body), check, &settings);
  if (policy.target.service.name.empty()) return;
  const Path root;
  const Path spec = root.Field("spec");
  const Path at = spec.Field("targetRef");
  const auto service = services_.find(policy.target.service);
  if (service == services_.end())
    return check.Reference(at.Field("name"), dangling(), "TargetNotFound",
                           absl::StrCat("no such Service: ", policy.target.service.ToString()));
  const auto [it, fresh] =
      taken->try_emplace({policy.target.service, policy.target.port_name}, key);
  if (!fresh)
    return check.Reference(
        at, dangling(), "Conflicted",
        absl::StrCat("BackendPolicy ", it->second.ToString(), " is attached to the same target"));
  bool found = false;
  for (ServicePort& port : service->second.parts.service.ports) {
    if (!policy.target.port_name.empty() && port.name != policy.target.port_name) continue;
    port.backend = settings;
    found = true;
  }
  if (!found)
    return check.Reference(at.Field("sectionName"), dangling(), "TargetNotFound",
                           absl::StrCat("Service ", policy.target.service.ToString(),
                                        " has no port named \"", policy.target.port_name, "\""));
  service_digests_[policy.target.service]
      .Add("policy")
      .Add(policy.body)
      .Add(policy.target.port_name);
}

void Builder::ApplyBackendPolicies() {
  for (auto& [key, entry] : services_) {
    service_digests_[key].Add(key.ns).Add(key.name).Add(entry.body).Add(mesh_.mesh.digest);
    for (ServicePort& port : entry.parts.service.ports) port.backend = mesh_.defaults;
  }
  // Those for a whole service first: those for a port replace them there.
  std::map<std::pair<Key, std::string>, Key> taken;
  for (const auto& [key, policy] : backend_policies_)
    if (policy.target.port_name.empty()) ApplyBackendPolicy(key, policy, &taken);
  for (const auto& [key, policy] : backend_policies_)
    if (!policy.target.port_name.empty()) ApplyBackendPolicy(key, policy, &taken);
}

void Builder::CheckParent(const RouteParent& parent, const Path& at, Checker& check) {
  constexpr char kReason[] = "NoMatchingParent";
  const auto it = services_.find(parent.service);
  if (it == services_.end())
    return check.Reference(at.Field("name"), dangling(), kReason,
                           absl::StrCat("no such Service: ", parent.service.ToString()));
  const Service& service = it->second.parts.service;
  if (parent.port == 0) {
    if (service.DefaultHttpPort() == nullptr)
      check.Reference(at, dangling(), kReason,
                      absl::StrCat("Service ", parent.service.ToString(), " has no HTTP port"));
    return;
  }
  const ServicePort* port = service.FindPort(parent.port);
  if (port == nullptr || !IsHttp(port->protocol))
    check.Reference(
        at.Field("port"), dangling(), kReason,
        absl::StrCat("Service ", parent.service.ToString(), " has no HTTP port ", parent.port));
}

// The route's own namespace, that of a parent, or one with a ReferenceGrant.
bool Builder::MayName(const Route& route, const Key& service) const {
  return service.ns == route.key.ns ||
         std::any_of(route.parents.begin(), route.parents.end(),
                     [&](const RouteParent& parent) { return parent.service.ns == service.ns; }) ||
         std::any_of(grants_.begin(), grants_.end(),
                     [&](const auto& grant) { return grant.second.parts.Allows(route, service); });
}

bool Builder::CheckBackend(const Route& route, const RouteBackend& backend, const Path& at,
                           Checker& check) {
  constexpr char kNotFound[] = "BackendNotFound";
  if (!MayName(route, backend.service)) {
    check.Reference(at.Field("namespace"), dangling(), "RefNotPermitted",
                    absl::StrCat("neither the route's namespace nor that of a parent, and no "
                                 "ReferenceGrant there allows it: \"",
                                 backend.service.ns, "\""));
    return false;
  }
  const auto it = services_.find(backend.service);
  if (it == services_.end()) {
    check.Reference(at.Field("name"), dangling(), kNotFound,
                    absl::StrCat("no such Service: ", backend.service.ToString()));
    return false;
  }
  // Without a port, each parent port the route holds for must be there.
  std::set<uint16_t> wanted;
  if (backend.port != 0) wanted.insert(backend.port);
  for (const RouteParent& parent : route.parents) {
    if (backend.port != 0) break;
    const auto service = services_.find(parent.service);
    if (service == services_.end()) continue;
    for (const ServicePort& port : service->second.parts.service.ports)
      if (IsHttp(port.protocol) && (parent.port == 0 || parent.port == port.port))
        wanted.insert(port.port);
  }
  bool good = true;
  for (const uint16_t number : wanted) {
    const ServicePort* port = it->second.parts.service.FindPort(number);
    if (port != nullptr && IsHttp(port->protocol)) continue;
    check.Reference(
        at.Field("port"), dangling(), kNotFound,
        absl::StrCat("Service ", backend.service.ToString(), " has no HTTP port ", number));
    good = false;
  }
  return good;
}

void Builder::AttachRoutes() {
  const Path root;
  const Path spec = root.Field("spec");
  const Path parents = spec.Field("parentRefs");
  const Path rules = spec.Field("rules");
  for (const auto& [name, entry] : routes_) {
    Checker check(*entry.object, name.second, &problems_);
    Route& route = *entry.parts;
    for (size_t i = 0; i < route.parents.size(); ++i)
      CheckParent(route.parents[i], parents.Index(i), check);
    Digest::Builder marks;
    for (size_t i = 0; i < route.rules.size(); ++i) {
      const Path rule = rules.Index(i);
      const Path backends = rule.Field("backendRefs");
      for (size_t j = 0; j < route.rules[i].backends.size(); ++j) {
        RouteBackend& backend = route.rules[i].backends[j];
        backend.invalid = !CheckBackend(route, backend, backends.Index(j), check);
        marks.Add(backend.invalid);
      }
    }
    const Digest marked = marks.Done();
    std::set<Key> attached;
    const std::vector<RouteParent> meant = NarrowParents(route, parents, check);
    for (const RouteParent& parent : meant) {
      const auto it = services_.find(parent.service);
      if (!attached.insert(parent.service).second) continue;
      it->second.parts.service.routes.push_back(entry.parts);
      service_digests_[parent.service].Add("route").Add(entry.body).Add(marked);
    }
    route.parents = meant;
  }
}

// Which ports a route really holds for: a GRPCRoute for those that speak HTTP/2, where the Service
// has any and none is named; an HTTPRoute not for those that a GRPCRoute of its namespace has.
std::vector<RouteParent> Builder::NarrowParents(const Route& route, const Path& at,
                                                Checker& check) {
  std::vector<RouteParent> out;
  for (size_t i = 0; i < route.parents.size(); ++i) {
    const RouteParent& parent = route.parents[i];
    const auto it = services_.find(parent.service);
    if (it == services_.end()) continue;
    std::vector<uint16_t> all, http2, left;
    for (const ServicePort& port : it->second.parts.service.ports) {
      if (!IsHttp(port.protocol) || (parent.port != 0 && parent.port != port.port)) continue;
      all.push_back(port.port);
      if (port.protocol != Protocol::kHttp) http2.push_back(port.port);
    }
    const std::vector<uint16_t>& mine = route.grpc && !http2.empty() ? http2 : all;
    for (const uint16_t port : mine) {
      const std::tuple<Key, std::string, uint16_t> place{parent.service, route.key.ns, port};
      if (route.grpc) grpc_ports_.insert(place);
      if (route.grpc || !grpc_ports_.contains(place)) left.push_back(port);
    }
    if (left.empty() && !mine.empty()) {
      check.Reference(
          at.Index(i), Severity::kWarning, "Conflicted",
          absl::StrCat("no effect: Service ", parent.service.ToString(), " has a GRPCRoute there"));
    } else if (left.size() == all.size()) {
      out.push_back(parent);
    } else {
      for (const uint16_t port : left) out.push_back({.service = parent.service, .port = port});
    }
  }
  return out;
}

}  // namespace heddle::model
