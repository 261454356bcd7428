// Which addresses stand behind the ports of a Service: those of its EndpointSlices, else of the
// Workloads that its selector selects.
#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "control_plane/model/builder.h"

namespace heddle::model {
namespace {

using base::Path;

std::string LabelKey(const std::string& ns, const std::string& label, const std::string& value) {
  return absl::StrCat(ns, "\n", label, "\n", value);
}

Digest EndpointsDigest(const ServicePort& port) {
  Digest::Builder digest;
  digest.Add(port.placement);
  for (const Endpoint& one : port.endpoints) {
    digest.Add(one.address).Add(one.port).Add(one.weight);
    digest.Add(one.locality.region).Add(one.locality.zone).Add(one.locality.sub_zone);
    digest.Add(one.workload.ns).Add(one.service_account).Add(one.mtls);
    if (port.placement == Placement::kNode) digest.Add(one.node);
    if (port.placement != Placement::kZone) continue;
    digest.Add(one.zones.size());
    for (const std::string& zone : one.zones) digest.Add(zone);
  }
  for (const std::string& address : port.other_addresses) digest.Add(address);
  return digest.Done();
}

// Clients must not send to a port of the address that only the sidecar may use.
bool HasSidecarOn(const Workload& workload, uint16_t port) {
  return workload.sidecar && workload.MtlsOf(port) != MtlsMode::kDisable;
}

struct UsableEndpoint {
  const SliceEndpoint* endpoint = nullptr;
  uint16_t port = 0;
};

uint16_t PortOf(const SliceParts& slice, const std::string& name) {
  for (const SlicePort& one : slice.ports)
    if (one.name == name) return one.port;
  return 0;
}

// Ready ones; where there are none (on a node, when callers stay on theirs), those that still serve
// while they terminate, as kube-proxy does.
std::vector<UsableEndpoint> Usable(const std::vector<const SliceParts*>& slices,
                                   const std::string& port, bool by_node) {
  std::vector<UsableEndpoint> out, ending;
  std::set<std::string> nodes;  // with a ready one
  for (const SliceParts* slice : slices) {
    const uint16_t number = PortOf(*slice, port);
    if (number == 0) continue;
    for (const SliceEndpoint& one : slice->endpoints) {
      if (one.ready) {
        out.push_back({&one, number});
        nodes.insert(one.node);
      } else if (one.serving && one.terminating) {
        ending.push_back({&one, number});
      }
    }
  }
  if (!by_node && !out.empty()) return out;
  for (const UsableEndpoint& one : ending)
    if (!by_node || !nodes.contains(one.endpoint->node)) out.push_back(one);
  return out;
}

bool HasHint(const UsableEndpoint& one) {
  return one.endpoint->ready && !one.endpoint->for_zones.empty();
}

}  // namespace

const Workload* Builder::WorkloadOf(const SliceEndpoint& endpoint, const std::string& ns) {
  if (!endpoint.pod.empty()) {
    const Key key{ns, endpoint.pod};
    const auto at = std::lower_bound(
        workload_parts_.begin(), workload_parts_.end(), key,
        [](const WorkloadPart& part, const Key& to) { return part.base->key < to; });
    return at != workload_parts_.end() && at->base->key == key ? at->base.get() : nullptr;
  }
  if (by_address_.empty())
    for (const WorkloadPart& one : workload_parts_)
      by_address_.try_emplace(one.base->address, one.base.get());
  const auto at = by_address_.find(endpoint.address);
  return at == by_address_.end() ? nullptr : at->second;
}

// That both ends speak the same. In a live cluster the Service says what its pods' ports speak.
void Builder::CheckSpoken(const ServiceEntry& entry, size_t index, const Workload& workload,
                          uint16_t number, ServicePart* out) {
  if (options_.live) {
    out->claims.push_back({.workload = &workload, .port = number, .index = index});
    return;
  }
  const ServicePort& port = entry.parts->service.ports[index];
  const WorkloadPort* const there = workload.FindPort(number);
  if (there == nullptr || !workload.sidecar || !IsHttp(port.protocol) || IsHttp(there->protocol))
    return;
  const Path root;
  const Path spec = root.Field("spec");
  const Path ports = spec.Field("ports");
  Checker(*entry.object, entry.parts->service.key, &out->problems)
      .Error(ports.Index(index), absl::StrCat("speaks HTTP, but port ", number, " of Workload ",
                                              workload.key.ToString(), " is TCP"));
}

void Builder::FromSlices(const ServiceEntry& entry, const ServiceWork& work, size_t index,
                         ServicePart* out, Service* service) {
  ServicePort& port = service->ports[index];
  std::vector<const SliceParts*> slices, others;
  for (const Entry<SliceParts>* one : work.slices)
    (one->parts->v6 == entry.parts->v6 ? slices : others).push_back(one->parts);
  if (slices.empty()) slices.swap(others);
  if (service->cluster_ips.empty() && !IsHttp(port.protocol))
    for (const UsableEndpoint& one : Usable(others, port.name, false))
      port.other_addresses.push_back(one.endpoint->address);
  std::sort(port.other_addresses.begin(), port.other_addresses.end());
  const std::vector<UsableEndpoint> usable = Usable(slices, port.name, entry.parts->local);
  if (entry.parts->local) {
    port.placement = Placement::kNode;
  } else if (!usable.empty() && std::all_of(usable.begin(), usable.end(), HasHint)) {
    port.placement = Placement::kZone;
  }
  port.endpoints.reserve(usable.size());
  for (const UsableEndpoint& one : usable) {
    const SliceEndpoint& from = *one.endpoint;
    Endpoint to;
    to.address = from.address;
    to.port = one.port;
    to.locality.zone = from.zone;
    to.node = from.node;
    if (port.placement == Placement::kZone) to.zones = from.for_zones;
    if (const Workload* const workload = WorkloadOf(from, service->key.ns)) {
      CheckSpoken(entry, index, *workload, to.port, out);
      to.weight = workload->weight;
      to.workload = workload->key;
      to.service_account = workload->service_account;
      to.mtls = HasSidecarOn(*workload, to.port);
      if (!workload->locality.zone.empty() || from.zone.empty()) to.locality = workload->locality;
      if (!workload->node.empty()) to.node = workload->node;
    }
    port.endpoints.push_back(std::move(to));
  }
}

void Builder::FromSelector(const ServiceEntry& entry, size_t index, ServicePart* out,
                           Service* service) {
  const Path root;
  const Path spec = root.Field("spec");
  const Path ports = spec.Field("ports");
  const Path at = ports.Index(index);
  if (by_label_.empty())
    for (const WorkloadPart& one : workload_parts_)
      for (const auto& [label, value] : one.base->labels)
        by_label_[LabelKey(one.base->key.ns, label, value)].push_back(one.base.get());
  Checker check(*entry.object, service->key, &out->problems);
  ServicePort& port = service->ports[index];
  const std::map<std::string, std::string>& selector = entry.parts->selector;
  const TargetPort& target = entry.parts->targets[index];
  const auto& first = *selector.begin();
  for (const Workload* workload : by_label_[LabelKey(service->key.ns, first.first, first.second)]) {
    if (!SelectorMatches(selector, workload->labels)) continue;
    const auto found =
        std::find_if(workload->ports.begin(), workload->ports.end(), [&](const WorkloadPort& one) {
          return target.name.empty() ? one.port == target.number : one.name == target.name;
        });
    if (found == workload->ports.end()) {
      check.Warning(at, absl::StrCat("Workload ", workload->key.ToString(), " has no port ",
                                     target.name.empty() ? absl::StrCat(target.number)
                                                         : absl::StrCat("\"", target.name, "\""),
                                     ": it gets no connections to this one"));
      continue;
    }
    const uint16_t number = found->port;
    CheckSpoken(entry, index, *workload, number, out);
    port.endpoints.push_back({.address = workload->address,
                              .port = number,
                              .weight = workload->weight,
                              .locality = workload->locality,
                              .workload = workload->key,
                              .service_account = workload->service_account,
                              .mtls = HasSidecarOn(*workload, number),
                              .node = workload->node});
  }
  if (entry.parts->local) port.placement = Placement::kNode;
}

bool Builder::Affected(const ServiceEntry& entry, const ServiceWork& work) const {
  if (changed_.empty()) return false;
  const auto in_namespace = changed_.find(entry.parts->service.key.ns);
  if (work.slices.empty()) return !options_.live && in_namespace != changed_.end();
  for (const Entry<SliceParts>* slice : work.slices) {
    for (const SliceEndpoint& one : slice->parts->endpoints) {
      if (one.pod.empty()
              ? changed_addresses_.contains(one.address)
              : in_namespace != changed_.end() && in_namespace->second.contains(one.pod))
        return true;
    }
  }
  return false;
}

void Builder::ResolveService(const ServiceEntry& entry, const ServiceWork& work, ServicePart* out) {
  const Path root;
  const Path spec = root.Field("spec");
  const Path at = spec.Field("selector");
  auto made = std::make_shared<Service>(entry.parts->service);
  Service& service = *made;
  for (const std::string& ip : work.addresses_taken) std::erase(service.cluster_ips, ip);
  service.routes = work.routes;
  const bool sliced = !work.slices.empty();
  // The API server's slices come a moment after the Service; a selector is no stand-in for them.
  const bool selects = !sliced && !options_.live && !entry.parts->selector.empty();
  bool any = false;
  for (size_t i = 0; i < service.ports.size(); ++i) {
    ServicePort& port = service.ports[i];
    port.backend = mesh_.defaults;
    for (const BackendPolicyBody* policy : work.policies)
      if (policy->target.port_name.empty() || policy->target.port_name == port.name)
        port.backend = policy->settings;
    if (sliced) FromSlices(entry, work, i, out, &service);
    if (selects) FromSelector(entry, i, out, &service);
    std::sort(port.endpoints.begin(), port.endpoints.end(), [](const auto& a, const auto& b) {
      return std::tie(a.address, a.port) < std::tie(b.address, b.port);
    });
    // In two slices for a moment, while one takes over from another.
    port.endpoints.erase(std::unique(port.endpoints.begin(), port.endpoints.end(),
                                     [](const Endpoint& a, const Endpoint& b) {
                                       return a.address == b.address && a.port == b.port;
                                     }),
                         port.endpoints.end());
    port.endpoints_digest = EndpointsDigest(port);
    any = any || !port.endpoints.empty();
  }
  if (!any && !service.ports.empty() && !options_.live) {
    Checker check(*entry.object, service.key, &out->problems);
    if (!sliced && !selects)
      check.Error(at, "required: no EndpointSlice is for this service");
    else if (!sliced)
      check.Warning(at, "no Workload is behind this service");
  }
  service.digest = work.digest.Done();
  out->service = std::move(made);
  ++memory_.stats.services;
}

void Builder::FindEndpoints() {
  for (const Entry<SliceParts>& entry : slices_)
    if (const ServiceEntry* const service = FindService(entry.parts->service))
      work_[IndexOf(*service)].slices.push_back(&entry);
  const auto touch = [this](const ServicePart& part) {
    for (const Claim& claim : part.claims) touched_.insert(claim.workload);
  };
  Former<ServicePart> former(std::move(memory_.services));
  service_parts_.reserve(services_.size());
  for (const ServiceEntry& entry : services_) {
    const ServiceWork& work = work_[IndexOf(entry)];
    Digest::Builder inputs;
    inputs.Add(entry.reading->id).Add(work.digest.Done());
    for (const Entry<SliceParts>* slice : work.slices) inputs.Add(slice->reading->id);
    const Digest all = inputs.Done();
    ServicePart& part = service_parts_.emplace_back();
    ServicePart* const before = former.Find(entry.parts->service.key, touch);
    if (before != nullptr && before->inputs == all && !Affected(entry, work)) {
      part = std::move(*before);
    } else {
      if (before != nullptr) touch(*before);
      part.inputs = all;
      ResolveService(entry, work, &part);
      touch(part);
    }
    problems_.insert(problems_.end(), part.problems.begin(), part.problems.end());
  }
  former.End(touch);
}

void Builder::ApplyClaims(const std::vector<Said>& said, WorkloadPart* part) {
  const Path root;
  const Path spec = root.Field("spec");
  const Path ports = spec.Field("ports");
  part->full = part->base;
  part->spoken_problems.clear();
  if (said.empty()) return;
  const auto made = std::make_shared<Workload>(*part->base);
  part->full = made;
  std::map<uint16_t, const Key*> by;
  for (const Said& one : said) {
    const ServiceEntry& entry = services_[one.service];
    const Service& service = entry.parts->service;
    const Protocol protocol = service.ports[one.claim->index].protocol;
    const uint16_t number = one.claim->port;
    auto there = std::find_if(made->ports.begin(), made->ports.end(),
                              [&](const WorkloadPort& port) { return port.port == number; });
    if (there == made->ports.end())
      there = made->ports.insert(there, WorkloadPort{.name = {}, .port = number});
    const auto [it, fresh] = by.try_emplace(number, &service.key);
    if (fresh) {
      there->protocol = protocol;
    } else if (there->protocol != protocol) {
      Checker(*entry.object, service.key, &part->spoken_problems)
          .Warning(ports.Index(one.claim->index),
                   absl::StrCat("another protocol than Service ", it->second->ToString(),
                                " says for port ", number, " of Workload ",
                                part->base->key.ToString(), ": that one holds there"));
    }
  }
}

void Builder::ApplyClaims() {
  absl::flat_hash_map<const Workload*, std::vector<Said>> said;
  for (const WorkloadPart& one : workload_parts_)
    if (one.full == nullptr) touched_.insert(one.base.get());
  if (!touched_.empty())
    for (size_t i = 0; i < service_parts_.size(); ++i)
      for (const Claim& claim : service_parts_[i].claims)
        if (touched_.contains(claim.workload)) said[claim.workload].push_back({i, &claim});
  for (WorkloadPart& part : workload_parts_) {
    if (touched_.contains(part.base.get())) ApplyClaims(said[part.base.get()], &part);
    problems_.insert(problems_.end(), part.spoken_problems.begin(), part.spoken_problems.end());
  }
}

}  // namespace heddle::model
