// Clusters and load assignments: what is taken, and what each bad value says.
#include <catch2/catch.hpp>

#include "test/decode/decode_helper.h"

namespace heddle::test {
namespace {

const std::string kEds = "name: c\ntype: EDS\neds_cluster_config: {eds_config: {ads: {}}}\n";
const std::string kEndpoint =
    "{endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: 80}}}}";
const std::string kStatic =
    "name: c\nload_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [" + kEndpoint +
    "]}]}\n";
const std::string kOptions = "\"@type\": t/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

std::string Http(const std::string& options) {
  return kEds +
         "typed_extension_protocol_options:\n  "
         "envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {" +
         kOptions + ", " + options + "}\n";
}
std::string HttpPath(const std::string& rest) {
  return "typed_extension_protocol_options[\"envoy.extensions.upstreams.http.v3."
         "HttpProtocolOptions\"]" +
         rest;
}

TEST_CASE("an empty cluster of EDS has Envoy's defaults") {
  const config::Cluster c = GoodCluster(kEds);
  CHECK(c.eds_name == "c");
  CHECK(c.connect_timeout == absl::Seconds(5));
  CHECK(c.limits.max_connections == 1024);
  CHECK(c.limits.max_retries == 3);
  CHECK(c.http.kind == config::UpstreamHttp::Kind::kHttp1);
  CHECK_FALSE(c.outlier.has_value());
  CHECK(c.transport.upstream_tls == nullptr);
}

TEST_CASE("a STATIC cluster may have no endpoints") {
  const config::Cluster c = GoodCluster("name: c");
  CHECK(c.discovery == config::Cluster::Discovery::kStatic);
  CHECK(c.assignment.localities.empty());
}

TEST_CASE("a full cluster is read") {
  const config::Cluster c = GoodCluster(R"(
name: reviews
alt_stat_name: r
type: STRICT_DNS
connect_timeout: 0.25s
per_connection_buffer_limit_bytes: 32768
lb_policy: LEAST_REQUEST
least_request_lb_config: {choice_count: 3}
common_lb_config: {healthy_panic_threshold: {value: 0}}
dns_lookup_family: V4_ONLY
dns_refresh_rate: 1s
respect_dns_ttl: true
load_assignment:
  cluster_name: reviews
  policy: {overprovisioning_factor: 200}
  endpoints:
  - locality: {region: eu, zone: a}
    load_balancing_weight: 3
    lb_endpoints:
    - load_balancing_weight: 7
      health_status: DEGRADED
      metadata: {filter_metadata: {envoy.lb: {version: v1, n: 2, deep: {x: true}}}}
      endpoint: {address: {socket_address: {address: reviews.local, port_value: 9080}}}
  - priority: 1
    lb_endpoints:
    - endpoint: {hostname: h, address: {socket_address: {address: "::1", port_value: 1}}}
circuit_breakers:
  thresholds:
  - {max_connections: 1, max_pending_requests: 2, max_requests: 3, max_retries: 4, track_remaining: true}
  - {priority: HIGH, max_requests: 9, retry_budget: {budget_percent: {value: 25.5}, min_retry_concurrency: 1}}
outlier_detection: {consecutive_5xx: 3, base_ejection_time: 400s, max_ejection_percent: 50, always_eject_one_host: true}
http2_protocol_options: {max_concurrent_streams: 10, connection_keepalive: {interval: 30s, timeout: 5s}}
upstream_connection_options: {tcp_keepalive: {keepalive_time: 60}}
upstream_bind_config: {source_address: {address: 127.0.1.3, port_value: 0}}
close_connections_on_host_health_failure: true
ignore_health_on_host_removal: true
)");
  CHECK(c.alt_stat_name == "r");
  CHECK(c.discovery == config::Cluster::Discovery::kStrictDns);
  CHECK(c.connect_timeout == absl::Milliseconds(250));
  CHECK(c.buffer_limit == 32768);
  CHECK(c.balancer == config::Cluster::Balancer::kLeastRequest);
  CHECK(c.least_request_choices == 3);
  CHECK(c.panic_percent == 0);
  CHECK(c.dns_family == config::Cluster::DnsFamily::kV4Only);
  CHECK(c.dns_refresh == absl::Seconds(1));
  CHECK(c.respect_dns_ttl);
  REQUIRE(c.assignment.localities.size() == 2);
  CHECK(c.assignment.overprovisioning_factor == 200);
  const config::Locality& first = c.assignment.localities[0];
  CHECK(first.region == "eu");
  CHECK(first.weight == 3);
  const config::Endpoint& name = first.endpoints.at(0);
  CHECK(name.hostname == "reviews.local");
  CHECK(name.dns_port == 9080);
  CHECK(name.address.family() == AF_UNSPEC);
  CHECK(name.weight == 7);
  CHECK(name.health == config::Health::kDegraded);
  CHECK(name.metadata.at("envoy.lb").at("version") == "v1");
  CHECK(name.metadata.at("envoy.lb").at("n") == "2");
  CHECK(name.metadata.at("envoy.lb").at("deep.x") == "true");
  CHECK(c.assignment.localities[1].endpoints.at(0).address.ToString() == "[::1]:1");
  CHECK(c.assignment.localities[1].endpoints.at(0).hostname == "h");
  CHECK(c.limits.max_pending == 2);
  CHECK(c.limits.track_remaining);
  CHECK(c.high_limits.max_requests == 9);
  CHECK(c.high_limits.budget->percent == 25.5);
  CHECK(c.outlier->consecutive_5xx == 3);
  CHECK(c.outlier->max_ejection_time == absl::Seconds(400));
  CHECK(c.http.kind == config::UpstreamHttp::Kind::kHttp2);
  CHECK(c.http.http2.max_concurrent_streams == 10);
  CHECK(c.http.http2.keepalive_interval == absl::Seconds(30));
  CHECK(c.keepalive_idle == absl::Seconds(60));
  CHECK(c.bind_source.ip() == "127.0.1.3");
  CHECK(c.close_on_health_failure);
  CHECK(c.drain_on_host_removal);
}

TEST_CASE("equal clusters have equal hashes") {
  CHECK(GoodCluster(kEds).hash == GoodCluster(kEds).hash);
  CHECK(GoodCluster(kEds).hash != GoodCluster(kEds + "connect_timeout: 1s").hash);
}

TEST_CASE("the first known policy of a list is taken") {
  const std::string policies =
      "load_balancing_policy: {policies: [{typed_extension_config: {name: a}}, "
      "{typed_extension_config: {name: b, "
      "typed_config: {\"@type\": "
      "t/envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest, "
      "choice_count: 4}}}]}\n";
  const config::Cluster c = GoodCluster(kEds + policies);
  CHECK(c.balancer == config::Cluster::Balancer::kLeastRequest);
  CHECK(c.least_request_choices == 4);
}

TEST_CASE("bad values of a cluster are named") {
  const Case cases[] = {
      {"type: EDS", "name: required"},
      {"name: c\ntype: EDS", "eds_cluster_config: required"},
      {"name: c\ntype: EDS\neds_cluster_config: {}",
       "eds_cluster_config.eds_config: found nothing, allowed ads or self"},
      {"name: c\ntype: EDS\neds_cluster_config: {eds_config: {api_config_source: {}}}",
       "eds_cluster_config.eds_config: found api_config_source, allowed ads or self"},
      {"name: c\ntype: EDS\neds_cluster_config: {eds_config: {ads: {}, resource_api_version: V2}}",
       "eds_cluster_config.eds_config.resource_api_version: found V2, allowed V3"},
      {"name: c\ntype: STRICT_DNS", "load_assignment: required"},
      {kStatic + "eds_cluster_config: {}", "eds_cluster_config: only with type EDS"},
      {kEds + "load_assignment: {}",
       "load_assignment: only with types STATIC, STRICT_DNS, LOGICAL_DNS"},
      {"name: c\ntype: LOGICAL_DNS\nload_assignment: {cluster_name: c}",
       "load_assignment: LOGICAL_DNS has exactly one endpoint"},
      {kEds + "connect_timeout: 0s", "connect_timeout: found \"0s\", allowed more than \"0s\""},
      {kEds + "connect_timeout: -1s", "connect_timeout: found \"-1s\", allowed \"0s\" or more"},
      {kEds + "per_connection_buffer_limit_bytes: 0",
       "per_connection_buffer_limit_bytes: found 0, allowed 1 to 1073741824"},
      {kEds + "lb_policy: CLUSTER_PROVIDED",
       "lb_policy: CLUSTER_PROVIDED goes with type ORIGINAL_DST, and only with it"},
      {"name: c\ntype: ORIGINAL_DST",
       "lb_policy: CLUSTER_PROVIDED goes with type ORIGINAL_DST, and only with it"},
      {kEds + "lb_policy: LOAD_BALANCING_POLICY_CONFIG", "load_balancing_policy: required"},
      {kEds + "load_balancing_policy: {}",
       "load_balancing_policy.policies: found none that is known, allowed RoundRobin, "
       "LeastRequest, Random"},
      {kEds + "least_request_lb_config: {choice_count: 1}",
       "least_request_lb_config.choice_count: found 1, allowed 2 to 1000"},
      {kEds + "common_lb_config: {healthy_panic_threshold: {value: 101}}",
       "common_lb_config.healthy_panic_threshold.value: found 101, allowed 0 to 100"},
      {kEds + "circuit_breakers: {thresholds: [{}, {}]}",
       "circuit_breakers.thresholds[1].priority: duplicate DEFAULT"},
      {kEds + "circuit_breakers: {thresholds: [{retry_budget: {budget_percent: {value: -1}}}]}",
       "circuit_breakers.thresholds[0].retry_budget.budget_percent.value: found -1, allowed 0 to "
       "100"},
      {kEds + "outlier_detection: {interval: 0s}",
       "outlier_detection.interval: found \"0s\", allowed more than \"0s\""},
      {kEds + "outlier_detection: {max_ejection_percent: 101}",
       "outlier_detection.max_ejection_percent: found 101, allowed 0 to 100"},
      {kEds + "outlier_detection: {enforcing_consecutive_5xx: 101}",
       "outlier_detection.enforcing_consecutive_5xx: found 101, allowed 0 to 100"},
      {kEds + "outlier_detection: {failure_percentage_threshold: 200}",
       "outlier_detection.failure_percentage_threshold: found 200, allowed 0 to 100"},
      {kEds + "outlier_detection: {max_ejection_time: 1s}",
       "outlier_detection.max_ejection_time: is less than base_ejection_time"},
      {kEds + "dns_refresh_rate: 0s", "dns_refresh_rate: found \"0s\", allowed more than \"0s\""},
      {kEds + "upstream_connection_options: {tcp_keepalive: {keepalive_time: 0}}",
       "upstream_connection_options.tcp_keepalive.keepalive_time: found 0, allowed 1 to 32767"},
      {kEds + "upstream_bind_config: {source_address: {address: x}}",
       "upstream_bind_config.source_address.socket_address.address: found \"x\", allowed an IP "
       "address"},
      {kEds + "transport_socket: {name: x}", "transport_socket.typed_config: required"},
      {kEds + "transport_socket_matches: [{}]", "transport_socket_matches[0].name: required"},
      {kEds + "http2_protocol_options: {initial_stream_window_size: 1}",
       "http2_protocol_options.initial_stream_window_size: found 1, allowed 65535 to 2147483647"},
      {kEds + "http2_protocol_options: {connection_keepalive: {interval: 1s}}",
       "http2_protocol_options.connection_keepalive.timeout: required"},
      {Http("common_http_protocol_options: {}"),
       HttpPath(": found nothing, allowed one of explicit_http_config, "
                "use_downstream_protocol_config, auto_config")},
      {Http("explicit_http_config: {}"),
       HttpPath(".explicit_http_config: found nothing, allowed one of http_protocol_options, "
                "http2_protocol_options")},
      {Http("auto_config: {}"),
       HttpPath(".auto_config: needs a TLS transport_socket: ALPN decides")},
      {Http("explicit_http_config: {http2_protocol_options: {max_concurrent_streams: 0}}"),
       HttpPath(".explicit_http_config.http2_protocol_options.max_concurrent_streams: found 0, "
                "allowed 1 to 2147483647")},
      {Http("explicit_http_config: {http_protocol_options: {}}, common_http_protocol_options: "
            "{max_headers_count: 0}"),
       HttpPath(".common_http_protocol_options.max_headers_count: found 0, allowed 1 to 100000")},
      {Http("explicit_http_config: {http_protocol_options: {}}, upstream_http_protocol_options: "
            "{auto_san_validation: "
            "true}"),
       "typed_extension_protocol_options: auto_san_validation needs a TLS transport_socket with a "
       "validation context"},
      {Http("explicit_http_config: {http_protocol_options: {}}") + "http2_protocol_options: {}",
       "http2_protocol_options: not together with HttpProtocolOptions"},
  };
  for (const Case& c : cases) {
    INFO(c.yaml);
    CHECK(ClusterError(c.yaml) == c.error);
  }
}

TEST_CASE("HTTP options of a cluster are read") {
  CHECK(GoodCluster(Http("use_downstream_protocol_config: {}")).http.kind ==
        config::UpstreamHttp::Kind::kDownstream);
  const config::Cluster c = GoodCluster(
      Http("explicit_http_config: {http_protocol_options: {enable_trailers: true}}, "
           "common_http_protocol_options: {idle_timeout: 5s, max_requests_per_connection: 2}"));
  CHECK(c.http.kind == config::UpstreamHttp::Kind::kHttp1);
  CHECK(c.http.http1.enable_trailers);
  CHECK(c.http.common.idle_timeout == absl::Seconds(5));
  CHECK(c.http.common.max_requests_per_connection == 2);
  CHECK(ClusterError(
            kEds +
            "typed_extension_protocol_options: {x: {\"@type\": t/google.protobuf.Duration}}") ==
        "ok");
  CHECK(LastWarnings() ==
        std::vector<std::string>{"typed_extension_protocol_options[\"x\"]: unknown, and left out"});
}

TEST_CASE("fields that have no effect are told, not refused") {
  CHECK(
      ClusterError(
          kEds +
          "circuit_breakers: {thresholds: [{track_remaining: true}]}\n"
          "close_connections_on_host_health_failure: true\nignore_health_on_host_removal: true") ==
      "ok");
  CHECK(LastWarnings() ==
        std::vector<std::string>{
            "close_connections_on_host_health_failure: has no effect here",
            "ignore_health_on_host_removal: has no effect here",
            "circuit_breakers.thresholds[0].track_remaining: has no effect here"});
}

TEST_CASE("bad values of a load assignment are named") {
  auto endpoint = [](const std::string& text) {
    return "cluster_name: c\nendpoints: [{lb_endpoints: [" + text + "]}]";
  };
  const Case cases[] = {
      {"endpoints: []", "cluster_name: required"},
      {endpoint("{}"), "endpoints[0].lb_endpoints[0].endpoint: required"},
      {endpoint("{endpoint: {}}"), "endpoints[0].lb_endpoints[0].endpoint.address: required"},
      {endpoint("{endpoint: {address: {}}}"),
       "endpoints[0].lb_endpoints[0].endpoint.address: found nothing, allowed socket_address or "
       "pipe"},
      {endpoint("{endpoint: {address: {socket_address: {address: host, port_value: 1}}}}"),
       "endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address: found \"host\", "
       "allowed an IP address"},
      {endpoint("{endpoint: {address: {socket_address: {address: 1.1.1.1}}}}"),
       "endpoints[0].lb_endpoints[0].endpoint.address.socket_address.port_value: found 0, allowed "
       "1 to 65535"},
      {endpoint("{endpoint: {address: {socket_address: {address: 1.1.1.1, port_value: 65536}}}}"),
       "endpoints[0].lb_endpoints[0].endpoint.address.socket_address.port_value: found 65536, "
       "allowed 1 to 65535"},
      {endpoint("{endpoint: {address: {socket_address: {address: 1.1.1.1, port_value: 1, protocol: "
                "UDP}}}}"),
       "endpoints[0].lb_endpoints[0].endpoint.address.socket_address.protocol: found UDP, allowed "
       "TCP"},
      {endpoint("{load_balancing_weight: 0, endpoint: {address: {pipe: {path: /x}}}}"),
       "endpoints[0].lb_endpoints[0].load_balancing_weight: found 0, allowed 1 to 4294967295"},
      {endpoint("{load_balancing_weight: 4294967295, endpoint: {address: {pipe: {path: /x}}}}, "
                "{endpoint: {address: "
                "{pipe: {path: /x}}}}"),
       "endpoints[0].lb_endpoints: weights sum to 4294967296, allowed 4294967295"},
      {"cluster_name: c\nendpoints: [{priority: 129}]",
       "endpoints[0].priority: found 129, allowed 0 to 128"},
      {"cluster_name: c\nendpoints: [{priority: 0}, {priority: 2}]",
       "endpoints: found 2 priorities up to 2, allowed 0 upwards without gaps"},
      {"cluster_name: c\npolicy: {overprovisioning_factor: 0}",
       "policy.overprovisioning_factor: found 0, allowed 1 to 100000"},
  };
  for (const Case& c : cases) {
    INFO(c.yaml);
    CHECK(EndpointsError(c.yaml) == c.error);
  }
}

}  // namespace
}  // namespace heddle::test
