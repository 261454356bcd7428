// Clusters and their endpoints. Each function is told everything it looks at.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "control_plane/model/world.h"

namespace envoy::config::cluster::v3 {
class Cluster;
}
namespace envoy::config::endpoint::v3 {
class ClusterLoadAssignment;
}

namespace heddle::translate {

inline constexpr char kPassthroughCluster[] = "passthrough";
// Named by routes for the share of a backend that is not valid; never there, so that it is answered
// with their cluster_not_found_response_code.
inline constexpr char kNoCluster[] = "no_backend";
inline constexpr char kBlackholeCluster[] = "blackhole";
inline constexpr char kControlCluster[] = "heddle-control";
inline constexpr char kCollectorCluster[] = "otlp";
// "inbound:9080".
std::string InboundClusterName(uint16_t port);

// One port of a service, for every caller alike. With sidecars: mutual TLS that checks the service
// accounts of its endpoints, HTTP as HTTP/2. Where only some endpoints have one, endpoint metadata
// tells which, and HTTP is HTTP/1.1 for all, because the protocol is chosen for the whole cluster.
::envoy::config::cluster::v3::Cluster ServiceCluster(const model::MeshConfig& mesh,
                                                     const model::Service& service,
                                                     const model::ServicePort& port);
::envoy::config::endpoint::v3::ClusterLoadAssignment ServiceEndpoints(
    const std::string& cluster, const std::vector<model::Endpoint>& endpoints);

// The application behind one inbound port.
struct Application {
  uint16_t port = 0;  // names the cluster
  std::string address;
  uint16_t app_port = 0;
  model::Protocol protocol = model::Protocol::kTcp;
};
::envoy::config::cluster::v3::Cluster InboundCluster(const Application& application);

// To wherever the connection was going.
::envoy::config::cluster::v3::Cluster PassthroughCluster();
// To nowhere.
::envoy::config::cluster::v3::Cluster BlackholeCluster();
// Where spans go: heddle-control over mutual TLS, or a collector without TLS. Nullopt: no tracing,
// or nowhere to send it.
std::optional<std::string> SpanClusterName(const model::MeshConfig& mesh);
// Only with a name.
::envoy::config::cluster::v3::Cluster SpanCluster(const model::MeshConfig& mesh);

}  // namespace heddle::translate
