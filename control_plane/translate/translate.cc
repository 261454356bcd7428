#include "control_plane/translate/translate.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "control_plane/translate/cluster.h"
#include "control_plane/translate/encode.h"
#include "control_plane/translate/listeners.h"
#include "control_plane/translate/memo.h"
#include "control_plane/translate/outbound.h"
#include "control_plane/translate/routes.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"

namespace heddle::translate {
namespace {

using model::Digest;
using model::ServicePort;

// Every key begins with what is made and holds everything its maker looks at.
Digest ReporterDigest(const Reporter& reporter) {
  return Digest::Builder()
      .Add(reporter.mesh.digest)
      .Add(reporter.workload.ns)
      .Add(reporter.workload.name)
      .Add(reporter.service_name)
      .Done();
}

Digest PoliciesDigest(const Policies& policies) {
  Digest::Builder out;
  for (const model::AuthorizationPolicy* one : policies)
    out.Add(one->key.ns).Add(one->key.name).Add(one->digest);
  return out.Done();
}

void AddPort(const InboundPort& in, Digest::Builder* out) {
  out->Add(in.port.port).Add(in.port.app_port).Add(in.port.protocol).Add(in.mode);
}

// One translation: what one proxy is given from one World.
class Task {
 public:
  Task(const model::World& world, const ProxyView& view, Memo* memo, Outbounds* outbounds)
      : world_(world),
        view_(view),
        memo_(*memo),
        outbound_(outbounds->Of(world, view)),
        reporter_{world.mesh, view.workload, view.service_name},
        reporter_digest_(ReporterDigest(reporter_)),
        policies_(PoliciesFor(world, view.workload.ns, view.labels)),
        policies_digest_(PoliciesDigest(policies_)) {}

  std::shared_ptr<const Snapshot> Run();

 private:
  void AddFixedClusters();
  void AddOutbound();
  void AddInterceptedOutbound();
  void AddRoutes(uint16_t port);
  void AddInbound();
  bool CanListen(const TcpDestination& to);
  // Null: nothing of that type.
  const ResourceList* Shared(ResourceType type) const;

  template <typename Make>
  void Add(ResourceType type, const std::string& name, const Digest& key, const Make& make) {
    resources_[static_cast<size_t>(type)][name] =
        memo_.Get(key, [&] { return MakeResource(type, name, make()); });
  }

  const model::World& world_;
  const ProxyView& view_;
  Memo& memo_;
  Outbound& outbound_;
  const Reporter reporter_;
  const Digest reporter_digest_;
  const Policies policies_;
  const Digest policies_digest_;

  std::map<uint16_t, std::string> taken_;  // ports of the view's address, by what has them
  // Those of this proxy that are not the outbound's clusters and endpoints.
  std::array<std::map<std::string, ResourceRef>, kResourceTypes> resources_;
  std::vector<std::string> notices_;
};

void Task::AddFixedClusters() {
  if (const std::optional<std::string> name = SpanClusterName(world_.mesh)) {
    Add(ResourceType::kCluster, *name,
        Digest::Builder().Add("spans").Add(world_.mesh.digest).Done(),
        [&] { return SpanCluster(world_.mesh); });
  } else if (world_.mesh.tracing.has_value()) {
    notices_.push_back("no tracing: neither a collector nor heddle-control's own address is known");
  }
  if (!view_.intercept) return;
  Add(ResourceType::kCluster, kPassthroughCluster, Digest::Of("passthrough"), PassthroughCluster);
  Add(ResourceType::kCluster, kBlackholeCluster, Digest::Of("blackhole"), BlackholeCluster);
}

void Task::AddRoutes(uint16_t port) {
  auto unlisted = OutboundRoutes::Unlisted::kNotFound;
  if (view_.intercept)
    unlisted = view_.egress->allow_unlisted ? OutboundRoutes::Unlisted::kPassthrough
                                            : OutboundRoutes::Unlisted::kRefuse;
  const std::string name = OutboundRoutesName(port);
  ResourceRef& shared = (*outbound_.routes)[{port, unlisted}];
  if (shared == nullptr) {
    OutboundRoutes in{.name = name,
                      .client_ns = view_.workload.ns,
                      .services = {},
                      .port = port,
                      .unlisted = unlisted};
    Digest::Builder key;
    key.Add("routes").Add(world_.mesh.digest).Add(name).Add(in.client_ns).Add(port).Add(unlisted);
    for (const auto& one : outbound_.reach->services) {
      in.services.push_back(one.get());
      key.Add(one->digest);
    }
    shared = memo_.Get(key.Done(), [&] {
      return MakeResource(ResourceType::kRoutes, name, OutboundRouteConfiguration(world_.mesh, in));
    });
  }
  resources_[static_cast<size_t>(ResourceType::kRoutes)][name] = shared;
}

// Without interception a TCP service needs its port at the workload's own address.
bool Task::CanListen(const TcpDestination& to) {
  const std::string name = model::ClusterName(to.service->key, to.port->port);
  const auto [it, fresh] = taken_.try_emplace(to.port->port, name);
  if (!fresh)
    notices_.push_back(absl::StrCat("no outbound listener for ", name, ": ", view_.address, ":",
                                    to.port->port, " is taken by ", it->second));
  return fresh;
}

void Task::AddOutbound() {
  Add(ResourceType::kListener, "outbound",
      Digest::Builder().Add("outbound").Add(reporter_digest_).Add(view_.address).Done(),
      [&] { return OutboundListener(reporter_, view_.address); });
  AddRoutes(0);
  for (const auto& service : outbound_.reach->services) {
    for (const ServicePort& port : service->ports) {
      const TcpDestination to{service.get(), &port};
      if (model::IsHttp(port.protocol) || !CanListen(to)) continue;
      Add(ResourceType::kListener,
          absl::StrCat("outbound_tcp_", service->key.name, ".", service->key.ns, "_", port.port),
          Digest::Builder()
              .Add("outbound tcp")
              .Add(reporter_digest_)
              .Add(view_.address)
              .Add(service->digest)
              .Add(port.port)
              .Done(),
          [&] { return OutboundTcpListener(reporter_, view_.address, to); });
    }
  }
}

void Task::AddInterceptedOutbound() {
  const Reach& reach = *outbound_.reach;
  const InterceptedOutbound in{.http_ports = {reach.http_ports.begin(), reach.http_ports.end()},
                               .tcp = reach.tcp,
                               .allow_unlisted = view_.egress->allow_unlisted};
  Digest::Builder key;
  key.Add("intercepted outbound").Add(reporter_digest_).Add(in.allow_unlisted);
  for (const uint16_t port : in.http_ports) key.Add("http").Add(port);
  key.Add(reach.tcp_digest);
  notices_.insert(notices_.end(), reach.tcp_notices.begin(), reach.tcp_notices.end());
  Add(ResourceType::kListener, "outbound", key.Done(),
      [&] { return InterceptedOutboundListener(reporter_, in); });
  for (const uint16_t port : in.http_ports) AddRoutes(port);
}

void Task::AddInbound() {
  std::vector<InboundPort> ports;
  Digest::Builder all;
  all.Add("intercepted inbound").Add(reporter_digest_).Add(policies_digest_);
  for (const model::WorkloadPort& one : view_.ports) {
    const auto exception = view_.port_mtls.find(one.port);
    const InboundPort in{one, exception == view_.port_mtls.end() ? view_.mtls : exception->second};
    if (!view_.intercept && one.app_port == 0) {
      notices_.push_back(absl::StrCat("nothing listens on port ", one.port,
                                      ": without interception the Workload needs its appPort"));
      continue;
    }
    const Application application{.port = one.port,
                                  .address = view_.intercept ? "127.0.0.1" : view_.address,
                                  .app_port = view_.intercept ? one.port : one.app_port,
                                  .protocol = one.protocol};
    Add(ResourceType::kCluster, InboundClusterName(one.port),
        Digest::Builder()
            .Add("inbound cluster")
            .Add(one.port)
            .Add(application.address)
            .Add(application.app_port)
            .Add(application.protocol)
            .Done(),
        [&] { return InboundCluster(application); });
    AddPort(in, &all);
    ports.push_back(in);
    if (view_.intercept) continue;
    Digest::Builder key;
    key.Add("inbound").Add(reporter_digest_).Add(policies_digest_).Add(view_.address);
    AddPort(in, &key);
    Add(ResourceType::kListener, absl::StrCat("inbound_", one.port), key.Done(),
        [&] { return InboundListener(reporter_, view_.address, in, policies_); });
  }
  if (!view_.intercept || ports.empty()) return;
  Add(ResourceType::kListener, "inbound", all.Done(),
      [&] { return InterceptedInboundListener(reporter_, ports, policies_); });
}

const ResourceList* Task::Shared(ResourceType type) const {
  switch (type) {
    case ResourceType::kCluster:
      return outbound_.clusters.get();
    case ResourceType::kEndpoints:
      return outbound_.endpoints.get();
    case ResourceType::kListener:
    case ResourceType::kRoutes:
      return nullptr;
  }
  return nullptr;
}

std::shared_ptr<const Snapshot> Task::Run() {
  taken_[kOutboundPort] = "the outbound listener";
  for (const model::WorkloadPort& one : view_.ports) {
    taken_[one.port] = "the workload itself";
    if (one.app_port != 0) taken_[one.app_port] = "the application";
  }
  AddFixedClusters();
  AddInbound();
  if (view_.intercept) {
    AddInterceptedOutbound();
  } else {
    AddOutbound();
  }
  auto out = std::make_shared<Snapshot>();
  Digest::Builder version;
  for (size_t type = 0; type < kResourceTypes; ++type) {
    Digest::Builder own;
    std::vector<ResourceRef>& all = out->resources[type];
    const ResourceList* const shared = Shared(static_cast<ResourceType>(type));
    all.reserve((shared == nullptr ? 0 : shared->sorted.size()) + resources_[type].size());
    auto next = resources_[type].begin();
    const auto end = resources_[type].end();
    if (shared != nullptr) {
      own.Add(shared->version);
      for (const ResourceRef& one : shared->sorted) {
        for (; next != end && next->first < one->name; ++next) all.push_back(next->second);
        all.push_back(one);
      }
    }
    for (; next != end; ++next) all.push_back(next->second);
    for (const auto& [name, resource] : resources_[type]) own.Add(name).Add(resource->version);
    out->versions[type] = own.Done().ToString().substr(0, 16);
    version.Add(own.Done());
  }
  out->version = version.Done().ToString();
  out->notices = std::move(notices_);
  return out;
}

}  // namespace

absl::string_view TypeUrl(ResourceType type) {
  switch (type) {
    case ResourceType::kCluster:
      return "type.googleapis.com/envoy.config.cluster.v3.Cluster";
    case ResourceType::kEndpoints:
      return "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
    case ResourceType::kListener:
      return "type.googleapis.com/envoy.config.listener.v3.Listener";
    case ResourceType::kRoutes:
      return "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
  }
  return "";
}

ResourceRef Snapshot::Find(ResourceType type, absl::string_view name) const {
  const std::vector<ResourceRef>& all = Of(type);
  const auto it = std::lower_bound(
      all.begin(), all.end(), name,
      [](const ResourceRef& a, absl::string_view b) { return absl::string_view(a->name) < b; });
  return it != all.end() && (*it)->name == name ? *it : nullptr;
}

absl::StatusOr<ProxyView> MakeProxyView(const model::World& world, const model::Key& key,
                                        const ProxyFacts& facts) {
  const model::Workload* const workload = world.FindWorkload(key);
  if (workload == nullptr)
    return absl::NotFoundError(absl::StrCat("no such Workload: ", key.ToString()));
  if (!workload->sidecar)
    return absl::FailedPreconditionError(
        absl::StrCat("Workload ", key.ToString(), " says that it has no sidecar"));
  return ProxyView{.workload = key,
                   .service_account = workload->service_account,
                   .address = workload->address,
                   .labels = workload->labels,
                   .ports = workload->ports,
                   .locality = workload->locality,
                   .node = workload->node,
                   .mtls = workload->mtls,
                   .port_mtls = workload->port_mtls,
                   .egress = workload->egress,
                   .service_name = workload->ServiceName(),
                   .intercept = facts.intercept};
}

Translator::Translator()
    : memo_(std::make_unique<Memo>()), outbounds_(std::make_unique<Outbounds>(*memo_)) {}
Translator::~Translator() = default;

std::shared_ptr<const Snapshot> Translator::Translate(const model::World& world,
                                                      const ProxyView& view) {
  return Task(world, view, memo_.get(), outbounds_.get()).Run();
}

Translator::Stats Translator::stats() const { return memo_->stats(); }

}  // namespace heddle::translate
