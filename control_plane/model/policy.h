// What policies say, resolved: every default is filled in.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "control_plane/model/digest.h"
#include "control_plane/model/types.h"

namespace heddle::model {

enum class Balancing { kRoundRobin, kLeastRequest, kRandom };

struct RetrySettings {
  uint32_t attempts = 2;        // after the first; 0: none
  std::vector<std::string> on;  // condition names or status codes; empty: the protocol's default
  std::vector<std::string> on_idempotent = {"5xx"};
  bool same_for_all_methods = false;
  absl::Duration per_try_timeout = absl::ZeroDuration();  // 0: none
  absl::Duration backoff = absl::Milliseconds(25);
  double budget_percent = 25;
  uint32_t budget_min_concurrency = 20;
};

struct OutlierSettings {
  bool enabled = true;
  uint32_t consecutive_5xx = 5;
  uint32_t consecutive_gateway_failures = 0;  // 0: not looked at
  absl::Duration interval = absl::Seconds(10);
  absl::Duration base_ejection_time = absl::Seconds(30);
  uint32_t max_ejection_percent = 50;
};

// How clients treat one port of a service.
struct BackendSettings {
  Balancing balancing = Balancing::kLeastRequest;
  absl::Duration connect_timeout = absl::Seconds(5);
  std::optional<absl::Duration> request_timeout;  // 0: none. Unset: 15 s, and none on gRPC ports
  absl::Duration idle_timeout = absl::Minutes(5);
  RetrySettings retries;
  OutlierSettings outlier;
  uint32_t max_connections = 1024;
  uint32_t max_pending_requests = 1024;
  uint32_t max_requests = 10240;
};

// Exact, prefix ("a*"), suffix ("*a") or presence ("*") match, as written.
using Pattern = std::string;

struct HeaderCondition {
  std::string name;  // lower case
  std::vector<Pattern> values;
  std::vector<Pattern> not_values;
};

struct AuthorizationSource {
  std::vector<Pattern> principals, not_principals;  // without "spiffe://"
  std::vector<Pattern> namespaces, not_namespaces;
  std::vector<std::string> ip_blocks, not_ip_blocks;  // "a.b.c.d/n", "x::/n"
};

struct AuthorizationOperation {
  std::vector<Pattern> hosts, not_hosts;
  std::vector<uint16_t> ports, not_ports;
  std::vector<Pattern> methods, not_methods;
  std::vector<Pattern> paths, not_paths;
  std::vector<HeaderCondition> headers;

  // Whether it asks about anything that only HTTP has.
  bool AsksAboutHttp() const;
};

struct AuthorizationRule {
  std::vector<AuthorizationSource> from;   // empty: anyone
  std::vector<AuthorizationOperation> to;  // empty: anything
};

struct AuthorizationPolicy {
  Key key;
  bool everywhere = false;  // of the root namespace
  std::map<std::string, std::string> selector;
  enum class Action { kAllow, kDeny };
  Action action = Action::kAllow;
  std::vector<AuthorizationRule> rules;
  Digest digest;

  bool Selects(const std::string& ns, const std::map<std::string, std::string>& labels) const;
};

// Whether every label that `selector` wants is there. An empty selector wants none.
bool SelectorMatches(const std::map<std::string, std::string>& selector,
                     const std::map<std::string, std::string>& labels);

struct TracingSettings {
  double sampling_percent = 100;
  std::optional<HostPort> collector;  // unset: heddle-control
};

struct AccessLogSettings {
  std::string path;  // empty: standard output; may hold {namespace} and {workload}
  bool json = false;
  std::string text;                                // empty: Envoy's default
  std::map<std::string, std::string> json_fields;  // empty with json: the default fields
};

struct MeshConfig {
  std::string trust_domain = "cluster.local";
  std::string cluster_domain = "cluster.local";
  std::string root_namespace = "heddle-system";
  std::optional<TracingSettings> tracing;
  std::optional<AccessLogSettings> access_log;
  std::optional<HostPort> control_address;  // where sidecars reach heddle-control; from its flags
  Digest digest;
};

}  // namespace heddle::model
