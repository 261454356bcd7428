#include "control_plane/translate/cluster.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "control_plane/translate/encode.h"
#include "control_plane/translate/tls.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"

namespace heddle::translate {
namespace {

namespace cluster = ::envoy::config::cluster::v3;
namespace core = ::envoy::config::core::v3;
namespace endpoint = ::envoy::config::endpoint::v3;
using ::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
using model::Protocol;

// Where the application or the network itself is the limit.
constexpr uint32_t kUnlimited = 1000000;

enum class Http { kNone, kHttp1, kHttp2 };

void SetHttp(Http http, cluster::Cluster* out) {
  if (http == Http::kNone) return;
  HttpProtocolOptions options;
  auto* const explicit_config = options.mutable_explicit_http_config();
  if (http == Http::kHttp2) {
    explicit_config->mutable_http2_protocol_options();
  } else {
    explicit_config->mutable_http_protocol_options();
  }
  Pack(options, &(*out->mutable_typed_extension_protocol_options())
                    ["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]);
}

struct Thresholds {
  uint32_t connections = kUnlimited;
  uint32_t pending = kUnlimited;
  uint32_t requests = kUnlimited;
};

cluster::CircuitBreakers::Thresholds* SetLimits(Thresholds limits, cluster::Cluster* out) {
  cluster::CircuitBreakers::Thresholds* const to =
      out->mutable_circuit_breakers()->add_thresholds();
  to->mutable_max_connections()->set_value(limits.connections);
  to->mutable_max_pending_requests()->set_value(limits.pending);
  to->mutable_max_requests()->set_value(limits.requests);
  return to;
}

void SetOutlier(const model::OutlierSettings& in, cluster::Cluster* out) {
  if (!in.enabled) return;
  cluster::OutlierDetection* const to = out->mutable_outlier_detection();
  to->mutable_consecutive_5xx()->set_value(in.consecutive_5xx);
  if (in.consecutive_gateway_failures > 0) {
    to->mutable_consecutive_gateway_failure()->set_value(in.consecutive_gateway_failures);
    to->mutable_enforcing_consecutive_gateway_failure()->set_value(100);
  }
  Set(to->mutable_interval(), in.interval);
  Set(to->mutable_base_ejection_time(), in.base_ejection_time);
  to->mutable_max_ejection_percent()->set_value(in.max_ejection_percent);
}

void SetBackend(const model::BackendSettings& in, cluster::Cluster* out) {
  switch (in.balancing) {
    case model::Balancing::kRoundRobin:
      out->set_lb_policy(cluster::Cluster::ROUND_ROBIN);
      break;
    case model::Balancing::kLeastRequest:
      out->set_lb_policy(cluster::Cluster::LEAST_REQUEST);
      break;
    case model::Balancing::kRandom:
      out->set_lb_policy(cluster::Cluster::RANDOM);
      break;
  }
  Set(out->mutable_connect_timeout(), in.connect_timeout);
  auto* const budget = SetLimits({.connections = in.max_connections,
                                  .pending = in.max_pending_requests,
                                  .requests = in.max_requests},
                                 out)
                           ->mutable_retry_budget();
  budget->mutable_budget_percent()->set_value(in.retries.budget_percent);
  budget->mutable_min_retry_concurrency()->set_value(in.retries.budget_min_concurrency);
  SetOutlier(in.outlier, out);
}

// How the endpoints of a service can be reached.
struct Reach {
  bool mesh = false;   // some, or there are none yet
  bool plain = false;  // some
  std::set<std::string> sans;
};

Reach ReachOf(const model::MeshConfig& mesh, const model::Service& service,
              const std::vector<model::Endpoint>& endpoints) {
  Reach out;
  for (const model::Endpoint& one : endpoints) {
    (one.mtls ? out.mesh : out.plain) = true;
    if (one.mtls) out.sans.insert(SpiffeId(mesh, service.key.ns, one.service_account));
  }
  if (endpoints.empty()) out.mesh = true;
  return out;
}

void SetTransport(const Reach& reach, const ClientTls& tls, cluster::Cluster* out) {
  if (!reach.mesh) return;
  if (!reach.plain) return SetClientTls(tls, out->mutable_transport_socket());
  cluster::Cluster::TransportSocketMatch* const with = out->add_transport_socket_matches();
  with->set_name("tlsMode-heddle");
  (*with->mutable_match()->mutable_fields())["tlsMode"].set_string_value("heddle");
  SetClientTls(tls, with->mutable_transport_socket());
  cluster::Cluster::TransportSocketMatch* const without = out->add_transport_socket_matches();
  without->set_name("tlsMode-disabled");
  without->mutable_match();
  SetPlain(without->mutable_transport_socket());
}

Http HttpOf(Protocol protocol, const Reach& reach) {
  switch (protocol) {
    case Protocol::kTcp:
      return Http::kNone;
    case Protocol::kHttp2:
    case Protocol::kGrpc:
      return Http::kHttp2;
    case Protocol::kHttp:
      return reach.plain ? Http::kHttp1 : Http::kHttp2;
  }
  return Http::kNone;
}

void SetAddress(const std::string& ip, uint16_t port, core::Address* out) {
  out->mutable_socket_address()->set_address(ip);
  out->mutable_socket_address()->set_port_value(port);
}

// A cluster whose one endpoint is known.
cluster::Cluster FixedCluster(std::string name, const std::string& host, uint16_t port) {
  cluster::Cluster out;
  const bool dns = host.find_first_not_of("0123456789.") != std::string::npos &&
                   host.find(':') == std::string::npos;
  out.set_type(dns ? cluster::Cluster::STRICT_DNS : cluster::Cluster::STATIC);
  Set(out.mutable_connect_timeout(), absl::Seconds(5));
  out.mutable_load_assignment()->set_cluster_name(name);
  endpoint::LbEndpoint* const one =
      out.mutable_load_assignment()->add_endpoints()->add_lb_endpoints();
  SetAddress(host, port, one->mutable_endpoint()->mutable_address());
  out.set_name(std::move(name));
  return out;
}

bool SpansToCollector(const model::MeshConfig& mesh) {
  return mesh.tracing.has_value() && mesh.tracing->collector.has_value();
}

// Null: nowhere.
const model::HostPort* SpanAddress(const model::MeshConfig& mesh) {
  if (!mesh.tracing.has_value()) return nullptr;
  const std::optional<model::HostPort>& collector = mesh.tracing->collector;
  if (collector.has_value()) return &*collector;
  return mesh.control_address.has_value() ? &*mesh.control_address : nullptr;
}

}  // namespace

std::string InboundClusterName(uint16_t port) { return absl::StrCat("inbound:", port); }

cluster::Cluster ServiceCluster(const model::MeshConfig& mesh, const model::Service& service,
                                const model::ServicePort& port) {
  cluster::Cluster out;
  out.set_name(model::ClusterName(service.key, port.port));
  out.set_type(cluster::Cluster::EDS);
  SetAds(out.mutable_eds_cluster_config()->mutable_eds_config());
  out.mutable_eds_cluster_config()->set_service_name(out.name());
  SetBackend(port.backend, &out);
  // Without a hash of the request it is one at random.
  if (service.sticky && model::IsHttp(port.protocol)) out.set_lb_policy(cluster::Cluster::MAGLEV);
  const Reach reach = ReachOf(mesh, service, port.endpoints);
  const Http http = HttpOf(port.protocol, reach);
  SetHttp(http, &out);
  ClientTls tls;
  tls.sans = {reach.sans.begin(), reach.sans.end()};
  // Endpoints may arrive before the cluster's next form: until then no more than the namespace is
  // known of them.
  if (tls.sans.empty()) tls.san_prefix = SpiffeId(mesh, service.key.ns, "");
  tls.sni = absl::StrCat(service.key.name, ".", service.key.ns, ".svc.", mesh.cluster_domain);
  if (http == Http::kHttp2) tls.alpn = {"h2"};
  if (http == Http::kHttp1) tls.alpn = {"http/1.1"};
  SetTransport(reach, tls, &out);
  return out;
}

endpoint::ClusterLoadAssignment ServiceEndpoints(const std::string& name,
                                                 const std::vector<model::Endpoint>& endpoints) {
  endpoint::ClusterLoadAssignment out;
  out.set_cluster_name(name);
  std::map<model::Locality, endpoint::LocalityLbEndpoints*> localities;
  for (const model::Endpoint& one : endpoints) {
    endpoint::LocalityLbEndpoints*& group = localities[one.locality];
    if (group == nullptr) {
      group = out.add_endpoints();
      group->mutable_locality()->set_region(one.locality.region);
      group->mutable_locality()->set_zone(one.locality.zone);
      group->mutable_locality()->set_sub_zone(one.locality.sub_zone);
      group->mutable_load_balancing_weight();
    }
    endpoint::LbEndpoint* const to = group->add_lb_endpoints();
    SetAddress(one.address, one.port, to->mutable_endpoint()->mutable_address());
    to->mutable_load_balancing_weight()->set_value(one.weight);
    // gRPC's clients skip localities without a weight.
    group->mutable_load_balancing_weight()->set_value(group->load_balancing_weight().value() +
                                                      one.weight);
    if (!one.mtls) continue;
    auto& metadata = *to->mutable_metadata()->mutable_filter_metadata();
    (*metadata["envoy.transport_socket_match"].mutable_fields())["tlsMode"].set_string_value(
        "heddle");
  }
  return out;
}

cluster::Cluster InboundCluster(const Application& in) {
  cluster::Cluster out = FixedCluster(InboundClusterName(in.port), in.address, in.app_port);
  SetLimits({}, &out);
  if (in.protocol == Protocol::kHttp) SetHttp(Http::kHttp1, &out);
  if (in.protocol == Protocol::kHttp2 || in.protocol == Protocol::kGrpc)
    SetHttp(Http::kHttp2, &out);
  return out;
}

cluster::Cluster PassthroughCluster() {
  cluster::Cluster out;
  out.set_name(kPassthroughCluster);
  out.set_type(cluster::Cluster::ORIGINAL_DST);
  out.set_lb_policy(cluster::Cluster::CLUSTER_PROVIDED);
  Set(out.mutable_connect_timeout(), absl::Seconds(10));
  SetLimits({}, &out);
  return out;
}

cluster::Cluster BlackholeCluster() {
  cluster::Cluster out;
  out.set_name(kBlackholeCluster);
  out.set_type(cluster::Cluster::STATIC);
  out.mutable_load_assignment()->set_cluster_name(kBlackholeCluster);
  Set(out.mutable_connect_timeout(), absl::Seconds(1));
  return out;
}

std::optional<std::string> SpanClusterName(const model::MeshConfig& mesh) {
  if (SpanAddress(mesh) == nullptr) return std::nullopt;
  return SpansToCollector(mesh) ? kCollectorCluster : kControlCluster;
}

cluster::Cluster SpanCluster(const model::MeshConfig& mesh) {
  const model::HostPort* const to = SpanAddress(mesh);
  if (to == nullptr) return {};
  const bool collector = SpansToCollector(mesh);
  cluster::Cluster out =
      FixedCluster(collector ? kCollectorCluster : kControlCluster, to->host, to->port);
  SetHttp(Http::kHttp2, &out);
  if (collector) return out;
  SetClientTls({.sans = {SpiffeId(mesh, "heddle-system", "heddle-control")},
                .san_prefix = {},
                .sni = {},
                .alpn = {"h2"}},
               out.mutable_transport_socket());
  return out;
}

}  // namespace heddle::translate
