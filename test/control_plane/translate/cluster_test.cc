#include <catch2/catch.hpp>

#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"
#include "test/control_plane/translate/snapshots.h"

namespace heddle::translate {
namespace {

using ::envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext;
using ::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;

Cluster ClusterOf(const std::string& more, const std::string& name) {
  return Get<Cluster>(*SnapshotOf(more, "web-a"), ResourceType::kCluster, name);
}

std::string HttpOf(const Cluster& cluster) {
  const auto& all = cluster.typed_extension_protocol_options();
  const auto it = all.find("envoy.extensions.upstreams.http.v3.HttpProtocolOptions");
  if (it == all.end()) return "none";
  HttpProtocolOptions options;
  REQUIRE(it->second.UnpackTo(&options));
  return options.explicit_http_config().has_http2_protocol_options() ? "h2" : "h1";
}

UpstreamTlsContext TlsOf(const ::envoy::config::core::v3::TransportSocket& socket) {
  UpstreamTlsContext out;
  REQUIRE(socket.name() == "envoy.transport_sockets.tls");
  REQUIRE(socket.typed_config().UnpackTo(&out));
  return out;
}

std::string SansOf(const UpstreamTlsContext& tls) {
  std::string out;
  const auto& validation = tls.common_tls_context().combined_validation_context();
  for (const auto& san : validation.default_validation_context().match_typed_subject_alt_names())
    out += (san.matcher().has_exact() ? "=" : "^") + san.matcher().exact() +
           san.matcher().prefix() + " ";
  return out;
}

SCENARIO("a service is called over mutual TLS 1.3 that checks its account, as HTTP/2") {
  const Cluster cluster = ClusterOf("", "reviews.bookshop:9080");
  REQUIRE(cluster.type() == Cluster::EDS);
  REQUIRE(cluster.eds_cluster_config().service_name() == "reviews.bookshop:9080");
  REQUIRE(cluster.eds_cluster_config().eds_config().has_ads());
  REQUIRE(HttpOf(cluster) == "h2");
  const UpstreamTlsContext tls = TlsOf(cluster.transport_socket());
  REQUIRE(SansOf(tls) == "=spiffe://cluster.local/ns/bookshop/sa/reviews ");
  REQUIRE(tls.sni() == "reviews.bookshop.svc.cluster.local");
  const auto& common = tls.common_tls_context();
  REQUIRE(common.alpn_protocols_size() == 1);
  REQUIRE(common.alpn_protocols(0) == "h2");
  REQUIRE(common.tls_params().tls_minimum_protocol_version() ==
          ::envoy::extensions::transport_sockets::tls::v3::TlsParameters::TLSv1_3);
  REQUIRE(common.tls_certificate_sds_secret_configs(0).name() == "default");
  REQUIRE(common.combined_validation_context().validation_context_sds_secret_config().name() ==
          "ROOTCA");
}

SCENARIO("TCP goes over mutual TLS without ALPN, gRPC as HTTP/2") {
  const Cluster redis = ClusterOf("", "redis.bookshop:6379");
  REQUIRE(HttpOf(redis) == "none");
  REQUIRE(TlsOf(redis.transport_socket()).common_tls_context().alpn_protocols().empty());
  REQUIRE(HttpOf(ClusterOf("", "stock.bookshop:9090")) == "h2");
}

constexpr char kOutsider[] = R"(
apiVersion: heddle.dev/v1
kind: Workload
metadata: {name: outsider, namespace: bookshop, labels: {app: APP}}
spec:
  address: 127.0.1.99
  sidecar: NONE
  serviceAccount: outsider
  ports: [{name: NAME, port: PORT}]
)";

std::string Outsider(const std::string& app, const std::string& name, const std::string& port) {
  std::string out = kOutsider;
  out.replace(out.find("APP"), 3, app);
  out.replace(out.find("NAME"), 4, name);
  out.replace(out.find("PORT"), 4, port);
  return out;
}

SCENARIO("where only some endpoints have a sidecar, their metadata tells which") {
  const auto snapshot = SnapshotOf(Outsider("reviews", "http", "9080"), "web-a");
  const auto cluster = Get<Cluster>(*snapshot, ResourceType::kCluster, "reviews.bookshop:9080");
  REQUIRE_FALSE(cluster.has_transport_socket());
  REQUIRE(cluster.transport_socket_matches_size() == 2);
  const auto& with = cluster.transport_socket_matches(0);
  REQUIRE(with.match().fields().at("tlsMode").string_value() == "heddle");
  const UpstreamTlsContext tls = TlsOf(with.transport_socket());
  // One protocol for all: the outsider speaks no HTTP/2. And its account is never asked for.
  REQUIRE(HttpOf(cluster) == "h1");
  REQUIRE(tls.common_tls_context().alpn_protocols(0) == "http/1.1");
  REQUIRE(SansOf(tls) == "=spiffe://cluster.local/ns/bookshop/sa/reviews ");
  const auto& without = cluster.transport_socket_matches(1);
  REQUIRE(without.match().fields().empty());
  REQUIRE(without.transport_socket().name() == "envoy.transport_sockets.raw_buffer");

  const auto endpoints =
      Get<ClusterLoadAssignment>(*snapshot, ResourceType::kEndpoints, "reviews.bookshop:9080");
  REQUIRE(endpoints.endpoints(0).lb_endpoints_size() == 4);
  for (const auto& one : endpoints.endpoints(0).lb_endpoints()) {
    const bool outsider = one.endpoint().address().socket_address().address() == "127.0.1.99";
    REQUIRE(one.metadata().filter_metadata().contains("envoy.transport_socket_match") == !outsider);
  }
}

SCENARIO("a service without any sidecar is called in plain text") {
  const std::string service = R"(
apiVersion: v1
kind: Service
metadata: {name: legacy, namespace: bookshop}
spec: {selector: {app: legacy}, ports: [{name: http, port: 80, targetPort: 8000}]}
---)";
  const Cluster cluster =
      ClusterOf(service + Outsider("legacy", "http", "8000"), "legacy.bookshop:80");
  REQUIRE_FALSE(cluster.has_transport_socket());
  REQUIRE(cluster.transport_socket_matches().empty());
  REQUIRE(HttpOf(cluster) == "h1");
}

SCENARIO("of a service without endpoints no more than its namespace is trusted") {
  const Cluster cluster = ClusterOf(R"(
apiVersion: v1
kind: Service
metadata: {name: empty, namespace: bookshop}
spec: {selector: {app: none}, ports: [{name: http, port: 80}]}
)",
                                    "empty.bookshop:80");
  REQUIRE(SansOf(TlsOf(cluster.transport_socket())) == "^spiffe://cluster.local/ns/bookshop/sa/ ");
}

SCENARIO("without a policy a cluster has the documented defaults") {
  const Cluster cluster = ClusterOf("", "reviews.bookshop:9080");
  REQUIRE(cluster.lb_policy() == Cluster::LEAST_REQUEST);
  REQUIRE(cluster.connect_timeout().seconds() == 5);
  const auto& limits = cluster.circuit_breakers().thresholds(0);
  REQUIRE(limits.max_connections().value() == 1024);
  REQUIRE(limits.max_pending_requests().value() == 1024);
  REQUIRE(limits.max_requests().value() == 10240);
  REQUIRE(limits.retry_budget().budget_percent().value() == 25);
  REQUIRE(limits.retry_budget().min_retry_concurrency().value() == 20);
  const auto& outlier = cluster.outlier_detection();
  REQUIRE(outlier.consecutive_5xx().value() == 5);
  REQUIRE_FALSE(outlier.has_enforcing_consecutive_gateway_failure());
  REQUIRE(outlier.interval().seconds() == 10);
  REQUIRE(outlier.base_ejection_time().seconds() == 30);
  REQUIRE(outlier.max_ejection_percent().value() == 50);
}

SCENARIO("a backend policy sets all of it") {
  const Cluster cluster = ClusterOf(R"(
apiVersion: heddle.dev/v1
kind: BackendPolicy
metadata: {name: a, namespace: bookshop}
spec:
  targetRef: {kind: Service, name: reviews}
  loadBalancer: {algorithm: ROUND_ROBIN}
  timeouts: {connect: 250ms}
  retries: {budget: {percent: 10.5, minConcurrency: 3}}
  outlierDetection:
    consecutive5xx: 3
    consecutiveGatewayFailures: 2
    interval: 500ms
    baseEjectionTime: 2s
    maxEjectionPercent: 100
  limits: {connections: 1, pendingRequests: 2, requests: 3}
)",
                                    "reviews.bookshop:9080");
  REQUIRE(cluster.lb_policy() == Cluster::ROUND_ROBIN);
  REQUIRE(cluster.connect_timeout().nanos() == 250000000);
  const auto& limits = cluster.circuit_breakers().thresholds(0);
  REQUIRE(limits.max_connections().value() == 1);
  REQUIRE(limits.max_pending_requests().value() == 2);
  REQUIRE(limits.max_requests().value() == 3);
  REQUIRE(limits.retry_budget().budget_percent().value() == 10.5);
  REQUIRE(limits.retry_budget().min_retry_concurrency().value() == 3);
  const auto& outlier = cluster.outlier_detection();
  REQUIRE(outlier.consecutive_5xx().value() == 3);
  REQUIRE(outlier.consecutive_gateway_failure().value() == 2);
  REQUIRE(outlier.enforcing_consecutive_gateway_failure().value() == 100);
  REQUIRE(outlier.interval().nanos() == 500000000);
  REQUIRE(outlier.base_ejection_time().seconds() == 2);
  REQUIRE(outlier.max_ejection_percent().value() == 100);
}

SCENARIO("outlier detection can be turned off") {
  REQUIRE_FALSE(ClusterOf(R"(
apiVersion: heddle.dev/v1
kind: BackendPolicy
metadata: {name: a, namespace: bookshop}
spec: {targetRef: {kind: Service, name: reviews}, outlierDetection: {disabled: true}}
)",
                          "reviews.bookshop:9080")
                    .has_outlier_detection());
}

SCENARIO("endpoints stand by locality, with weights") {
  const auto snapshot = SnapshotOf(R"(
apiVersion: heddle.dev/v1
kind: Workload
metadata: {name: reviews-v3-a, namespace: bookshop, labels: {app: reviews}}
spec:
  address: 127.0.1.33
  serviceAccount: reviews-v3
  weight: 7
  locality: {region: eu, zone: eu-1, subZone: rack}
  ports: [{name: http, port: 9081}]
)",
                                   "web-a");
  const auto in =
      Get<ClusterLoadAssignment>(*snapshot, ResourceType::kEndpoints, "reviews.bookshop:9080");
  REQUIRE(in.endpoints_size() == 2);
  REQUIRE(in.endpoints(0).lb_endpoints_size() == 3);
  REQUIRE(in.endpoints(0).load_balancing_weight().value() == 3);
  const auto& far = in.endpoints(1);
  REQUIRE(far.locality().sub_zone() == "rack");
  REQUIRE(far.lb_endpoints(0).load_balancing_weight().value() == 7);
  REQUIRE(far.lb_endpoints(0).endpoint().address().socket_address().port_value() == 9081);
  // Both accounts are good for the service.
  const auto cluster = Get<Cluster>(*snapshot, ResourceType::kCluster, "reviews.bookshop:9080");
  REQUIRE(SansOf(TlsOf(cluster.transport_socket())) ==
          "=spiffe://cluster.local/ns/bookshop/sa/reviews "
          "=spiffe://cluster.local/ns/bookshop/sa/reviews-v3 ");
}

SCENARIO("the application is reached by the protocol of its port") {
  const auto web = Get<Cluster>(*SnapshotOf("", "web-a"), ResourceType::kCluster, "inbound:9000");
  REQUIRE(web.type() == Cluster::STATIC);
  REQUIRE(HttpOf(web) == "h1");
  const auto& address =
      web.load_assignment().endpoints(0).lb_endpoints(0).endpoint().address().socket_address();
  REQUIRE(address.address() == "127.0.1.1");
  REQUIRE(address.port_value() == 19000);
  REQUIRE(HttpOf(Get<Cluster>(*SnapshotOf("", "stock-a"), ResourceType::kCluster,
                              "inbound:9090")) == "h2");
  REQUIRE(HttpOf(Get<Cluster>(*SnapshotOf("", "redis-a"), ResourceType::kCluster,
                              "inbound:6379")) == "none");
  // With interception it listens on the port itself.
  const auto intercepted =
      Get<Cluster>(*SnapshotOf("", "web-a", true), ResourceType::kCluster, "inbound:9000");
  const auto& local = intercepted.load_assignment().endpoints(0).lb_endpoints(0).endpoint();
  REQUIRE(local.address().socket_address().address() == "127.0.0.1");
  REQUIRE(local.address().socket_address().port_value() == 9000);
}

constexpr char kTracing[] =
    "apiVersion: heddle.dev/v1\nkind: MeshConfig\nmetadata: {name: m}\nspec: {tracing: {";

SCENARIO("spans go to a collector, or to heddle-control over mutual TLS") {
  const auto collector = Get<Cluster>(
      *SnapshotOf(std::string(kTracing) + "collector: \"jaeger.tracing:4317\"}}\n", "web-a"),
      ResourceType::kCluster, "otlp");
  REQUIRE(collector.type() == Cluster::STRICT_DNS);
  REQUIRE(HttpOf(collector) == "h2");
  REQUIRE_FALSE(collector.has_transport_socket());

  Translator translator;
  model::WorldOptions options;
  options.control_address = model::HostPort{"127.0.0.1", 15010};
  const auto own = Get<Cluster>(
      *SnapshotOf(translator, *WorldOf(std::string(kTracing) + "}}\n", options), "web-a"),
      ResourceType::kCluster, "heddle-control");
  REQUIRE(own.type() == Cluster::STATIC);
  REQUIRE(SansOf(TlsOf(own.transport_socket())) ==
          "=spiffe://cluster.local/ns/heddle-system/sa/heddle-control ");

  const auto nowhere = SnapshotOf(std::string(kTracing) + "}}\n", "web-a");
  REQUIRE(nowhere->notices.at(0) ==
          "no tracing: neither a collector nor heddle-control's own address is known");
}

}  // namespace
}  // namespace heddle::translate
