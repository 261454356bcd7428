// AuthorizationPolicies as Envoy's RBAC: first the DENY rules, then the ALLOW rules when there are
// any ALLOW policies.
#pragma once

#include <vector>

#include "control_plane/model/world.h"

namespace envoy::config::rbac::v3 {
class RBAC;
}
namespace envoy::config::listener::v3 {
class FilterChain;
}
namespace envoy::extensions::filters::network::http_connection_manager::v3 {
class HttpConnectionManager;
}

namespace heddle::translate {

using Policies = std::vector<const model::AuthorizationPolicy*>;

// Those that select a workload, in the order of their names.
Policies PoliciesFor(const model::World& world, const std::string& ns,
                     const std::map<std::string, std::string>& labels);

enum class Layer { kHttp, kTcp };
// The rules of all policies with this action. On kTcp, what asks about HTTP is treated as the
// AuthorizationPolicy proto says: never matching for ALLOW, always for DENY.
::envoy::config::rbac::v3::RBAC RulesOf(const model::MeshConfig& mesh, const Policies& policies,
                                        model::AuthorizationPolicy::Action action, Layer layer);

// Appends the filters that are needed, perhaps none.
void AddHttpRbac(
    const model::MeshConfig& mesh, const Policies& policies,
    ::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager* out);
void AddNetworkRbac(const model::MeshConfig& mesh, const Policies& policies,
                    ::envoy::config::listener::v3::FilterChain* out);

}  // namespace heddle::translate
