// Which addresses stand behind the ports of a Service: those of its EndpointSlices, else of the
// Workloads that its selector selects.
#include <algorithm>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "control_plane/model/builder.h"

namespace heddle::model {
namespace {

using base::Path;

std::string LabelKey(const std::string& ns, const std::string& label, const std::string& value) {
  return absl::StrCat(ns, "\n", label, "\n", value);
}

Digest EndpointsDigest(const std::vector<Endpoint>& endpoints) {
  Digest::Builder digest;
  for (const Endpoint& one : endpoints) {
    digest.Add(one.address).Add(one.port).Add(one.weight);
    digest.Add(one.locality.region).Add(one.locality.zone).Add(one.locality.sub_zone);
    digest.Add(one.workload.ns).Add(one.service_account).Add(one.mtls);
  }
  return digest.Done();
}

// Clients must not send to a port of the address that only the sidecar may use.
bool HasSidecarOn(const Workload& workload, uint16_t port) {
  return workload.sidecar && workload.MtlsOf(port) != MtlsMode::kDisable;
}

WorkloadPort* PortOf(Workload* workload, uint16_t number) {
  for (WorkloadPort& one : workload->ports)
    if (one.port == number) return &one;
  return nullptr;
}

// Ready ones; where there are none, those that still serve while they terminate, as kube-proxy
// does.
std::vector<const SliceEndpoint*> Usable(const std::vector<const SliceParts*>& slices,
                                         const std::vector<uint16_t>& ports,
                                         std::vector<uint16_t>* port_of) {
  std::vector<const SliceEndpoint*> out;
  for (const bool terminating : {false, true}) {
    for (size_t i = 0; i < slices.size(); ++i) {
      if (ports[i] == 0) continue;
      for (const SliceEndpoint& one : slices[i]->endpoints) {
        if (terminating ? !(one.serving && one.terminating) : !one.ready) continue;
        out.push_back(&one);
        port_of->push_back(ports[i]);
      }
    }
    if (!out.empty()) break;
  }
  return out;
}

}  // namespace

void Builder::IndexWorkloads() {
  for (auto& [key, entry] : workloads_) {
    by_address_.emplace(entry.parts.address, &entry.parts);
    for (const auto& [label, value] : entry.parts.labels)
      by_label_[LabelKey(key.ns, label, value)].push_back(&entry.parts);
  }
  for (const auto& [key, entry] : slices_)
    if (!entry.parts.service.name.empty()) slices_of_[entry.parts.service].push_back(&entry.parts);
}

// That both ends speak the same. In a live cluster the Service says what its pods' ports speak.
void Builder::CheckSpoken(const Entry<ServiceParts>& entry, size_t index, Workload* workload,
                          uint16_t number) {
  const ServicePort& port = entry.parts.service.ports[index];
  const Path root;
  const Path spec = root.Field("spec");
  const Path ports = spec.Field("ports");
  WorkloadPort* there = PortOf(workload, number);
  if (options_.live) {
    if (there == nullptr)
      there = &workload->ports.emplace_back(WorkloadPort{.name = {}, .port = number});
    const auto [it, fresh] = spoken_.try_emplace({workload->key, number}, entry.parts.service.key);
    if (fresh) {
      there->protocol = port.protocol;
    } else if (there->protocol != port.protocol) {
      Checker(*entry.object, entry.parts.service.key, &problems_)
          .Warning(ports.Index(index),
                   absl::StrCat("another protocol than Service ", it->second.ToString(),
                                " says for port ", number, " of Workload ",
                                workload->key.ToString(), ": that one holds there"));
    }
    return;
  }
  if (there != nullptr && workload->sidecar && IsHttp(port.protocol) && !IsHttp(there->protocol))
    Checker(*entry.object, entry.parts.service.key, &problems_)
        .Error(ports.Index(index), absl::StrCat("speaks HTTP, but port ", number, " of Workload ",
                                                workload->key.ToString(), " is TCP"));
}

void Builder::FromSlices(const Entry<ServiceParts>& entry, size_t index, Service* service) {
  ServicePort& port = service->ports[index];
  const std::vector<const SliceParts*>& all = slices_of_[service->key];
  std::vector<const SliceParts*> slices;
  for (const bool v6 : {entry.parts.v6, !entry.parts.v6}) {
    for (const SliceParts* one : all)
      if (one->v6 == v6) slices.push_back(one);
    if (!slices.empty()) break;
  }
  std::vector<uint16_t> numbers, port_of;
  for (const SliceParts* slice : slices) {
    numbers.push_back(0);
    for (const SlicePort& one : slice->ports)
      if (one.name == port.name) numbers.back() = one.port;
  }
  const std::vector<const SliceEndpoint*> usable = Usable(slices, numbers, &port_of);
  port.endpoints.reserve(usable.size());
  for (size_t i = 0; i < usable.size(); ++i) {
    const SliceEndpoint& from = *usable[i];
    Endpoint to;
    to.address = from.address;
    to.port = port_of[i];
    to.locality.zone = from.zone;
    Workload* workload = nullptr;
    if (const auto it = workloads_.find({service->key.ns, from.pod}); it != workloads_.end()) {
      workload = &it->second.parts;
    } else if (const auto at = by_address_.find(from.address);
               from.pod.empty() && at != by_address_.end()) {
      workload = at->second;
    }
    if (workload != nullptr) {
      CheckSpoken(entry, index, workload, to.port);
      to.weight = workload->weight;
      to.workload = workload->key;
      to.service_account = workload->service_account;
      to.mtls = HasSidecarOn(*workload, to.port);
      if (!workload->locality.zone.empty() || from.zone.empty()) to.locality = workload->locality;
    }
    port.endpoints.push_back(std::move(to));
  }
}

void Builder::FromSelector(const Entry<ServiceParts>& entry, size_t index, Service* service) {
  const Path root;
  const Path spec = root.Field("spec");
  const Path ports = spec.Field("ports");
  const Path at = ports.Index(index);
  Checker check(*entry.object, service->key, &problems_);
  ServicePort& port = service->ports[index];
  const TargetPort& target = entry.parts.targets[index];
  const auto& first = *entry.parts.selector.begin();
  for (Workload* workload : by_label_[LabelKey(service->key.ns, first.first, first.second)]) {
    if (!SelectorMatches(entry.parts.selector, workload->labels)) continue;
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
    CheckSpoken(entry, index, workload, number);
    port.endpoints.push_back({.address = workload->address,
                              .port = number,
                              .weight = workload->weight,
                              .locality = workload->locality,
                              .workload = workload->key,
                              .service_account = workload->service_account,
                              .mtls = HasSidecarOn(*workload, number)});
  }
}

void Builder::FindEndpoints() {
  IndexWorkloads();
  const Path root;
  const Path spec = root.Field("spec");
  const Path at = spec.Field("selector");
  for (auto& [key, entry] : services_) {
    Service& service = entry.parts.service;
    const bool sliced = slices_of_.contains(key);
    // The API server's slices come a moment after the Service; a selector is no stand-in for them.
    const bool selects = !sliced && !options_.live && !entry.parts.selector.empty();
    bool any = false;
    for (size_t i = 0; i < service.ports.size(); ++i) {
      if (sliced) FromSlices(entry, i, &service);
      if (selects) FromSelector(entry, i, &service);
      ServicePort& port = service.ports[i];
      std::sort(port.endpoints.begin(), port.endpoints.end(), [](const auto& a, const auto& b) {
        return std::tie(a.address, a.port) < std::tie(b.address, b.port);
      });
      // In two slices for a moment, while one takes over from another.
      port.endpoints.erase(std::unique(port.endpoints.begin(), port.endpoints.end(),
                                       [](const Endpoint& a, const Endpoint& b) {
                                         return a.address == b.address && a.port == b.port;
                                       }),
                           port.endpoints.end());
      port.endpoints_digest = EndpointsDigest(port.endpoints);
      any = any || !port.endpoints.empty();
    }
    if (any || service.ports.empty() || options_.live) continue;
    Checker check(*entry.object, key, &problems_);
    if (!sliced && !selects)
      check.Error(at, "required: no EndpointSlice is for this service");
    else if (!sliced)
      check.Warning(at, "no Workload is behind this service");
  }
}

}  // namespace heddle::model
