// Routes as configuration: envoy.config.route.v3. proxy/RouteTable is what they become.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "source/config/types.h"

namespace heddle::config {

// Decoded per-route configuration of one filter, by filter name; the type is the filter's own
// (filter/).
using FilterConfigs = absl::flat_hash_map<std::string, std::shared_ptr<const void>>;

struct RetryPolicy {  // route.v3.RetryPolicy; proxy_semantics: "Retries"
  // Bits in the order of the table in decode/retry.cc.
  enum On : uint32_t {
    k5xx = 1 << 0,
    kGatewayError = 1 << 1,
    kReset = 1 << 2,
    kResetBeforeRequest = 1 << 3,
    kConnectFailure = 1 << 4,
    kEnvoyRatelimited = 1 << 5,
    kRetriable4xx = 1 << 6,
    kRefusedStream = 1 << 7,
    kRetriableStatusCodes = 1 << 8,
    kRetriableHeaders = 1 << 9,
    kGrpcCancelled = 1 << 10,
    kGrpcDeadlineExceeded = 1 << 11,
    kGrpcInternal = 1 << 12,
    kGrpcResourceExhausted = 1 << 13,
    kGrpcUnavailable = 1 << 14,
  };
  uint32_t on = 0;
  uint32_t num_retries = 1;
  absl::Duration per_try_timeout = absl::ZeroDuration();       // 0 = off
  absl::Duration per_try_idle_timeout = absl::ZeroDuration();  // 0 = off
  std::vector<uint32_t> retriable_status_codes;
  std::vector<HeaderMatcher> retriable_headers;
  std::vector<HeaderMatcher> retriable_request_headers;
  bool previous_hosts = false;  // retry_host_predicate
  uint32_t host_selection_attempts = 1;
  absl::Duration backoff_base = absl::Milliseconds(25);
  absl::Duration backoff_max = absl::Milliseconds(250);  // default 10 x base
};

struct HashPolicy {
  enum class Kind : uint8_t { kHeader, kCookie, kSourceIp, kQuery };
  Kind kind = Kind::kHeader;
  std::string name;
  absl::Duration cookie_ttl = absl::ZeroDuration();
  std::string cookie_path;
  bool cookie_generate = false;  // ttl was given
  bool terminal = false;
};

struct RegexRewrite {
  std::shared_ptr<const RE2> pattern;
  std::string substitution;  // RE2 form: \1
};

struct WeightedCluster {
  std::string name;
  uint32_t weight = 1;
  HeaderMutations request, response;
  FilterConfigs filters;
};

struct MirrorPolicy {
  std::string cluster;
  Fraction fraction{100, 100};
};

struct RouteAction {
  std::string cluster;  // one of: cluster, cluster_header, weighted
  std::string cluster_header;
  std::vector<WeightedCluster> weighted;  // weights summed at decode into total_weight, > 0
  uint64_t total_weight = 0;
  int cluster_not_found_status = 503;
  std::optional<absl::Duration> timeout;  // unset = 15 s; 0 = off
  std::optional<absl::Duration> idle_timeout;
  bool stream_duration = false;  // `max_stream_duration` is there: `timeout` does not count (Envoy)
  std::optional<absl::Duration> max_stream_duration;
  std::optional<absl::Duration> max_grpc_timeout;  // honour grpc-timeout up to this; 0 = no cap
  std::string prefix_rewrite,
      path_rewrite;  // path_rewrite: whole path (path_rewrite_policy not honoured)
  std::optional<RegexRewrite> regex_rewrite;
  std::string host_rewrite, host_rewrite_header;
  bool auto_host_rewrite = false;
  bool append_x_forwarded_host = false;
  std::shared_ptr<const RetryPolicy> retry;  // route's own, else the virtual host's; null = none
  std::vector<HashPolicy> hash;
  std::vector<MirrorPolicy> mirrors;
  bool high_priority = false;
  Metadata metadata_match;
  absl::flat_hash_map<std::string, bool> upgrades;  // overrides the connection manager's
  bool connect_terminate = false;                   // CONNECT becomes a TCP tunnel
};

struct RedirectAction {
  std::string scheme, host, path, prefix_rewrite;
  std::optional<RegexRewrite> regex_rewrite;
  std::optional<uint16_t> port;
  int status = 301;  // 301 302 303 307 308
  bool https_redirect = false;
  bool strip_query = false;
};

struct DirectResponse {
  int status = 200;
  std::string body;  // at most 4 KiB by default
};

struct RouteMatch {
  enum class Kind : uint8_t { kPrefix, kPath, kRegex, kSeparatedPrefix, kConnect };
  Kind kind = Kind::kPrefix;
  std::string text;  // lower case when !case_sensitive
  std::shared_ptr<const RE2> regex;
  bool case_sensitive = true;
  std::vector<HeaderMatcher> headers;
  std::vector<QueryMatcher> query;
  std::optional<Fraction> runtime_fraction;
  bool grpc_only = false;
};

struct Route {
  std::string name;
  RouteMatch match;
  enum class Kind : uint8_t { kForward, kRedirect, kDirect, kNonForwarding };
  Kind kind = Kind::kForward;
  RouteAction forward;
  RedirectAction redirect;
  DirectResponse direct;
  HeaderMutations request, response;
  FilterConfigs filters;
  std::string decorator;  // span operation; empty = default
  std::optional<Fraction> trace_sampling;
  Metadata metadata;
};

struct VirtualHost {
  std::string name;
  std::vector<std::string> domains;  // lower case: "*", "a.b", "*.b", "a.*"
  std::vector<Route> routes;
  HeaderMutations request, response;
  FilterConfigs filters;
  enum class Tls : uint8_t { kNone, kExternalOnly, kAll };
  Tls require_tls = Tls::kNone;
  bool include_attempt_count_request = false, include_attempt_count_response = false;
  std::shared_ptr<const RetryPolicy> retry;
};

struct RouteConfiguration {
  std::string name;
  std::vector<VirtualHost> virtual_hosts;
  HeaderMutations request, response;
  FilterConfigs filters;
  bool most_specific_header_mutations_wins = false;
  bool ignore_port_in_host = false;
  uint32_t max_direct_response_bytes = 4096;
  // A route to a cluster that is not there is refused. Absent: when it is inline, not by RDS.
  std::optional<bool> validate_clusters;
};

}  // namespace heddle::config
