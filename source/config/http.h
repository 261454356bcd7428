// HTTP options of either side, and the HTTP connection manager.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "source/config/route.h"
#include "source/config/types.h"
#include "source/net/address.h"

namespace heddle::filter {
class HttpFilter;
}

namespace heddle::config {

struct Http1Options {
  bool accept_http_10 = false;
  std::string default_host_for_http_10;
  bool allow_absolute_url = true;
  bool allow_chunked_length = false;
  bool enable_trailers = false;
};

struct Http2Options {
  uint32_t max_concurrent_streams = 1024;             // Envoy >= 1.36; 100 advised at an edge
  uint32_t initial_stream_window = 16 * 1024 * 1024;  // Envoy's default since 1.36
  uint32_t initial_connection_window = 24 * 1024 * 1024;
  uint32_t hpack_table_size = 4096;
  bool allow_connect = false;                                // RFC 8441
  absl::Duration keepalive_interval = absl::ZeroDuration();  // 0 = off
  absl::Duration keepalive_timeout = absl::Seconds(20);
  bool stream_error_on_invalid = false;  // override_stream_error_on_invalid_http_message
};

struct CommonHttp {                              // core.v3.HttpProtocolOptions
  absl::Duration idle_timeout = absl::Hours(1);  // 0 = off
  absl::Duration max_connection_duration = absl::ZeroDuration();
  absl::Duration max_stream_duration = absl::ZeroDuration();
  uint32_t max_headers_count = 100;
  uint32_t max_requests_per_connection = 0;  // 0 = unlimited
  enum class Underscores : uint8_t { kAllow, kReject, kDrop };
  Underscores underscores = Underscores::kAllow;
};

struct UpstreamHttp {  // upstreams.http.v3.HttpProtocolOptions
  enum class Kind : uint8_t { kHttp1, kHttp2, kAuto /* ALPN */, kDownstream /* as the client's */ };
  Kind kind = Kind::kHttp1;
  Http1Options http1;
  Http2Options http2;
  CommonHttp common;
  std::shared_ptr<const RetryPolicy> retry;  // cluster level
  bool auto_sni = false, auto_san_validation = false;
};

// One HTTP filter of the chain, decoded: makes an instance for each stream, closed over shared
// const config.
struct HttpFilterSpec {
  std::string name;  // instance name; key of per-route configuration
  std::string type;  // "envoy.filters.http.rbac"
  std::function<std::unique_ptr<filter::HttpFilter>()> make;  // null for the router
  bool terminal = false;                                      // the router
  bool disabled = false;
  bool suppress_envoy_headers = false;  // the router's: adds no x-envoy-* of its own
};

// A format: text with %OPERATORS%, or JSON members. Compiled by observe/.
struct LogFormat {
  std::string text;  // used when json is empty; empty = Envoy's default format
  std::string json;  // JSON text whose string leaves hold operators
  bool omit_empty = false;
};

struct AccessLogFilter {  // accesslog.v3.AccessLogFilter, a tree
  enum class Kind : uint8_t {
    kAnd,
    kOr,
    kStatus,
    kDuration,
    kNotHealthCheck,
    kResponseFlag,
    kHeader,
    kGrpcStatus,
    kRuntime,
    kTraceable
  };
  Kind kind = Kind::kAnd;
  std::vector<AccessLogFilter> children;
  enum class Op : uint8_t { kEq, kGe, kLe, kNe };
  Op op = Op::kEq;
  uint32_t value = 0;              // kStatus; ms for kDuration
  std::vector<std::string> flags;  // kResponseFlag; empty = any flag
  std::optional<HeaderMatcher> header;
  std::vector<int> grpc_statuses;
  bool exclude = false;  // kGrpcStatus
  Fraction fraction{100, 100};
};

struct AccessLog {
  enum class Sink : uint8_t { kFile, kStdout, kStderr };
  Sink sink = Sink::kStdout;
  std::string path;  // kFile
  LogFormat format;
  std::optional<AccessLogFilter> filter;
};

struct CustomTag {
  enum class Kind : uint8_t { kLiteral, kEnvironment, kRequestHeader };
  std::string tag;
  Kind kind = Kind::kLiteral;
  std::string name, value;  // header/variable name; literal or default
};

// Where spans go: OpenTelemetryConfig.
struct SpanTarget {
  std::string service_name;  // resource service.name
  std::string cluster;
  bool http = false;  // false: OTLP over gRPC; true: POST protobuf to path
  std::string path = "/v1/traces", authority;
  absl::Duration timeout = absl::Seconds(1);  // of one call
  // grpc_service.initial_metadata, http_service.request_headers_to_add: names in lower case.
  std::vector<std::pair<std::string, std::string>> headers;
  friend bool operator==(const SpanTarget&, const SpanTarget&) = default;
};

struct Tracing {  // HttpConnectionManager.tracing with the OpenTelemetry provider
  Fraction client_sampling{100, 100};
  Fraction random_sampling{100, 100};
  Fraction overall_sampling{100, 100};
  bool spawn_upstream_span = false;
  uint32_t max_path_tag_length = 256;
  std::vector<CustomTag> tags;
  SpanTarget target;
};

enum class ClientCert : uint8_t {
  kSanitize,
  kForwardOnly,
  kAppendForward,
  kSanitizeSet,
  kAlwaysForwardOnly
};

// Clients whose x-envoy-* headers are believed.
struct InternalAddresses {
  bool unix_sockets = false;
  std::vector<net::Cidr> ranges;
};

struct HttpConnectionManager {
  std::string stat_prefix;
  enum class Codec : uint8_t { kAuto, kHttp1, kHttp2 };
  Codec codec = Codec::kAuto;
  std::string rds_name;                                  // set: routes come by RDS
  absl::Duration rds_fetch_timeout = absl::Seconds(15);  // then there are none (404); 0 = never
  std::shared_ptr<const RouteConfiguration> routes;      // inline
  std::vector<HttpFilterSpec> filters;                   // the last is the router
  Http1Options http1;
  Http2Options http2;
  CommonHttp common;
  uint32_t max_request_headers_kb = 60;
  absl::Duration stream_idle_timeout = absl::Minutes(5);
  absl::Duration request_timeout = absl::ZeroDuration();
  absl::Duration request_headers_timeout = absl::ZeroDuration();
  absl::Duration drain_timeout = absl::Seconds(5);
  absl::Duration delayed_close_timeout = absl::Seconds(1);
  std::vector<AccessLog> access_logs;
  std::optional<Tracing> tracing;
  bool use_remote_address = false;
  InternalAddresses internal;
  uint32_t xff_num_trusted_hops = 0;
  bool skip_xff_append = false;
  std::string via;
  bool generate_request_id = true;
  bool preserve_external_request_id = false;
  bool always_set_request_id_in_response = false;
  ClientCert client_cert = ClientCert::kSanitize;
  bool cert_subject = false, cert_cert = false, cert_chain = false, cert_dns = false,
       cert_uri = false;
  bool proxy_100_continue = false;
  absl::flat_hash_map<std::string, bool> upgrades;  // "websocket" -> enabled; lower case
  bool normalize_path = false, merge_slashes = false;
  enum class EscapedSlashes : uint8_t { kKeep, kReject, kRedirect, kForward };
  EscapedSlashes escaped_slashes = EscapedSlashes::kKeep;
  enum class ServerHeader : uint8_t { kOverwrite, kAppendIfAbsent, kPassThrough };
  ServerHeader server_header = ServerHeader::kOverwrite;
  std::string server_name = "envoy";  // Envoy's own default, kept for compatibility
  bool stream_error_on_invalid = false;
  bool strip_matching_host_port = false, strip_any_host_port = false;
};

}  // namespace heddle::config
