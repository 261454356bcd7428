#include "control_plane/model/check_object.h"

#include "control_plane/model/readers.h"
#include "heddle/v1/authorization_policy.pb.h"
#include "heddle/v1/backend_policy.pb.h"
#include "heddle/v1/mesh_config.pb.h"
#include "heddle/v1/workload.pb.h"
#include "heddle/v1/workload_policy.pb.h"

namespace heddle::model {
namespace {

template <typename T>
const T& BodyOf(const Object& object) {
  return static_cast<const T&>(*object.body);
}

}  // namespace

std::vector<Problem> CheckObject(const Object& object, const WorldOptions& options) {
  std::vector<Problem> problems;
  Checker check(object, &problems);
  if (object.kind == Kind::kMeshConfig) {
    ReadMeshConfig(BodyOf<v1::MeshConfig>(object), options, check);
  } else if (object.kind == Kind::kBackendPolicy) {
    const auto& policy = BodyOf<v1::BackendPolicy>(object);
    ReadBackendPolicyTarget(policy, check);
    BackendSettings settings;
    ReadBackendPolicy(policy, check, &settings);
  } else if (object.kind == Kind::kAuthorizationPolicy) {
    MeshConfig mesh;
    mesh.trust_domain = options.trust_domain;
    ReadAuthorizationPolicy(BodyOf<v1::AuthorizationPolicy>(object), mesh, check);
  } else if (object.kind == Kind::kWorkloadPolicy) {
    ReadWorkloadPolicy(BodyOf<v1::WorkloadPolicy>(object), check);
  } else if (object.kind == Kind::kWorkload) {
    ReadWorkload(BodyOf<v1::Workload>(object), check);
  }
  return problems;
}

}  // namespace heddle::model
