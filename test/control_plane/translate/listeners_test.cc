#include <catch2/catch.hpp>

#include "envoy/config/trace/v3/opentelemetry.pb.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "envoy/extensions/access_loggers/stream/v3/stream.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "test/control_plane/translate/snapshots.h"

namespace heddle::translate {
namespace {

namespace listener = ::envoy::config::listener::v3;
using ::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
using ::envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext;

Listener ListenerOf(const Snapshot& snapshot, const std::string& name) {
  return Get<Listener>(snapshot, ResourceType::kListener, name);
}

std::string AddressOf(const Listener& in) {
  return in.address().socket_address().address() + ":" +
         std::to_string(in.address().socket_address().port_value());
}

std::string FiltersOf(const Listener& in) {
  std::string out;
  for (const auto& one : in.listener_filters()) out += one.name() + " ";
  return out;
}

// "name[port/ip/transport] tls filter filter".
std::string ChainText(const listener::FilterChain& in) {
  const listener::FilterChainMatch& match = in.filter_chain_match();
  std::string out = in.name() + "[";
  if (match.has_destination_port()) out += std::to_string(match.destination_port().value());
  for (const auto& one : match.prefix_ranges())
    out += "/" + one.address_prefix() + "/" + std::to_string(one.prefix_len().value());
  if (!match.transport_protocol().empty()) out += " " + match.transport_protocol();
  out += "]";
  if (in.has_transport_socket()) out += " over " + in.transport_socket().name().substr(24);
  for (const auto& one : in.filters())
    out += " " + one.name().substr(sizeof("envoy.filters.network.") - 1);
  return out + "\n";
}

std::string ChainTexts(const Listener& in) {
  std::string out;
  for (const auto& one : in.filter_chains()) out += ChainText(one);
  return out;
}

std::string WithMode(const std::string& mode) {
  return "apiVersion: heddle.dev/v1\nkind: WorkloadPolicy\nmetadata: {name: p, namespace: "
         "bookshop}\n"
         "spec: {mtls: {mode: " +
         mode + "}}\n";
}

SCENARIO("a sidecar has its inbound ports, one way out for HTTP and one for each TCP service") {
  const auto snapshot = SnapshotOf("", "web-a");
  REQUIRE(Names(*snapshot, ResourceType::kListener) ==
          "inbound_9000 outbound outbound_tcp_redis.bookshop_6379");
  const Listener outbound = ListenerOf(*snapshot, "outbound");
  REQUIRE(AddressOf(outbound) == "127.0.1.1:15001");
  REQUIRE(outbound.traffic_direction() == ::envoy::config::core::v3::OUTBOUND);
  REQUIRE(ChainTexts(outbound) == "outbound[] http_connection_manager\n");
  const HttpConnectionManager manager = ManagerOf(outbound.filter_chains(0));
  REQUIRE(manager.rds().route_config_name() == "outbound");
  REQUIRE(manager.rds().config_source().has_ads());
  // A caller cannot forge what its sidecar says about it.
  REQUIRE(manager.forward_client_cert_details() == HttpConnectionManager::SANITIZE);
  const Listener redis = ListenerOf(*snapshot, "outbound_tcp_redis.bookshop_6379");
  REQUIRE(AddressOf(redis) == "127.0.1.1:6379");
  TcpProxy proxy;
  REQUIRE(redis.filter_chains(0).filters(0).typed_config().UnpackTo(&proxy));
  REQUIRE(proxy.cluster() == "redis.bookshop:6379");
}

SCENARIO("a TCP service whose port the address has already is left out, with the reason") {
  const auto snapshot = SnapshotOf("", "redis-a");
  REQUIRE(Names(*snapshot, ResourceType::kListener) == "inbound_6379 outbound");
  REQUIRE(snapshot->notices ==
          std::vector<std::string>{
              "no outbound listener for redis.bookshop:6379: 127.0.1.7:6379 is taken "
              "by the workload itself"});
  const auto second = SnapshotOf(R"(
apiVersion: v1
kind: Service
metadata: {name: cache, namespace: bookshop}
spec: {selector: {app: redis}, ports: [{name: redis, port: 6379}]}
)",
                                 "web-a");
  REQUIRE(second->notices ==
          std::vector<std::string>{"no outbound listener for redis.bookshop:6379: "
                                   "127.0.1.1:6379 is taken by cache.bookshop:6379"});
}

SCENARIO("a port without appPort has nothing behind it when nothing intercepts") {
  const std::string more = R"(
apiVersion: heddle.dev/v1
kind: Workload
metadata: {name: bare, namespace: bookshop}
spec: {address: 127.0.1.50, ports: [{name: http, port: 8000}]}
)";
  const auto snapshot = SnapshotOf(more, "bare");
  REQUIRE(snapshot->Find(ResourceType::kListener, "inbound_8000") == nullptr);
  REQUIRE(snapshot->notices.at(0) ==
          "nothing listens on port 8000: without interception the Workload needs its appPort");
  REQUIRE(SnapshotOf(more, "bare", true)->notices.empty());
}

SCENARIO("the mode of mutual TLS decides the ways in") {
  const auto inbound = [](const std::string& more) {
    return ListenerOf(*SnapshotOf(more, "web-a"), "inbound_9000");
  };
  const Listener permissive = inbound("");
  REQUIRE(AddressOf(permissive) == "127.0.1.1:9000");
  REQUIRE(permissive.traffic_direction() == ::envoy::config::core::v3::INBOUND);
  REQUIRE(FiltersOf(permissive) == "envoy.filters.listener.tls_inspector ");
  REQUIRE(ChainTexts(permissive) ==
          "inbound_9000_tls[ tls] over tls http_connection_manager\n"
          "inbound_9000_plain[ raw_buffer] http_connection_manager\n");
  const Listener strict = inbound(WithMode("STRICT"));
  REQUIRE(FiltersOf(strict).empty());
  REQUIRE(ChainTexts(strict) == "inbound_9000_tls[] over tls http_connection_manager\n");
  REQUIRE(ChainTexts(inbound(WithMode("DISABLE"))) ==
          "inbound_9000_plain[] http_connection_manager\n");

  DownstreamTlsContext tls;
  REQUIRE(strict.filter_chains(0).transport_socket().typed_config().UnpackTo(&tls));
  REQUIRE(tls.require_client_certificate().value());
  const auto& common = tls.common_tls_context();
  REQUIRE(common.alpn_protocols_size() == 2);
  REQUIRE(common.combined_validation_context()
              .default_validation_context()
              .match_typed_subject_alt_names(0)
              .matcher()
              .prefix() == "spiffe://cluster.local/");
}

SCENARIO("the application is told who called, and cannot be lied to") {
  const HttpConnectionManager manager =
      ManagerOf(ListenerOf(*SnapshotOf("", "web-a"), "inbound_9000").filter_chains(0));
  REQUIRE(manager.forward_client_cert_details() == HttpConnectionManager::SANITIZE_SET);
  REQUIRE(manager.set_current_client_cert_details().uri());
  REQUIRE(manager.normalize_path().value());
  REQUIRE(manager.server_header_transformation() == HttpConnectionManager::PASS_THROUGH);
  REQUIRE(manager.upgrade_configs(0).upgrade_type() == "websocket");
  const Route& route = manager.route_config().virtual_hosts(0).routes(0);
  REQUIRE(route.route().cluster() == "inbound:9000");
  REQUIRE(route.route().has_timeout());
  REQUIRE(route.route().timeout().seconds() == 0);
  REQUIRE(manager.http_filters_size() == 1);
  REQUIRE(manager.http_filters(0).name() == "envoy.filters.http.router");
}

SCENARIO("a TCP port carries bytes, without ALPN") {
  const Listener redis = ListenerOf(*SnapshotOf(WithMode("STRICT"), "redis-a"), "inbound_6379");
  REQUIRE(ChainTexts(redis) == "inbound_6379_tls[] over tls tcp_proxy\n");
  DownstreamTlsContext tls;
  REQUIRE(redis.filter_chains(0).transport_socket().typed_config().UnpackTo(&tls));
  REQUIRE(tls.common_tls_context().alpn_protocols().empty());
}

SCENARIO("with interception there is one listener for each direction") {
  const auto snapshot = SnapshotOf(R"(
apiVersion: v1
kind: Service
metadata: {name: queue, namespace: bookshop}
spec: {selector: {app: redis}, clusterIP: None, ports: [{name: amqp, port: 5672, targetPort: 6379}]}
)",
                                   "web-a", true);
  REQUIRE(Names(*snapshot, ResourceType::kListener) == "inbound outbound");
  const Listener outbound = ListenerOf(*snapshot, "outbound");
  REQUIRE(AddressOf(outbound) == "0.0.0.0:15001");
  REQUIRE(outbound.use_original_dst().value());
  REQUIRE(FiltersOf(outbound) == "envoy.filters.listener.original_dst ");
  REQUIRE(ChainTexts(outbound) ==
          "outbound_tcp_queue.bookshop_5672[5672/127.0.1.7/32] tcp_proxy\n"
          "outbound_tcp_redis.bookshop_6379[6379/10.96.0.8/32] tcp_proxy\n"
          "outbound_9000[9000] http_connection_manager\n"
          "outbound_9080[9080] http_connection_manager\n"
          "outbound_9090[9090] http_connection_manager\n");
  REQUIRE(ChainText(outbound.default_filter_chain()) == "passthrough[] tcp_proxy\n");
  const Listener inbound = ListenerOf(*snapshot, "inbound");
  REQUIRE(AddressOf(inbound) == "0.0.0.0:15006");
  REQUIRE(FiltersOf(inbound) ==
          "envoy.filters.listener.original_dst envoy.filters.listener.tls_inspector ");
  REQUIRE(ChainTexts(inbound) ==
          "inbound_9000_tls[9000 tls] over tls http_connection_manager\n"
          "inbound_9000_plain[9000 raw_buffer] http_connection_manager\n");
  REQUIRE(
      Names(*snapshot, ResourceType::kCluster) ==
      "blackhole catalog.bookshop:9080 inbound:9000 passthrough queue.bookshop:5672 "
      "redis.bookshop:6379 reviews-v1.bookshop:9080 reviews-v2.bookshop:9080 reviews.bookshop:9080 "
      "stock.bookshop:9090 web.bookshop:9000");
}

SCENARIO("with interception an address and port lead to one TCP service, and the other is named") {
  const std::string headless = R"(
---
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: bookshop}
spec: {selector: {app: redis}, ports: [{name: amqp, port: 5672, targetPort: 6379}]}
)";
  std::string one = headless, two = headless;
  one.replace(one.find("NAME"), 4, "queue");
  two.replace(two.find("NAME"), 4, "another");
  const auto snapshot = SnapshotOf(one + two, "web-a", true);
  REQUIRE_THAT(ChainTexts(ListenerOf(*snapshot, "outbound")),
               Catch::Contains("outbound_tcp_another.bookshop_5672[5672/127.0.1.7/32]") &&
                   !Catch::Contains("outbound_tcp_queue"));
  REQUIRE(
      snapshot->notices ==
      std::vector<std::string>{"connections to 127.0.1.7:5672 do not reach queue.bookshop:5672: "
                               "they lead to another.bookshop:5672"});
}

SCENARIO("with interception unlisted destinations may be refused") {
  const Listener outbound = ListenerOf(*SnapshotOf(R"(
apiVersion: heddle.dev/v1
kind: WorkloadPolicy
metadata: {name: p, namespace: bookshop}
spec: {egress: {unlisted: DENY}}
)",
                                                   "web-a", true),
                                       "outbound");
  REQUIRE(ChainText(outbound.default_filter_chain()) == "blackhole[] tcp_proxy\n");
}

SCENARIO("an access log goes to standard output or to a file of the workload's own") {
  const auto log = [](const std::string& spec, bool tcp) {
    const auto snapshot = SnapshotOf(
        "apiVersion: heddle.dev/v1\nkind: MeshConfig\nmetadata: {name: m}\nspec: {accessLog: " +
            spec + "}\n",
        "web-a");
    if (!tcp) return ManagerOf(ListenerOf(*snapshot, "inbound_9000").filter_chains(0)).access_log();
    TcpProxy proxy;
    ListenerOf(*snapshot, "outbound_tcp_redis.bookshop_6379")
        .filter_chains(0)
        .filters(0)
        .typed_config()
        .UnpackTo(&proxy);
    return proxy.access_log();
  };
  ::envoy::extensions::access_loggers::stream::v3::StdoutAccessLog standard;
  for (const bool tcp : {false, true}) {
    REQUIRE(log("{disabled: true}", tcp).empty());
    REQUIRE(log("{}", tcp).size() == 1);
    REQUIRE(log("{}", tcp)[0].typed_config().UnpackTo(&standard));
    REQUIRE_FALSE(standard.has_log_format());
  }
  REQUIRE(log("{text: '%REQ(:METHOD)%'}", false)[0].typed_config().UnpackTo(&standard));
  REQUIRE(standard.log_format().text_format_source().inline_string() == "%REQ(:METHOD)%\n");
  REQUIRE(log("{format: JSON, json: {m: '%REQ(:METHOD)%'}}", false)[0].typed_config().UnpackTo(
      &standard));
  REQUIRE(standard.log_format().json_format().fields_size() == 1);
  REQUIRE(log("{format: JSON}", false)[0].typed_config().UnpackTo(&standard));
  REQUIRE(standard.log_format().json_format().fields().contains("response_flags"));
  ::envoy::extensions::access_loggers::file::v3::FileAccessLog file;
  REQUIRE(
      log("{path: '/tmp/{namespace}/{workload}.log'}", false)[0].typed_config().UnpackTo(&file));
  REQUIRE(file.path() == "/tmp/bookshop/web-a.log");
}

SCENARIO("tracing names the workload's service and samples as the mesh says") {
  const auto snapshot = SnapshotOf(R"(
apiVersion: heddle.dev/v1
kind: MeshConfig
metadata: {name: m}
spec: {tracing: {samplingPercent: 12.5, collector: "127.0.0.1:4317"}}
)",
                                   "web-a");
  for (const std::string name : {"inbound_9000", "outbound"}) {
    const HttpConnectionManager manager = ManagerOf(ListenerOf(*snapshot, name).filter_chains(0));
    REQUIRE(manager.tracing().random_sampling().value() == 12.5);
    REQUIRE(manager.tracing().client_sampling().value() == 100);
    ::envoy::config::trace::v3::OpenTelemetryConfig otel;
    REQUIRE(manager.tracing().provider().typed_config().UnpackTo(&otel));
    REQUIRE(otel.service_name() == "web.bookshop");
    REQUIRE(otel.grpc_service().envoy_grpc().cluster_name() == "otlp");
  }
  REQUIRE_FALSE(
      ManagerOf(ListenerOf(*SnapshotOf("", "web-a"), "outbound").filter_chains(0)).has_tracing());
}

}  // namespace
}  // namespace heddle::translate
