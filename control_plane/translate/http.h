// Connection managers and TCP proxies of both sides, with logs and traces.
#pragma once

#include <cstdint>
#include <string>

#include "control_plane/model/world.h"
#include "control_plane/translate/rbac.h"

namespace envoy::config::listener::v3 {
class FilterChain;
}

namespace heddle::translate {

// Who logs and traces.
struct Reporter {
  const model::MeshConfig& mesh;
  const model::Key& workload;
  const std::string& service_name;
};

// HTTP of the application to the mesh; routes come by RDS.
void AddOutboundHttp(const Reporter& reporter, const std::string& route_config,
                     ::envoy::config::listener::v3::FilterChain* out);
// HTTP from the mesh to the application.
void AddInboundHttp(const Reporter& reporter, uint16_t port, const Policies& policies,
                    ::envoy::config::listener::v3::FilterChain* out);
// Bytes to a cluster.
void AddTcpProxy(const Reporter& reporter, const std::string& stat_prefix,
                 const std::string& cluster, ::envoy::config::listener::v3::FilterChain* out);

}  // namespace heddle::translate
