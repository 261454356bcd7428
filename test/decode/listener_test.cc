// Listeners, filter chains and the HTTP connection manager: what is taken, and what each bad value
// says.
#include <catch2/catch.hpp>

#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "test/decode/decode_helper.h"

namespace heddle::test {
namespace {

const std::string kAddress =
    "name: l\naddress: {socket_address: {address: 127.0.0.1, port_value: 0}}\n";
const std::string kRouter =
    "{name: router, typed_config: {\"@type\": t/envoy.extensions.filters.http.router.v3.Router}}";
const std::string kFault =
    "{name: fault, typed_config: {\"@type\": t/envoy.extensions.filters.http.fault.v3.HTTPFault}}";

std::string Filter(const std::string& type, const std::string& text) {
  return "{name: f, typed_config: {\"@type\": t/envoy.extensions.filters.network." + type + ", " +
         text + "}}";
}
std::string Chain(const std::string& filters, const std::string& rest = "") {
  return kAddress + "filter_chains: [{" + rest + "filters: [" + filters + "]}]\n";
}
std::string Tcp(const std::string& text) {
  return Filter("tcp_proxy.v3.TcpProxy", "stat_prefix: t, " + text);
}
std::string RawHcm(const std::string& text) {
  return Filter("http_connection_manager.v3.HttpConnectionManager", text);
}
// A connection manager that lacks nothing, and more.
std::string Hcm(const std::string& text) {
  return Chain(
      RawHcm("stat_prefix: h, route_config: {}, http_filters: [" + kRouter + "], " + text));
}
std::string Log(const std::string& text) {
  return Hcm(
      "access_log: [{" + text +
      "typed_config: {\"@type\": t/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog}}]");
}
std::string LogTo(const std::string& text) {
  return Hcm("access_log: [{typed_config: {\"@type\": t/envoy.extensions.access_loggers." + text +
             "}}]");
}
std::string Tracing(const std::string& text, const std::string& rest = "") {
  return Hcm("tracing: {" + rest +
             "provider: {name: o, typed_config: {\"@type\": "
             "t/envoy.config.trace.v3.OpenTelemetryConfig, " +
             text + "}}}");
}
std::string MatchOf(const std::string& text) {
  return Chain(Tcp("cluster: c"), "filter_chain_match: {" + text + "}, ");
}

constexpr char kAt[] = "filter_chains[0].filters[0].typed_config";

TEST_CASE("a full listener is read") {
  const config::Listener l = GoodListener(R"(
name: inbound
address: {socket_address: {address: "::", port_value: 15006}}
traffic_direction: INBOUND
use_original_dst: true
bind_to_port: false
enable_reuse_port: false
per_connection_buffer_limit_bytes: 4096
tcp_backlog_size: 7
listener_filters_timeout: 0s
continue_on_listener_filters_timeout: true
listener_filters:
- {name: a, typed_config: {"@type": t/envoy.extensions.filters.listener.original_dst.v3.OriginalDst}}
- {name: b, typed_config: {"@type": t/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector}}
- {name: c, typed_config: {"@type": t/envoy.extensions.filters.listener.http_inspector.v3.HttpInspector}}
filter_chains:
- name: web
  filter_chain_match:
    destination_port: 80
    prefix_ranges: [{address_prefix: 10.1.2.3, prefix_len: 8}]
    source_type: EXTERNAL
    source_prefix_ranges: [{address_prefix: "::", prefix_len: 0}]
    source_ports: [1]
    server_names: [A.b, "*.C"]
    transport_protocol: tls
    application_protocols: [h2]
  transport_socket_connect_timeout: 3s
  filters:
  - name: rbac
    typed_config: {"@type": t/envoy.extensions.filters.network.rbac.v3.RBAC, stat_prefix: r}
  - name: http
    typed_config:
      "@type": t/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
      codec_type: HTTP2
      stat_prefix: in
      rds: {route_config_name: r, config_source: {ads: {}}}
      http_filters:
      - {name: fault, typed_config: {"@type": t/envoy.extensions.filters.http.fault.v3.HTTPFault}, disabled: true}
      - {name: mystery, is_optional: true, typed_config: {"@type": t/google.protobuf.Duration}}
      - {name: router, typed_config: {"@type": t/envoy.extensions.filters.http.router.v3.Router}}
      common_http_protocol_options: {idle_timeout: 1s, headers_with_underscores_action: DROP_HEADER}
      http_protocol_options: {accept_http_10: true, default_host_for_http_10: d, allow_absolute_url: false}
      max_request_headers_kb: 96
      stream_idle_timeout: 0s
      request_timeout: 2s
      request_headers_timeout: 3s
      drain_timeout: 4s
      delayed_close_timeout: 0.5s
      use_remote_address: true
      internal_address_config: {unix_sockets: true, cidr_ranges: [{address_prefix: 10.0.0.0, prefix_len: 8}]}
      xff_num_trusted_hops: 2
      skip_xff_append: true
      via: v
      generate_request_id: false
      preserve_external_request_id: true
      always_set_request_id_in_response: true
      forward_client_cert_details: SANITIZE_SET
      set_current_client_cert_details: {uri: true, subject: true}
      proxy_100_continue: true
      upgrade_configs: [{upgrade_type: websocket}]
      normalize_path: true
      merge_slashes: true
      path_with_escaped_slashes_action: UNESCAPE_AND_REDIRECT
      server_name: s
      server_header_transformation: PASS_THROUGH
      stream_error_on_invalid_http_message: true
      strip_any_host_port: true
      access_log:
      - name: file
        filter: {or_filter: {filters: [{status_code_filter: {comparison: {op: GE, value: {default_value: 500, runtime_key: x}}}}, {response_flag_filter: {flags: [UF]}}]}}
        typed_config:
          "@type": t/envoy.extensions.access_loggers.file.v3.FileAccessLog
          path: /dev/null
          log_format: {json_format: {code: "%RESPONSE_CODE%"}}
      tracing:
        random_sampling: {value: 12.34}
        spawn_upstream_span: true
        custom_tags: [{tag: t, literal: {value: x}}, {tag: e, environment: {name: HOME}}]
        provider:
          name: otel
          typed_config:
            "@type": t/envoy.config.trace.v3.OpenTelemetryConfig
            service_name: web
            http_service:
              http_uri: {uri: "http://jaeger:4318/v1/traces", cluster: jaeger, timeout: 0.25s}
              request_headers_to_add: [{header: {key: X-Tenant, value: "50%a"}}, {header: {key: X-Tenant, value: b}}]
default_filter_chain:
  filters:
  - name: tcp
    typed_config:
      "@type": t/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
      stat_prefix: t
      weighted_clusters: {clusters: [{name: a, weight: 1}, {name: b, weight: 2}]}
      idle_timeout: 5s
      max_connect_attempts: 3
)");
  CHECK(l.address.ToString() == "[::]:15006");
  CHECK(l.direction == config::Listener::Direction::kInbound);
  CHECK(l.use_original_dst);
  CHECK_FALSE(l.bind_to_port);
  CHECK_FALSE(l.reuse_port);
  CHECK(l.buffer_limit == 4096);
  CHECK(l.backlog == 7);
  CHECK(l.listener_filters_timeout == absl::ZeroDuration());
  CHECK((l.original_dst && l.tls_inspector && l.http_inspector && l.continue_on_timeout));
  const config::FilterChain& chain = l.chains.at(0);
  CHECK(chain.name == "web");
  CHECK(chain.match.destination_port == 80);
  CHECK(chain.match.destinations.at(0).ToString() == "10.0.0.0/8");
  CHECK(chain.match.server_names == std::vector<std::string>{"a.b", "*.c"});
  CHECK(chain.match.transport_protocol == "tls");
  CHECK(chain.transport_connect_timeout == absl::Seconds(3));
  REQUIRE(chain.policies.size() == 1);
  CHECK(chain.policies[0].name == "rbac");
  const auto& h = *std::get<std::shared_ptr<const config::HttpConnectionManager>>(chain.terminal);
  CHECK(h.codec == config::HttpConnectionManager::Codec::kHttp2);
  CHECK(h.rds_name == "r");
  REQUIRE(h.filters.size() == 2);
  CHECK(h.filters[0].disabled);
  CHECK(h.filters[0].type == "envoy.filters.http.fault");
  CHECK(h.filters[1].terminal);
  CHECK(h.common.idle_timeout == absl::Seconds(1));
  CHECK(h.common.underscores == config::CommonHttp::Underscores::kDrop);
  CHECK(h.http1.accept_http_10);
  CHECK_FALSE(h.http1.allow_absolute_url);
  CHECK(h.max_request_headers_kb == 96);
  CHECK(h.stream_idle_timeout == absl::ZeroDuration());
  CHECK(h.delayed_close_timeout == absl::Milliseconds(500));
  CHECK(h.internal.unix_sockets);
  REQUIRE(h.internal.ranges.size() == 1);
  CHECK(h.internal.ranges[0].ToString() == "10.0.0.0/8");
  CHECK(h.xff_num_trusted_hops == 2);
  CHECK_FALSE(h.generate_request_id);
  CHECK(h.client_cert == config::ClientCert::kSanitizeSet);
  CHECK((h.cert_uri && h.cert_subject && !h.cert_dns));
  CHECK(h.upgrades.at("websocket"));
  CHECK(h.escaped_slashes == config::HttpConnectionManager::EscapedSlashes::kRedirect);
  CHECK(h.server_name == "s");
  CHECK(h.strip_any_host_port);
  const config::AccessLog& log = h.access_logs.at(0);
  CHECK(log.sink == config::AccessLog::Sink::kFile);
  CHECK(log.format.json == R"({"code":"%RESPONSE_CODE%"})");
  CHECK(log.filter->kind == config::AccessLogFilter::Kind::kOr);
  CHECK(log.filter->children.at(0).value == 500);
  CHECK(h.tracing->random_sampling.numerator == 1234);
  CHECK(h.tracing->random_sampling.denominator == 10000);
  CHECK(h.tracing->target.http);
  CHECK(h.tracing->target.authority == "jaeger:4318");
  CHECK(h.tracing->target.path == "/v1/traces");
  CHECK(h.tracing->target.timeout == absl::Milliseconds(250));
  CHECK(h.tracing->target.headers ==
        std::vector<std::pair<std::string, std::string>>{{"content-type", "application/x-protobuf"},
                                                         {"x-tenant", "b"}});
  CHECK(h.tracing->tags.size() == 2);
  const auto& tcp = *std::get<std::shared_ptr<const config::TcpProxy>>(l.default_chain->terminal);
  CHECK(tcp.weighted.at(1).weight == 2);
  CHECK(tcp.idle_timeout == absl::Seconds(5));
  CHECK(tcp.max_connect_attempts == 3);
  CHECK(l.hash != 0);
}

TEST_CASE("a chain that asks for SNI gets the TLS inspector, and a warning says so") {
  const config::Listener l = GoodListener(MatchOf("server_names: [a]"));
  CHECK(l.tls_inspector);
  CHECK(
      LastWarnings() ==
      std::vector<std::string>{
          "filter_chains: match on what tls_inspector finds, so it was added to listener_filters"});
}

TEST_CASE("bad values of a listener are named") {
  const std::string at = kAt;
  const std::string match = "filter_chains[0].filter_chain_match";
  const std::string known =
      "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, "
      "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, "
      "envoy.extensions.filters.network.rbac.v3.RBAC";
  const Case cases[] = {
      {"address: {pipe: {path: /x}}", "name: required"},
      {"name: a", "address: required"},
      {"name: a\naddress: {}", "address: found nothing, allowed socket_address or pipe"},
      {"name: a\naddress: {socket_address: {address: localhost}}",
       "address.socket_address.address: found \"localhost\", allowed an IP address"},
      {"name: a\naddress: {socket_address: {address: 1.1.1.1, port_value: 70000}}",
       "address.socket_address.port_value: found 70000, allowed 0 to 65535"},
      {kAddress, "filter_chains: found none, allowed 1 or more"},
      {kAddress + "per_connection_buffer_limit_bytes: 0",
       "per_connection_buffer_limit_bytes: found 0, allowed 1 to 1073741824"},
      {kAddress + "tcp_backlog_size: 0", "tcp_backlog_size: found 0, allowed 1 to 1048576"},
      {kAddress + "listener_filters: [{name: a}]", "listener_filters[0].typed_config: required"},
      {kAddress +
           "listener_filters: [{name: a, typed_config: {\"@type\": t/google.protobuf.Duration}}]",
       "listener_filters[0].typed_config: found type \"google.protobuf.Duration\", allowed "
       "OriginalDst, TlsInspector, "
       "HttpInspector"},
      {kAddress + "listener_filters: [{name: a, typed_config: {\"@type\": "
                  "t/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector, "
                  "initial_read_buffer_size: 1}}]",
       "listener_filters[0].typed_config.initial_read_buffer_size: found 1, allowed 256 to 65536"},
      {Chain(Tcp("cluster: c")) + "listener_filters_timeout: -1s",
       "listener_filters_timeout: found \"-1s\", allowed \"0s\" or more"},
      {kAddress + "filter_chains: [{}]", "filter_chains[0].filters: found none, allowed 1 or more"},
      {kAddress + "filter_chains: [{filters: [{}]}]", "filter_chains[0].filters[0].name: required"},
      {kAddress + "filter_chains: [{filters: [{name: a}]}]",
       "filter_chains[0].filters[0].typed_config: required"},
      {kAddress + "filter_chains: [{filters: [{name: a, typed_config: {\"@type\": "
                  "t/google.protobuf.Duration}}]}]",
       at + ": found type \"google.protobuf.Duration\", allowed " + known},
      {Chain(Filter("rbac.v3.RBAC", "stat_prefix: r")),
       "filter_chains[0].filters[0]: the last filter must be an HTTP connection manager or a TCP "
       "proxy"},
      {Chain(Tcp("cluster: c") + ", " + Tcp("cluster: c")),
       "filter_chains[0].filters[0]: ends the chain, and must be the last filter"},
      {kAddress + "filter_chains: [{filters: [" + Tcp("cluster: c") + "]}, {filters: [" +
           Tcp("cluster: d") + "]}]",
       "filter_chains[1].filter_chain_match: the same as that of filter_chains[0]"},
      {kAddress + "filter_chains: [{name: a, filters: [" + Tcp("cluster: c") +
           "]}, {name: a, filter_chain_match: {destination_port: 1}, filters: [" +
           Tcp("cluster: d") + "]}]",
       "filter_chains[1].name: duplicate \"a\""},
      {MatchOf("destination_port: 0"), match + ".destination_port: found 0, allowed 1 to 65535"},
      {MatchOf("prefix_ranges: [{address_prefix: 10.0.0.0, prefix_len: 33}]"),
       match + ".prefix_ranges[0]: found \"10.0.0.0/33\", allowed an IPv4 prefix up to /32 or an "
               "IPv6 prefix up to /128"},
      {MatchOf("source_prefix_ranges: [{address_prefix: x}]"),
       match + ".source_prefix_ranges[0]: found \"x/0\", allowed an IPv4 prefix up to /32 or an "
               "IPv6 prefix up to /128"},
      {MatchOf("source_ports: [0]"), match + ".source_ports[0]: found 0, allowed 1 to 65535"},
      {MatchOf("server_names: ['a*']"),
       match + ".server_names[0]: found \"a*\", allowed \"host\" or \"*.suffix\""},
      {MatchOf("transport_protocol: quic"),
       match + ".transport_protocol: found \"quic\", allowed tls, raw_buffer"},
      {MatchOf("application_protocols: ['']"),
       match + ".application_protocols[0]: must not be empty"},
      {Chain(Filter("tcp_proxy.v3.TcpProxy", "cluster: c")), at + ".stat_prefix: required"},
      {Chain(Tcp("")), at + ": found nothing, allowed one of cluster, weighted_clusters"},
      {Chain(Tcp("cluster: ''")), at + ".cluster: must not be empty"},
      {Chain(Tcp("weighted_clusters: {}")),
       at + ".weighted_clusters.clusters: found none, allowed 1 or more"},
      {Chain(Tcp("weighted_clusters: {clusters: [{name: a}]}")),
       at + ".weighted_clusters.clusters[0].weight: found 0, allowed 1 or more"},
      {Chain(Tcp("cluster: c, max_connect_attempts: 0")),
       at + ".max_connect_attempts: found 0, allowed 1 to 1000"},
      {Chain(Tcp("cluster: c, max_downstream_connection_duration: 0s")),
       at + ".max_downstream_connection_duration: found \"0s\", allowed more than \"0s\""},
      {Chain(Tcp("cluster: c"), "transport_socket: {name: x}, "),
       "filter_chains[0].transport_socket.typed_config: required"},
  };
  for (const Case& c : cases) {
    INFO(c.yaml);
    CHECK(ListenerError(c.yaml) == c.error);
  }
}

TEST_CASE("bad values of a connection manager are named") {
  const std::string at = kAt;
  const std::string otel = at + ".tracing.provider.typed_config";
  const std::string filters = "stat_prefix: h, route_config: {}, http_filters: ";
  const Case cases[] = {
      {Chain(RawHcm("route_config: {}")), at + ".stat_prefix: required"},
      {Chain(RawHcm("stat_prefix: h")), at + ": found no routes, allowed one of rds, route_config"},
      {Chain(RawHcm("stat_prefix: h, rds: {}")), at + ".rds.route_config_name: required"},
      {Chain(RawHcm("stat_prefix: h, rds: {route_config_name: r}")),
       at + ".rds.config_source: found nothing, allowed ads or self"},
      {Chain(RawHcm("stat_prefix: h, route_config: {virtual_hosts: [{}]}")),
       at + ".route_config.virtual_hosts[0].name: required"},
      {Chain(RawHcm(filters + "[]")), at + ".http_filters: the last filter must be the router"},
      {Chain(RawHcm(filters + "[{}]")), at + ".http_filters[0].name: required"},
      {Chain(RawHcm(filters + "[{name: a}]")), at + ".http_filters[0].typed_config: required"},
      {Chain(
           RawHcm(filters + "[{name: a, typed_config: {\"@type\": t/google.protobuf.Duration}}]")),
       at + ".http_filters[0].typed_config: found type \"google.protobuf.Duration\", allowed "
            "envoy.extensions.filters.http.router.v3.Router, "
            "envoy.extensions.filters.http.fault.v3.HTTPFault"},
      {Chain(RawHcm(filters + "[" + kFault + "]")),
       at + ".http_filters: the last filter must be the router"},
      {Chain(RawHcm(filters + "[" + kRouter + ", " + kFault + "]")),
       at + ".http_filters[1]: stands after the router, which must be the last"},
      {Chain(RawHcm(filters + "[" + kFault + ", " + kFault + "]")),
       at + ".http_filters[1].name: duplicate \"fault\""},
      {Hcm("codec_type: HTTP3"), at + ".codec_type: found HTTP3, allowed AUTO, HTTP1, HTTP2"},
      {Hcm("internal_address_config: {cidr_ranges: [{address_prefix: 10.0.0.0, prefix_len: 33}]}"),
       at +
           ".internal_address_config.cidr_ranges[0]: found \"10.0.0.0/33\", allowed an IPv4 prefix "
           "up to /32 or an IPv6 prefix up to /128"},
      {Hcm("max_request_headers_kb: 8193"),
       at + ".max_request_headers_kb: found 8193, allowed 1 to 8192"},
      {Hcm("stream_idle_timeout: -1s"),
       at + ".stream_idle_timeout: found \"-1s\", allowed \"0s\" or more"},
      {Hcm("request_timeout: -1s"), at + ".request_timeout: found \"-1s\", allowed \"0s\" or more"},
      {Hcm("request_headers_timeout: -1s"),
       at + ".request_headers_timeout: found \"-1s\", allowed \"0s\" or more"},
      {Hcm("drain_timeout: -1s"), at + ".drain_timeout: found \"-1s\", allowed \"0s\" or more"},
      {Hcm("delayed_close_timeout: -1s"),
       at + ".delayed_close_timeout: found \"-1s\", allowed \"0s\" or more"},
      {Hcm("via: \"a\\nb\""), at + ".via: holds CR, LF or NUL"},
      {Hcm("server_name: \"a\\nb\""), at + ".server_name: holds CR, LF or NUL"},
      {Hcm("http_protocol_options: {default_host_for_http_10: \"a\\nb\"}"),
       at + ".http_protocol_options.default_host_for_http_10: holds CR, LF or NUL"},
      {Hcm("http2_protocol_options: {initial_connection_window_size: 1}"),
       at + ".http2_protocol_options.initial_connection_window_size: found 1, allowed 65535 to "
            "2147483647"},
      {Hcm("http2_protocol_options: {hpack_table_size: 1048577}"),
       at + ".http2_protocol_options.hpack_table_size: found 1048577, allowed 0 to 1048576"},
      {Hcm("common_http_protocol_options: {idle_timeout: -1s}"),
       at + ".common_http_protocol_options.idle_timeout: found \"-1s\", allowed \"0s\" or more"},
      {Hcm("strip_any_host_port: true, strip_matching_host_port: true"),
       at + ".strip_any_host_port: only one of strip_matching_host_port and strip_any_host_port"},
      {Hcm("upgrade_configs: [{}]"), at + ".upgrade_configs[0].upgrade_type: required"},
      {Hcm("upgrade_configs: [{upgrade_type: a}, {upgrade_type: A}]"),
       at + ".upgrade_configs[1].upgrade_type: duplicate \"a\""},
      {Hcm("access_log: [{}]"), at + ".access_log[0].typed_config: required"},
      {Hcm("access_log: [{typed_config: {\"@type\": t/google.protobuf.Duration}}]"),
       at + ".access_log[0].typed_config: found type \"google.protobuf.Duration\", allowed "
            "FileAccessLog, StdoutAccessLog, "
            "StderrAccessLog"},
      {LogTo("file.v3.FileAccessLog"), at + ".access_log[0].typed_config.path: required"},
      {LogTo("stream.v3.StderrAccessLog, log_format: {}"),
       at + ".access_log[0].typed_config.log_format: found nothing, allowed one of "
            "text_format_source, text_format, "
            "json_format"},
      {Log("filter: {}, "),
       at + ".access_log[0].filter: found nothing, or a filter that is not supported"},
      {Log("filter: {status_code_filter: {}}, "),
       at + ".access_log[0].filter.status_code_filter.comparison: required"},
      {Log("filter: {duration_filter: {comparison: {}}}, "),
       at + ".access_log[0].filter.duration_filter.comparison.value: required"},
      {Log("filter: {and_filter: {filters: [{traceable_filter: {}}]}}, "),
       at + ".access_log[0].filter.and_filter.filters: found 1, allowed 2 or more"},
      {Log("filter: {header_filter: {}}, "),
       at + ".access_log[0].filter.header_filter.header: required"},
      {Hcm("tracing: {provider: {name: x}}"), at + ".tracing.provider.typed_config: required"},
      {Tracing(""), otel + ": exactly one of grpc_service and http_service is required"},
      {Tracing("grpc_service: {}"), otel + ".grpc_service.envoy_grpc.cluster_name: required"},
      {Tracing("http_service: {}"), otel + ".http_service.http_uri.cluster: required"},
      {Tracing("http_service: {http_uri: {cluster: c, uri: x}}"),
       otel + ".http_service.http_uri.uri: found \"x\", allowed http://HOST/PATH or "
              "https://HOST/PATH"},
      {Tracing("grpc_service: {envoy_grpc: {cluster_name: c}, timeout: 0s}"),
       otel + ".grpc_service.timeout: found \"0s\", allowed more than \"0s\""},
      {Tracing("grpc_service: {envoy_grpc: {cluster_name: c}, initial_metadata: [{key: a}, "
               "{key: 'b c'}]}"),
       otel + ".grpc_service.initial_metadata[1].key: found \"b c\", allowed a header name other "
              "than host"},
      {Tracing("http_service: {http_uri: {cluster: c, uri: 'http://c/'}, request_headers_to_add: "
               "[{header: {key: a, value: \"x\\ny\"}}]}"),
       otel + ".http_service.request_headers_to_add[0].header.value: holds CR, LF or NUL"},
      {Tracing("http_service: {http_uri: {cluster: c, uri: 'http://c/'}, request_headers_to_add: "
               "[{}]}"),
       otel + ".http_service.request_headers_to_add[0].header: required"},
      {Tracing("grpc_service: {envoy_grpc: {cluster_name: c}}",
               "overall_sampling: {value: 100.1}, "),
       at + ".tracing.overall_sampling.value: found 100.1, allowed 0 to 100"},
      {Tracing("grpc_service: {envoy_grpc: {cluster_name: c}}", "max_path_tag_length: 0, "),
       at + ".tracing.max_path_tag_length: found 0, allowed 1 to 65536"},
      {Tracing("grpc_service: {envoy_grpc: {cluster_name: c}}", "custom_tags: [{tag: a}], "),
       at + ".tracing.custom_tags[0]: found nothing, allowed one of literal, environment, "
            "request_header"},
      {Tracing("grpc_service: {envoy_grpc: {cluster_name: c}}",
               "custom_tags: [{literal: {value: a}}], "),
       at + ".tracing.custom_tags[0].tag: required"},
  };
  for (const Case& c : cases) {
    INFO(c.yaml);
    CHECK(ListenerError(c.yaml) == c.error);
  }
  // These lists come from elsewhere and may grow.
  CHECK(ListenerError(Log("filter: {response_flag_filter: {flags: [XX]}}, "))
            .find(at +
                  ".access_log[0].filter.response_flag_filter.flags[0]: found \"XX\", allowed ") ==
        0);
  CHECK(ListenerError(LogTo("stream.v3.StdoutAccessLog, log_format: {text_format_source: "
                            "{inline_string: '%NOPE%'}}"))
            .find(at + ".access_log[0].typed_config.log_format: ") == 0);
}

TEST_CASE("an unknown field of an inline table is told once") {
  envoy::config::listener::v3::Listener listener;
  Read(Hcm(""), &listener);
  google::protobuf::Any* any =
      listener.mutable_filter_chains(0)->mutable_filters(0)->mutable_typed_config();
  envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager http;
  REQUIRE(any->UnpackTo(&http));
  auto* routes = http.mutable_route_config();
  routes->GetReflection()->MutableUnknownFields(routes)->AddVarint(900, 1);
  any->PackFrom(http);
  decode::Context context(FakeCatalogue());
  CHECK(decode::ListenerFromBytes(listener.SerializeAsString(), context).ok());
  CHECK(context.warnings() ==
        std::vector<std::string>{
            "l.filter_chains[0].filters[0].typed_config.route_config: unknown field number 900 in "
            "envoy.config.route.v3.RouteConfiguration"});
}

}  // namespace
}  // namespace heddle::test
