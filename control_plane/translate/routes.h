// Route tables: what a sidecar does with the requests of its application.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "control_plane/model/world.h"

namespace envoy::config::route::v3 {
class RetryPolicy;
class Route;
class RouteConfiguration;
class VirtualHost;
}  // namespace envoy::config::route::v3

namespace heddle::translate {

// The route configuration of outbound HTTP.
struct OutboundRoutes {
  std::string name;                             // "outbound", "outbound_9080"
  std::string client_ns;                        // decides short names and which HTTPRoutes hold
  std::vector<const model::Service*> services;  // that the caller may call; sorted
  uint16_t port = 0;  // only services with this HTTP port; 0: every port, told by the host
  enum class Unlisted { kNotFound, kPassthrough, kRefuse };
  Unlisted unlisted = Unlisted::kNotFound;  // hosts of no service
  bool intercepted() const { return unlisted != Unlisted::kNotFound; }
};
::envoy::config::route::v3::RouteConfiguration OutboundRouteConfiguration(
    const model::MeshConfig& mesh, const OutboundRoutes& in);

// Everything to one application: no timeout, since the caller's side has one.
::envoy::config::route::v3::RouteConfiguration InboundRouteConfiguration(uint16_t port);

// The HTTPRoutes of `service` that hold for a caller in `client_ns` on one port: those of the
// caller's own namespace, when that is another one and has any; else those of the service's.
std::vector<const model::Route*> RoutesFor(const model::Service& service, uint16_t port,
                                           const std::string& client_ns);

// The host names by which a caller in `client_ns` may mean this port; `alone`: also without the
// port.
std::vector<std::string> HostNames(const model::MeshConfig& mesh, const model::Service& service,
                                   uint16_t port, const std::string& client_ns, bool alone);

// ---- route_rules.cc

// One match of one rule.
struct RuleMatch {
  const model::Route* route = nullptr;  // null: the implicit route
  size_t rule_index = 0;
  const model::RouteRule* rule = nullptr;
  const model::RouteMatch* match = nullptr;
  bool intercepted = false;  // the caller's connections are
};
// Gateway API's order of precedence.
bool Before(const RuleMatch& a, const RuleMatch& b);

// As one route, or as two when methods that may be repeated are retried on more conditions.
void AddRoutes(const model::Service& service, const model::ServicePort& port, const RuleMatch& in,
               ::envoy::config::route::v3::VirtualHost* out);

// ---- retry.cc

// `idempotent` holds `any`, and is empty when methods are not told apart.
struct RetryConditions {
  std::vector<std::string> any;
  std::vector<std::string> idempotent;
};
RetryConditions ConditionsOf(const model::RetrySettings& settings, model::Protocol protocol);
// RFC 9110 section 9.2.2.
bool IsIdempotent(const std::string& method);
inline constexpr char kIdempotentMethods[] = "GET|HEAD|OPTIONS|TRACE|PUT|DELETE";

void SetRetryPolicy(const model::RetrySettings& settings,
                    const std::vector<std::string>& conditions, absl::Duration per_try_timeout,
                    ::envoy::config::route::v3::RetryPolicy* out);
void SetRetryPolicy(const model::RouteRetry& retry, absl::Duration per_try_timeout,
                    ::envoy::config::route::v3::RetryPolicy* out);

// ---- route_path.cc

// What becomes of a matched path, in whichever of the three ways says it.
struct PathRewrite {
  std::string prefix;   // prefix_rewrite
  std::string pattern;  // regex_rewrite with `substitution`
  std::string substitution;
};
// Nullopt: the path stays as it is.
std::optional<PathRewrite> RewriteOf(const model::PathChange& change,
                                     const model::RouteMatch& match);

}  // namespace heddle::translate
