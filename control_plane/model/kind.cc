#include "control_plane/model/build.h"

namespace heddle::model {

absl::string_view KindName(Kind kind) {
  switch (kind) {
    case Kind::kService:
      return "Service";
    case Kind::kHttpRoute:
      return "HTTPRoute";
    case Kind::kWorkload:
      return "Workload";
    case Kind::kMeshConfig:
      return "MeshConfig";
    case Kind::kBackendPolicy:
      return "BackendPolicy";
    case Kind::kAuthorizationPolicy:
      return "AuthorizationPolicy";
    case Kind::kWorkloadPolicy:
      return "WorkloadPolicy";
    case Kind::kEndpointSlice:
      return "EndpointSlice";
    case Kind::kGrpcRoute:
      return "GRPCRoute";
    case Kind::kReferenceGrant:
      return "ReferenceGrant";
  }
  return "";
}

}  // namespace heddle::model
