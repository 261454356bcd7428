// Bootstraps: the files people write, and one line for each mistake.
#include <catch2/catch.hpp>

#include "source/base/version.h"
#include "test/decode/decode_helper.h"

namespace heddle::test {
namespace {

std::string ErrorOf(const std::string& text) {
  const auto out = decode::BootstrapFromText(text, "f.yaml", FakeCatalogue());
  return out.ok() ? "ok" : std::string(out.status().message());
}

const std::string kAds = R"(
node: {id: n, cluster: c}
static_resources:
  clusters:
  - name: xds
    http2_protocol_options: {}
    load_assignment: {cluster_name: xds, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}}}]}]}
)";

TEST_CASE("a bootstrap with discovery is read") {
  const auto out = decode::BootstrapFromText(kAds + R"(
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 15000}}}
overload_manager: {}
dynamic_resources:
  lds_config: {ads: {}}
  cds_config: {ads: {}, resource_api_version: V3}
  ads_config:
    api_type: DELTA_GRPC
    transport_api_version: V3
    grpc_services: [{envoy_grpc: {cluster_name: xds}, initial_metadata: [{key: Authorization, value: Bearer x}]}]
)",
                                             "f.yaml", FakeCatalogue());
  INFO(out.status().message());
  REQUIRE(out.ok());
  CHECK(out->node_id == "n");
  CHECK(out->node_cluster == "c");
  // What the control plane is told: heddlectl check compares versions by it.
  CHECK_THAT(out->node_bytes, Catch::Contains("heddle-proxy") && Catch::Contains(base::kVersion));
  CHECK(out->admin.ToString() == "127.0.0.1:15000");
  CHECK(out->ads->cluster == "xds");
  CHECK(out->ads->delta);
  CHECK(out->ads->initial_metadata.at(0).first == "authorization");
  CHECK((out->lds_from_ads && out->cds_from_ads));
  CHECK(out->clusters.size() == 1);
  REQUIRE(out->warnings.size() == 1);
  CHECK(out->warnings[0].find("f.yaml:10: overload_manager: unknown field") == 0);
}

TEST_CASE("mistakes in a bootstrap are one line with file, line and path") {
  const std::string ads =
      "dynamic_resources: {ads_config: {api_type: GRPC, grpc_services: [{envoy_grpc: "
      "{cluster_name: ";
  const std::string tcp = R"(
static_resources:
  listeners:
  - name: l
    address: {pipe: {path: /x}}
    filter_chains:
    - filters:
      - name: t
        typed_config: {"@type": t/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t, cluster: nowhere}
)";
  const auto routed = [](const std::string& route, const std::string& table = "") {
    return R"(
static_resources:
  clusters: [{name: c}]
  listeners:
  - name: l
    address: {pipe: {path: /x}}
    filter_chains:
    - filters:
      - name: h
        typed_config:
          "@type": t/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: x
          http_filters: [{name: r, typed_config: {"@type": t/envoy.extensions.filters.http.router.v3.Router}}]
          route_config: {)" +
           table +
           "virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, route: {" +
           route + "}}]}]}\n";
  };
  const std::string routes =
      "f.yaml:14: static_resources.listeners[0].filter_chains[0].filters[0].typed_config."
      "route_config.virtual_hosts[0].routes[0].route.";
  const Case cases[] = {
      {"a: [", "f.yaml:1: not YAML"},
      {"admin: {address: {socket_address: {address: x}}}",
       "f.yaml:1: admin.address.socket_address.address: found \"x\", allowed an IP address"},
      {tcp,
       "f.yaml:9: static_resources.listeners[0].filter_chains[0].filters[0].typed_config: unknown "
       "cluster \"nowhere\", "
       "known are "},
      {tcp + "  - {name: l}\n", "f.yaml:10: static_resources.listeners[1].address: required"},
      {"dynamic_resources: {lds_config: {ads: {}}}",
       "f.yaml:1: dynamic_resources.ads_config: required"},
      {"dynamic_resources: {lds_config: {}}",
       "f.yaml:1: dynamic_resources.lds_config: found nothing, allowed ads or self"},
      {"dynamic_resources: {ads_config: {api_type: REST}}",
       "f.yaml:1: dynamic_resources.ads_config.api_type: found REST, allowed GRPC, DELTA_GRPC, "
       "AGGREGATED_GRPC, "
       "AGGREGATED_DELTA_GRPC"},
      {"dynamic_resources: {ads_config: {api_type: GRPC}}",
       "f.yaml:1: dynamic_resources.ads_config.grpc_services: found none, allowed 1 or more"},
      {"dynamic_resources: {ads_config: {api_type: GRPC, grpc_services: [{}]}}",
       "f.yaml:1: dynamic_resources.ads_config.grpc_services[0].envoy_grpc: required"},
      {"dynamic_resources: {ads_config: {api_type: GRPC, transport_api_version: V2}}",
       "f.yaml:1: dynamic_resources.ads_config.transport_api_version: found V2, allowed V3"},
      {ads + "x}}]}}", "f.yaml:1: node.id: required with ads_config"},
      {kAds + ads + "x}}]}}",
       "f.yaml:8: dynamic_resources: cluster \"x\" must be in static_resources"},
      {"static_resources: {clusters: [{name: c, type: EDS, eds_cluster_config: {eds_config: {ads: "
       "{}}}}]}",
       "f.yaml:1: static_resources.clusters[0].eds_cluster_config: needs "
       "dynamic_resources.ads_config"},
      {kAds + "  - {name: dns, type: STRICT_DNS}",
       "f.yaml:8: static_resources.clusters[1].load_assignment: required"},
      {"node: {idd: a}", "ok"},  // a warning
      {routed("cluster: nobody"), routes + "cluster: unknown cluster \"nobody\", known are c"},
      {routed("cluster: nobody", "validate_clusters: false, "), "ok"},
      {routed("weighted_clusters: {clusters: [{name: nobody, weight: 1}]}"),
       routes + "weighted_clusters.clusters[0].name: unknown cluster"},
      {routed("cluster: c, request_mirror_policies: [{cluster: nobody}]"),
       routes + "request_mirror_policies[0].cluster: unknown cluster"},
      // Also when clusters may be discovered: the listener is there before they are.
      {routed("cluster: nobody") + "node: {id: n}\n" + ads + "c}}]}, cds_config: {ads: {}}}",
       routes + "cluster: unknown cluster \"nobody\", known are c"},
  };
  for (const Case& c : cases) {
    INFO(c.yaml);
    const std::string found = ErrorOf(c.yaml);
    CHECK(found.substr(0, c.error.size()) == c.error);
    CHECK(found.find('\n') == std::string::npos);
  }
}

TEST_CASE("a gRPC control plane behind HTTP/1.1 is refused") {
  std::string text = kAds +
                     "dynamic_resources: {ads_config: {api_type: GRPC, grpc_services: "
                     "[{envoy_grpc: {cluster_name: xds}}]}}";
  CHECK(ErrorOf(text) == "ok");
  text.erase(text.find("    http2_protocol_options: {}\n"),
             std::string("    http2_protocol_options: {}\n").size());
  CHECK(ErrorOf(text) ==
        "f.yaml:7: dynamic_resources: cluster \"xds\" speaks HTTP/1.1, and gRPC needs HTTP/2");
}

}  // namespace
}  // namespace heddle::test
