// Upstreams as configuration: envoy.config.cluster.v3 and envoy.config.endpoint.v3.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "source/config/http.h"
#include "source/config/tls.h"
#include "source/config/types.h"

namespace heddle::config {

struct RetryBudget {
  double percent = 20;
  uint32_t min_concurrency = 3;
};

struct Limits {  // CircuitBreakers.Thresholds of one priority; shared by all workers
  uint32_t max_connections = 1024;
  uint32_t max_pending = 1024;
  uint32_t max_requests = 1024;
  uint32_t max_retries = 3;
  std::optional<RetryBudget> budget;  // replaces max_retries
  bool track_remaining = false;
};

struct OutlierDetection {  // numbers: proxy_semantics.md 2.1
  uint32_t consecutive_5xx = 5;
  uint32_t consecutive_gateway_failure = 5;
  uint32_t consecutive_local_origin_failure = 5;
  absl::Duration interval = absl::Seconds(10);
  absl::Duration base_ejection_time = absl::Seconds(30);
  absl::Duration max_ejection_time = absl::Seconds(300);
  absl::Duration max_ejection_time_jitter = absl::ZeroDuration();
  uint32_t max_ejection_percent = 10;
  bool always_eject_one_host = false;
  bool split_external_local_origin_errors = false;
  uint32_t enforcing_consecutive_5xx = 100;
  uint32_t enforcing_consecutive_gateway_failure = 0;
  uint32_t enforcing_consecutive_local_origin_failure = 100;
  uint32_t enforcing_success_rate = 100;
  uint32_t enforcing_local_origin_success_rate = 100;
  uint32_t enforcing_failure_percentage = 0;
  uint32_t enforcing_failure_percentage_local_origin = 0;
  uint32_t success_rate_minimum_hosts = 5, success_rate_request_volume = 100,
           success_rate_stdev_factor = 1900;
  uint32_t failure_percentage_threshold = 85, failure_percentage_minimum_hosts = 5,
           failure_percentage_request_volume = 50;
};

enum class Health : uint8_t { kHealthy, kUnhealthy, kDraining, kTimeout, kDegraded };

struct Endpoint {
  net::Address address;
  std::string hostname;   // STRICT_DNS name or LbEndpoint.hostname
  uint16_t dns_port = 0;  // STRICT_DNS: port of `hostname` when address is not resolved
  uint32_t weight = 1;
  Health health = Health::kHealthy;
  Metadata metadata;
};

struct Locality {
  std::string region, zone, sub_zone;
  uint32_t priority = 0;
  uint32_t weight = 0;  // 0 = unset
  std::vector<Endpoint> endpoints;
};

struct LoadAssignment {  // ClusterLoadAssignment
  std::string cluster;
  std::vector<Locality> localities;
  uint32_t overprovisioning_factor = 140;
};

struct TransportSocketMatch {
  std::string name;
  absl::flat_hash_map<std::string, std::string>
      match;  // against metadata "envoy.transport_socket_match"
  TransportSocket socket;
};

struct Cluster {
  std::string name;
  std::string alt_stat_name;
  enum class Discovery : uint8_t { kStatic, kStrictDns, kLogicalDns, kEds, kOriginalDst };
  Discovery discovery = Discovery::kStatic;
  std::string eds_name;  // EDS resource; = name unless service_name given
  absl::Duration eds_fetch_timeout = absl::Seconds(15);  // then it is empty; 0 = never
  LoadAssignment assignment;                             // kStatic, kStrictDns, kLogicalDns
  absl::Duration connect_timeout = absl::Seconds(5);
  enum class Balancer : uint8_t {
    kRoundRobin,
    kLeastRequest,
    kRandom,
    kRingHash,
    kMaglev,
    kClusterProvided
  };
  Balancer balancer = Balancer::kRoundRobin;
  uint32_t least_request_choices = 2;
  uint32_t panic_percent = 50;  // healthy_panic_threshold
  Limits limits, high_limits;
  std::optional<OutlierDetection> outlier;
  TransportSocket transport;
  std::vector<TransportSocketMatch> transport_matches;
  UpstreamHttp http;  // typed_extension_protocol_options HttpProtocolOptions
  uint32_t buffer_limit = 1024 * 1024;
  absl::Duration dns_refresh = absl::Seconds(5);
  bool respect_dns_ttl = false;
  enum class DnsFamily : uint8_t { kAuto, kV4Only, kV6Only, kV4Preferred, kAll };
  DnsFamily dns_family = DnsFamily::kAuto;
  absl::Duration original_dst_cleanup = absl::Seconds(5);
  net::Address bind_source;  // upstream_bind_config.source_address; unspecified = kernel's choice
  absl::Duration keepalive_idle =
      absl::ZeroDuration();            // upstream_connection_options.tcp_keepalive; 0 = off
  bool drain_on_host_removal = false;  // ignore_health_on_host_removal
  bool close_on_health_failure = false;
  Metadata metadata;
  uint64_t hash = 0;  // of the encoded resource: equal hash = pools are kept
};

}  // namespace heddle::config
