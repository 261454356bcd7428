// The second half of building a World: what refers to what.
#include <algorithm>
#include <array>
#include <iterator>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "control_plane/model/builder.h"

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

const Builder::ServiceEntry* Builder::FindService(const Key& key) const {
  const auto at = std::lower_bound(
      services_.begin(), services_.end(), key,
      [](const ServiceEntry& entry, const Key& to) { return entry.parts->service.key < to; });
  return at != services_.end() && at->parts->service.key == key ? &*at : nullptr;
}

void Builder::CheckAddresses() {
  work_.resize(services_.size());
  absl::flat_hash_map<absl::string_view, const Key*> workloads, services;
  for (const Entry<Workload>& entry : workloads_) {
    // A pod may have the address of one that is gone already, whose deletion is yet to be told.
    if (options_.live) break;
    const Workload& workload = *entry.parts;
    const auto [it, fresh] = workloads.try_emplace(workload.address, &workload.key);
    if (fresh) continue;
    const Path root;
    Checker(*entry.object, workload.key, &problems_)
        .Error(root.Field("spec").Field("address"),
               absl::StrCat(it->first, " is the address of Workload ", it->second->ToString()));
  }
  for (const ServiceEntry& entry : services_) {
    const Service& service = entry.parts->service;
    for (const std::string& ip : service.cluster_ips) {
      const auto [it, fresh] = services.try_emplace(ip, &service.key);
      if (fresh) continue;
      const Path root;
      const Path spec = root.Field("spec");
      const bool first = ip == service.cluster_ips[0];
      Checker(*entry.object, service.key, &problems_)
          .Reference(spec.Field(first ? "clusterIP" : "clusterIPs"), dangling(), "Conflicted",
                     absl::StrCat(ip, " is the address of Service ", it->second->ToString()));
      work_[IndexOf(entry)].addresses_taken.push_back(ip);
    }
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
    if (FindService(key) != nullptr) continue;
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
  std::shared_ptr<const EgressSet>& slot = memory_.egress[key];
  if (slot != nullptr) return slot;
  auto set = std::make_shared<EgressSet>();
  set->allow_unlisted = allow_unlisted;
  Digest::Builder digest;
  digest.Add(allow_unlisted);
  for (const ServiceEntry& entry : services_) {
    const Key& service = entry.parts->service.key;
    if (std::any_of(patterns.begin(), patterns.end(),
                    [&](const auto& one) { return PatternSelects(one, ns, service); })) {
      set->services.push_back(service);
      digest.Add(service.ns).Add(service.name);
    }
  }
  set->digest = digest.Done();
  slot = std::move(set);
  return slot;
}

void Builder::ResolveWorkload(const Entry<Workload>& entry, WorkloadPart* out) {
  auto made = std::make_shared<Workload>(*entry.parts);
  Workload& workload = *made;
  const Key& key = workload.key;
  // [0]: policies with a selector; [1]: of the whole namespace; [2]: of the mesh.
  std::array<const WorkloadSettings*, 3> levels = {nullptr, nullptr, &mesh_.settings};
  std::array<const Key*, 2> from = {nullptr, nullptr};
  for (const Entry<WorkloadPolicyParts>& policy : workload_policies_) {
    const WorkloadPolicyParts& parts = *policy.parts;
    if (parts.key.ns != key.ns || !SelectorMatches(parts.selector, workload.labels)) continue;
    const size_t level = parts.selector.empty() ? 1 : 0;
    if (levels[level] == nullptr) {
      levels[level] = &parts.settings;
      from[level] = &parts.key;
      continue;
    }
    const Path root;
    Checker(*policy.object, parts.key, &out->problems)
        .Reference(root.Field("spec").Field("selector"), dangling(), "Conflicted",
                   absl::StrCat("selects Workload ", key.ToString(), ", as WorkloadPolicy ",
                                from[level]->ToString(), " does"));
  }
  static const auto& everything = *new std::vector<std::string>{"*/*"};
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
  out->reading = entry.reading->id;
  out->base = std::move(made);
  ++memory_.stats.workloads;
}

void Builder::WorkloadChanged(const Workload& workload) {
  changed_[workload.key.ns].insert(workload.key.name);
  changed_addresses_.insert(workload.address);
}

void Builder::ApplyWorkloadPolicies() {
  Digest::Builder context, names;
  context.Add(mesh_.mesh.digest);
  for (const Entry<WorkloadPolicyParts>& entry : workload_policies_) {
    Checker check(*entry.object, entry.parts->key, &problems_);
    CheckEgressNames(entry.parts->settings, entry.parts->key.ns, check);
    context.Add(entry.reading->id);
  }
  if (mesh_object_ != nullptr) {
    Checker check(*mesh_object_, &problems_);
    CheckEgressNames(mesh_.settings, "", check);
  }
  for (const ServiceEntry& entry : services_)
    names.Add(entry.parts->service.key.ns).Add(entry.parts->service.key.name);
  const Digest there = names.Done();
  context.Add(there);
  if (memory_.services_there != there) memory_.egress.clear();
  memory_.services_there = there;
  const Digest all = context.Done();

  Former<WorkloadPart> former(std::move(memory_.workloads));
  const auto gone = [this](const WorkloadPart& part) { WorkloadChanged(*part.base); };
  workload_parts_.reserve(workloads_.size());
  for (const Entry<Workload>& entry : workloads_) {
    WorkloadPart& part = workload_parts_.emplace_back();
    WorkloadPart* const before = former.Find(entry.parts->key, gone);
    if (before != nullptr && before->reading == entry.reading->id && before->context == all) {
      part = std::move(*before);
    } else {
      if (before != nullptr) WorkloadChanged(*before->base);
      ResolveWorkload(entry, &part);
      part.context = all;
      WorkloadChanged(*part.base);
    }
    problems_.insert(problems_.end(), part.problems.begin(), part.problems.end());
  }
  former.End(gone);
  for (auto at = memory_.egress.begin(); at != memory_.egress.end();)
    at = at->second.use_count() == 1 ? memory_.egress.erase(at) : std::next(at);
}

void Builder::ApplyBackendPolicy(const Entry<BackendPolicyBody>& policy,
                                 std::map<std::pair<Key, std::string>, Key>* taken) {
  const BackendPolicyParts& target = policy.parts->target;
  Checker check(*policy.object, policy.parts->key, &problems_);
  if (target.service.name.empty()) return;
  const Path root;
  const Path spec = root.Field("spec");
  const Path at = spec.Field("targetRef");
  const ServiceEntry* const service = FindService(target.service);
  if (service == nullptr)
    return check.Reference(at.Field("name"), dangling(), "TargetNotFound",
                           absl::StrCat("no such Service: ", target.service.ToString()));
  const auto [it, fresh] =
      taken->try_emplace({target.service, target.port_name}, policy.parts->key);
  if (!fresh)
    return check.Reference(
        at, dangling(), "Conflicted",
        absl::StrCat("BackendPolicy ", it->second.ToString(), " is attached to the same target"));
  const std::vector<ServicePort>& ports = service->parts->service.ports;
  const bool found = target.port_name.empty()
                         ? !ports.empty()
                         : std::any_of(ports.begin(), ports.end(), [&](const ServicePort& port) {
                             return port.name == target.port_name;
                           });
  if (!found)
    return check.Reference(at.Field("sectionName"), dangling(), "TargetNotFound",
                           absl::StrCat("Service ", target.service.ToString(),
                                        " has no port named \"", target.port_name, "\""));
  ServiceWork& work = work_[IndexOf(*service)];
  work.policies.push_back(policy.parts);
  work.digest.Add("policy").Add(policy.reading->digest).Add(target.port_name);
}

void Builder::ApplyBackendPolicies() {
  for (const ServiceEntry& entry : services_) {
    const Key& key = entry.parts->service.key;
    ServiceWork& work = work_[IndexOf(entry)];
    work.digest.Add(key.ns).Add(key.name).Add(entry.reading->digest).Add(mesh_.mesh.digest);
    for (const std::string& ip : work.addresses_taken) work.digest.Add("not").Add(ip);
  }
  // Those for a whole service first: those for a port replace them there.
  std::map<std::pair<Key, std::string>, Key> taken;
  for (const Entry<BackendPolicyBody>& policy : backend_policies_)
    if (policy.parts->target.port_name.empty()) ApplyBackendPolicy(policy, &taken);
  for (const Entry<BackendPolicyBody>& policy : backend_policies_)
    if (!policy.parts->target.port_name.empty()) ApplyBackendPolicy(policy, &taken);
}

void Builder::CheckParent(const RouteParent& parent, const Path& at, Checker& check) {
  constexpr char kReason[] = "NoMatchingParent";
  const ServiceEntry* const found = FindService(parent.service);
  if (found == nullptr)
    return check.Reference(at.Field("name"), dangling(), kReason,
                           absl::StrCat("no such Service: ", parent.service.ToString()));
  const Service& service = found->parts->service;
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
                     [&](const auto& grant) { return grant.parts->Allows(route, service); });
}

bool Builder::CheckBackend(const Route& route, const RouteBackend& backend, const Path& at,
                           Checker& check) {
  constexpr char kNotFound[] = "BackendNotFound";
  if (!backend.other_group.empty() || !backend.other_kind.empty()) {
    const bool group = !backend.other_group.empty();
    check.Reference(at.Field(group ? "group" : "kind"), dangling(), "InvalidKind",
                    absl::StrCat("\"", group ? backend.other_group : backend.other_kind,
                                 "\" is not \"", group ? "" : "Service", "\""));
    return false;
  }
  if (!MayName(route, backend.service)) {
    check.Reference(at.Field("namespace"), dangling(), "RefNotPermitted",
                    absl::StrCat("neither the route's namespace nor that of a parent, and no "
                                 "ReferenceGrant there allows it: \"",
                                 backend.service.ns, "\""));
    return false;
  }
  const ServiceEntry* const found = FindService(backend.service);
  if (found == nullptr) {
    check.Reference(at.Field("name"), dangling(), kNotFound,
                    absl::StrCat("no such Service: ", backend.service.ToString()));
    return false;
  }
  // Without a port, each parent port the route holds for must be there.
  std::set<uint16_t> wanted;
  if (backend.port != 0) wanted.insert(backend.port);
  for (const RouteParent& parent : route.parents) {
    if (backend.port != 0) break;
    const ServiceEntry* const service = FindService(parent.service);
    if (service == nullptr) continue;
    for (const ServicePort& port : service->parts->service.ports)
      if (IsHttp(port.protocol) && (parent.port == 0 || parent.port == port.port))
        wanted.insert(port.port);
  }
  bool good = true;
  for (const uint16_t number : wanted) {
    const ServicePort* port = found->parts->service.FindPort(number);
    if (port != nullptr && IsHttp(port->protocol)) continue;
    check.Reference(
        at.Field("port"), dangling(), port == nullptr ? kNotFound : "UnsupportedProtocol",
        absl::StrCat("Service ", backend.service.ToString(), " has no HTTP port ", number));
    good = false;
  }
  return good;
}

std::vector<Builder::BackendState> Builder::CheckBackends(const Route& route, const Path& at,
                                                          Checker& check) {
  std::vector<BackendState> out;
  for (size_t i = 0; i < route.rules.size(); ++i) {
    const Path rule = at.Index(i);
    const Path backends = rule.Field("backendRefs");
    for (size_t j = 0; j < route.rules[i].backends.size(); ++j) {
      const RouteBackend& backend = route.rules[i].backends[j];
      const bool good = CheckBackend(route, backend, backends.Index(j), check);
      const ServiceEntry* const to = good ? FindService(backend.service) : nullptr;
      out.push_back({.invalid = !good, .sticky = to != nullptr && to->parts->service.sticky});
    }
  }
  return out;
}

void Builder::AttachRoutes() {
  AttachRoutes(grpc_routes_, &memory_.grpc_routes);
  AttachRoutes(routes_, &memory_.routes);
}

void Builder::AttachRoutes(const Table<Route>& routes, std::vector<RoutePart>* parts) {
  const Path root;
  const Path spec = root.Field("spec");
  const Path parents = spec.Field("parentRefs");
  const Path rules = spec.Field("rules");
  const auto gone = [](const RoutePart&) {};
  Former<RoutePart> former(std::move(*parts));
  parts->clear();
  for (const Entry<Route>& entry : routes) {
    const Route& route = *entry.parts;
    Checker check(*entry.object, route.key, &problems_);
    for (size_t i = 0; i < route.parents.size(); ++i)
      CheckParent(route.parents[i], parents.Index(i), check);
    const std::vector<BackendState> backends = CheckBackends(route, rules, check);
    Digest::Builder marks;
    for (const BackendState& one : backends) marks.Add(one.invalid).Add(one.sticky);
    std::vector<RouteParent> meant = NarrowParents(route, parents, check);
    for (const RouteParent& parent : meant)
      marks.Add(parent.service.ns).Add(parent.service.name).Add(parent.port);
    const Digest marked = marks.Done();

    const Digest inputs = Digest::Builder().Add(entry.reading->id).Add(marked).Done();
    RoutePart* const before = former.Find(route.key, gone);
    if (before != nullptr && before->inputs == inputs) {
      parts->push_back(std::move(*before));
    } else {
      auto made = std::make_shared<Route>(route);
      auto state = backends.begin();
      for (RouteRule& rule : made->rules)
        for (RouteBackend& backend : rule.backends) {
          backend.invalid = state->invalid;
          backend.sticky = (state++)->sticky;
        }
      made->parents = std::move(meant);
      parts->push_back({inputs, std::move(made)});
    }
    std::set<Key> attached;
    for (const RouteParent& parent : parts->back().route->parents) {
      if (!attached.insert(parent.service).second) continue;
      ServiceWork& work = work_[IndexOf(*FindService(parent.service))];
      work.routes.push_back(parts->back().route);
      work.digest.Add("route").Add(entry.reading->digest).Add(marked);
    }
  }
}

namespace {

// The HTTP ports of the Service that the parent means; `http2`: only those that speak it.
std::vector<uint16_t> HttpPorts(const Service& service, const RouteParent& parent, bool http2) {
  std::vector<uint16_t> out;
  for (const ServicePort& port : service.ports) {
    const bool meant = parent.port == 0 || parent.port == port.port;
    const bool speaks = IsHttp(port.protocol) && !(http2 && port.protocol == Protocol::kHttp);
    if (meant && speaks) out.push_back(port.port);
  }
  return out;
}

}  // namespace

// Which ports a route really holds for: a GRPCRoute for those that speak HTTP/2, where the Service
// has any and none is named; an HTTPRoute not for those that a GRPCRoute of its namespace has.
std::vector<RouteParent> Builder::NarrowParents(const Route& route, const Path& at,
                                                Checker& check) {
  std::vector<RouteParent> out;
  for (size_t i = 0; i < route.parents.size(); ++i) {
    const RouteParent& parent = route.parents[i];
    const ServiceEntry* const found = FindService(parent.service);
    if (found == nullptr) continue;
    const Service& service = found->parts->service;
    const std::vector<uint16_t> all = HttpPorts(service, parent, false);
    std::vector<uint16_t> mine = route.grpc ? HttpPorts(service, parent, true) : all;
    if (mine.empty()) mine = all;
    std::vector<uint16_t> left;
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
