// One reader per kind: from the protobuf to the model's value, everything that can be checked
// without the other objects checked. Called by BuildWorld only; what they return is of use only
// while checker.failed() is false.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "control_plane/model/checker.h"
#include "control_plane/model/world.h"

namespace heddle::v1 {
class AuthorizationPolicy;
class BackendDefaults;
class BackendPolicy;
class Egress;
class EndpointSlice;
class GRPCRoute;
class HTTPRoute;
class MeshConfig;
class Mtls;
class ReferenceGrant;
class Service;
class Workload;
class WorkloadPolicy;
}  // namespace heddle::v1

namespace heddle::model {

// Which workload port a service port leads to: a number, or a name when it is not empty.
struct TargetPort {
  uint16_t number = 0;
  std::string name;
};

struct ServiceParts {
  Service service;  // ports without endpoints and policy
  std::map<std::string, std::string> selector;
  std::vector<TargetPort> targets;  // by index of service.ports
  bool v6 = false;                  // its slices of IPv6 are the ones used
  bool local = false;               // callers stay on their node
};
ServiceParts ReadService(const v1::Service& in, Checker& check);

// Some of the addresses behind a Service.
struct SlicePort {
  std::string name;
  uint16_t port = 0;
};
struct SliceEndpoint {
  std::string address;
  std::string pod;  // empty: none is named
  std::string zone;
  std::string node;
  std::vector<std::string> for_zones;
  bool ready = true, serving = true, terminating = false;
};
struct SliceParts {
  Key key;
  Key service;  // without a name: nobody's
  bool v6 = false;
  std::vector<SlicePort> ports;  // those that the mesh carries
  std::vector<SliceEndpoint> endpoints;
};
SliceParts ReadEndpointSlice(const v1::EndpointSlice& in, Checker& check);

// Without mtls and egress.
Workload ReadWorkload(const v1::Workload& in, Checker& check);

// A level of policy: what it does not say comes from the next one.
struct WorkloadSettings {
  std::optional<MtlsMode> mtls;
  std::map<uint16_t, MtlsMode> port_mtls;
  // "ns/name", "ns/*", "*/*", "./name" with the dot still unresolved.
  std::optional<std::vector<std::string>> egress;
  std::optional<bool> allow_unlisted;
};
struct WorkloadPolicyParts {
  Key key;
  std::map<std::string, std::string> selector;
  WorkloadSettings settings;
};
WorkloadPolicyParts ReadWorkloadPolicy(const v1::WorkloadPolicy& in, Checker& check);
void ReadMtls(const v1::Mtls& in, const base::Path& at, Checker& check, WorkloadSettings* out);
void ReadEgress(const v1::Egress& in, const base::Path& at, Checker& check, WorkloadSettings* out);

// The parts that are written replace those in `out`.
void ReadBackendDefaults(const v1::BackendDefaults& in, const base::Path& at, Checker& check,
                         BackendSettings* out);
struct BackendPolicyParts {
  Key key;
  Key service;
  std::string port_name;  // empty: all ports
};
BackendPolicyParts ReadBackendPolicyTarget(const v1::BackendPolicy& in, Checker& check);
void ReadBackendPolicy(const v1::BackendPolicy& in, Checker& check, BackendSettings* out);

struct MeshParts {
  MeshConfig mesh;
  WorkloadSettings settings;
  BackendSettings defaults;
};
MeshParts ReadMeshConfig(const v1::MeshConfig& in, const WorldOptions& options, Checker& check);

// References are not resolved: backends and parents name services that may not exist.
Route ReadHttpRoute(const v1::HTTPRoute& in, Checker& check);
Route ReadGrpcRoute(const v1::GRPCRoute& in, Checker& check);

// Which routes may name which Services of the grant's namespace.
struct GrantParts {
  Key key;
  struct From {
    bool grpc = false;
    std::string ns;
  };
  std::vector<From> from;
  std::vector<std::string> services;  // empty name: all
  bool Allows(const Route& route, const Key& service) const;
};
GrantParts ReadReferenceGrant(const v1::ReferenceGrant& in, Checker& check);

AuthorizationPolicy ReadAuthorizationPolicy(const v1::AuthorizationPolicy& in,
                                            const MeshConfig& mesh, Checker& check);

}  // namespace heddle::model
