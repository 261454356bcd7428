#include "control_plane/translate/translate.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "control_plane/translate/cluster.h"
#include "control_plane/translate/encode.h"
#include "control_plane/translate/listeners.h"
#include "control_plane/translate/memo.h"
#include "control_plane/translate/routes.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"

namespace heddle::translate {
namespace {

using model::Digest;
using model::Service;
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
  Task(const model::World& world, const ProxyView& view, Memo* memo)
      : world_(world),
        view_(view),
        memo_(*memo),
        reporter_{world.mesh, view.workload, view.service_name},
        reporter_digest_(ReporterDigest(reporter_)),
        policies_(PoliciesFor(world, view.workload.ns, view.labels)),
        policies_digest_(PoliciesDigest(policies_)) {}

  std::shared_ptr<const Snapshot> Run();

 private:
  void FindServices();
  void AddBackends(const Service& service);
  void AddServiceClusters();
  void AddFixedClusters();
  void AddOutbound();
  void AddInterceptedOutbound();
  void AddRoutes(uint16_t port);
  void AddInbound();
  bool CanListen(const TcpDestination& to);
  std::vector<std::string> AddressesOf(const Service& service, const ServicePort& port);

  template <typename Make>
  void Add(ResourceType type, const std::string& name, const Digest& key, const Make& make) {
    resources_[static_cast<size_t>(type)][name] =
        memo_.Get(key, [&] { return MakeResource(type, name, make()); });
  }

  const model::World& world_;
  const ProxyView& view_;
  Memo& memo_;
  const Reporter reporter_;
  const Digest reporter_digest_;
  const Policies policies_;
  const Digest policies_digest_;

  std::vector<const Service*> services_;                        // that the workload may call
  std::set<std::pair<const Service*, uint16_t>> destinations_;  // and those its routes lead to
  std::set<uint16_t> http_ports_;
  std::map<uint16_t, std::string> taken_;  // ports of the view's address, by what has them
  // With interception: TCP destinations, by what they lead to.
  std::map<std::pair<uint16_t, std::string>, std::string> tcp_taken_;
  std::array<std::map<std::string, ResourceRef>, kResourceTypes> resources_;
  std::vector<std::string> notices_;
};

void Task::AddBackends(const Service& service) {
  for (const ServicePort& port : service.ports) {
    destinations_.emplace(&service, port.port);
    if (!model::IsHttp(port.protocol)) continue;
    http_ports_.insert(port.port);
    for (const model::Route* route : RoutesFor(service, port.port, view_.workload.ns))
      for (const model::RouteRule& rule : route->rules)
        for (const model::RouteBackend& backend : rule.backends)
          if (const Service* to = world_.FindService(backend.service))
            destinations_.emplace(to, backend.port == 0 ? port.port : backend.port);
  }
}

void Task::FindServices() {
  for (const model::Key& key : view_.egress->services) {
    const Service* const service = world_.FindService(key);
    if (service == nullptr) continue;  // a view of another World
    services_.push_back(service);
    AddBackends(*service);
  }
}

void Task::AddServiceClusters() {
  for (const auto& [service, number] : destinations_) {
    const ServicePort* const port = service->FindPort(number);
    if (port == nullptr) continue;
    const std::string name = model::ClusterName(service->key, number);
    // Mutual TLS depends on the endpoints' accounts.
    Add(ResourceType::kCluster, name,
        Digest::Builder()
            .Add("cluster")
            .Add(service->digest)
            .Add(number)
            .Add(port->endpoints_digest)
            .Done(),
        [&, service = service] { return ServiceCluster(world_.mesh, *service, *port); });
    Add(ResourceType::kEndpoints, name,
        Digest::Builder().Add("endpoints").Add(name).Add(port->endpoints_digest).Done(),
        [&] { return ServiceEndpoints(name, port->endpoints); });
  }
}

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
  OutboundRoutes in{.name = OutboundRoutesName(port),
                    .client_ns = view_.workload.ns,
                    .services = services_,
                    .port = port,
                    .unlisted = OutboundRoutes::Unlisted::kNotFound};
  if (view_.intercept)
    in.unlisted = view_.egress->allow_unlisted ? OutboundRoutes::Unlisted::kPassthrough
                                               : OutboundRoutes::Unlisted::kRefuse;
  Digest::Builder key;
  key.Add("routes")
      .Add(world_.mesh.digest)
      .Add(in.name)
      .Add(in.client_ns)
      .Add(in.port)
      .Add(in.unlisted);
  for (const Service* one : in.services) key.Add(one->digest);
  Add(ResourceType::kRoutes, in.name, key.Done(),
      [&] { return OutboundRouteConfiguration(world_.mesh, in); });
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
  for (const Service* service : services_) {
    for (const ServicePort& port : service->ports) {
      const TcpDestination to{service, &port};
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

// Of a headless service its workloads' own, of which a port can lead to one service only.
std::vector<std::string> Task::AddressesOf(const Service& service, const ServicePort& port) {
  std::vector<std::string> wanted = {service.cluster_ip};
  if (service.cluster_ip.empty()) {
    wanted.clear();
    for (const model::Endpoint& one : port.endpoints) wanted.push_back(one.address);
  }
  std::vector<std::string> out;
  const std::string name = model::ClusterName(service.key, port.port);
  for (std::string& address : wanted) {
    const auto [it, fresh] = tcp_taken_.try_emplace({port.port, address}, name);
    if (fresh) {
      out.push_back(std::move(address));
    } else if (it->second != name) {
      notices_.push_back(absl::StrCat("connections to ", address, ":", port.port, " do not reach ",
                                      name, ": they lead to ", it->second));
    }
  }
  return out;
}

void Task::AddInterceptedOutbound() {
  InterceptedOutbound in{.http_ports = {http_ports_.begin(), http_ports_.end()},
                         .tcp = {},
                         .allow_unlisted = view_.egress->allow_unlisted};
  Digest::Builder key;
  key.Add("intercepted outbound").Add(reporter_digest_).Add(in.allow_unlisted);
  for (const uint16_t port : in.http_ports) key.Add("http").Add(port);
  for (const Service* service : services_) {
    for (const ServicePort& port : service->ports) {
      if (model::IsHttp(port.protocol)) continue;
      TcpDestination to{service, &port, AddressesOf(*service, port)};
      if (to.addresses.empty()) continue;
      key.Add(service->digest).Add(port.port).Add(to.addresses.size());
      for (const std::string& address : to.addresses) key.Add(address);
      in.tcp.push_back(std::move(to));
    }
  }
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

std::shared_ptr<const Snapshot> Task::Run() {
  taken_[kOutboundPort] = "the outbound listener";
  for (const model::WorkloadPort& one : view_.ports) {
    taken_[one.port] = "the workload itself";
    if (one.app_port != 0) taken_[one.app_port] = "the application";
  }
  FindServices();
  AddServiceClusters();
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
    for (auto& [name, resource] : resources_[type]) {
      version.Add(type).Add(name).Add(resource->version);
      out->resources[type].push_back(std::move(resource));
    }
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
                   .mtls = workload->mtls,
                   .port_mtls = workload->port_mtls,
                   .egress = workload->egress,
                   .service_name = workload->ServiceName(),
                   .intercept = facts.intercept};
}

Translator::Translator() : memo_(std::make_unique<Memo>()) {}
Translator::~Translator() = default;

std::shared_ptr<const Snapshot> Translator::Translate(const model::World& world,
                                                      const ProxyView& view) {
  return Task(world, view, memo_.get()).Run();
}

Translator::Stats Translator::stats() const { return memo_->stats(); }

}  // namespace heddle::translate
