#include "control_plane/model/build.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "control_plane/model/builder.h"
#include "heddle/v1/authorization_policy.pb.h"
#include "heddle/v1/backend_policy.pb.h"
#include "heddle/v1/endpoint_slice.pb.h"
#include "heddle/v1/grpc_route.pb.h"
#include "heddle/v1/http_route.pb.h"
#include "heddle/v1/mesh_config.pb.h"
#include "heddle/v1/reference_grant.pb.h"
#include "heddle/v1/service.pb.h"
#include "heddle/v1/workload.pb.h"
#include "heddle/v1/workload_policy.pb.h"

namespace heddle::model {

Digest DigestOf(const google::protobuf::Message& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  return Digest::Of(bytes);
}

namespace {

Digest DigestOf(const Object& object) {
  return object.digest.has_value() ? *object.digest : model::DigestOf(*object.body);
}

template <typename T>
const T& BodyOf(const Object& object) {
  return static_cast<const T&>(*object.body);
}

std::string Where(const Object& object) {
  const int line = object.line_of ? object.line_of("") : 0;
  return line > 0 ? absl::StrCat(object.file, ":", line) : object.file;
}

}  // namespace

template <typename Map>
bool Builder::Insert(Map* map, const typename Map::key_type& key, typename Map::mapped_type value,
                     Checker& check) {
  const auto [it, fresh] = map->try_emplace(key, std::move(value));
  if (fresh) return true;
  const base::Path root;
  check.Error(root.Field("metadata").Field("name"),
              absl::StrCat("defined already, in ", Where(*it->second.object)));
  return false;
}

void Builder::ReadMesh() {
  mesh_.mesh.trust_domain = options_.trust_domain;
  Digest::Builder digest;
  digest.Add(options_.trust_domain);
  for (const Object& object : objects_) {
    if (object.kind != Kind::kMeshConfig) continue;
    Checker check(object, &problems_);
    MeshParts parts = ReadMeshConfig(BodyOf<v1::MeshConfig>(object), options_, check);
    if (mesh_object_ != nullptr) {
      check.Error(base::Path(), absl::StrCat("there is one already, in ", Where(*mesh_object_)));
      continue;
    }
    mesh_ = std::move(parts);
    mesh_object_ = &object;
    digest.Add(DigestOf(object));
  }
  mesh_.mesh.control_address = options_.control_address;
  if (options_.control_address.has_value())
    digest.Add(options_.control_address->host).Add(options_.control_address->port);
  mesh_.mesh.digest = digest.Done();
}

void Builder::ReadServices() {
  for (const Object& object : objects_) {
    if (object.kind != Kind::kService) continue;
    Checker check(object, &problems_);
    ServiceParts parts = ReadService(BodyOf<v1::Service>(object), check);
    const Key key = parts.service.key;
    Insert(&services_, key, {&object, DigestOf(object), std::move(parts)}, check);
  }
}

void Builder::ReadWorkloads() {
  for (const Object& object : objects_) {
    if (object.kind != Kind::kWorkload) continue;
    Checker check(object, &problems_);
    Workload workload = ReadWorkload(BodyOf<v1::Workload>(object), check);
    const Key key = workload.key;
    Insert(&workloads_, key, {&object, DigestOf(object), std::move(workload)}, check);
  }
}

void Builder::ReadPolicies() {
  for (const Object& object : objects_) {
    Checker check(object, &problems_);
    if (object.kind == Kind::kWorkloadPolicy) {
      WorkloadPolicyParts parts = ReadWorkloadPolicy(BodyOf<v1::WorkloadPolicy>(object), check);
      const Key key = parts.key;
      Insert(&workload_policies_, key, {&object, DigestOf(object), std::move(parts)}, check);
    } else if (object.kind == Kind::kBackendPolicy) {
      BackendPolicyParts parts = ReadBackendPolicyTarget(BodyOf<v1::BackendPolicy>(object), check);
      const Key key = parts.key;
      Insert(&backend_policies_, key, {&object, DigestOf(object), std::move(parts)}, check);
    } else if (object.kind == Kind::kAuthorizationPolicy) {
      AuthorizationPolicy policy =
          ReadAuthorizationPolicy(BodyOf<v1::AuthorizationPolicy>(object), mesh_.mesh, check);
      policy.digest = Digest::Builder().Add(DigestOf(object)).Add(mesh_.mesh.digest).Done();
      const Key key = policy.key;
      Insert(&authorization_, key, {&object, policy.digest, std::move(policy)}, check);
    }
  }
}

void Builder::ReadRoutes() {
  for (const Object& object : objects_) {
    if (object.kind != Kind::kHttpRoute && object.kind != Kind::kGrpcRoute) continue;
    const bool grpc = object.kind == Kind::kGrpcRoute;
    Checker check(object, &problems_);
    auto route =
        std::make_shared<Route>(grpc ? ReadGrpcRoute(BodyOf<v1::GRPCRoute>(object), check)
                                     : ReadHttpRoute(BodyOf<v1::HTTPRoute>(object), check));
    route->digest = DigestOf(object);
    const std::pair<bool, Key> key = {!grpc, route->key};
    Insert(&routes_, key, {&object, route->digest, std::move(route)}, check);
  }
}

void Builder::ReadSlicesAndGrants() {
  for (const Object& object : objects_) {
    Checker check(object, &problems_);
    if (object.kind == Kind::kEndpointSlice) {
      SliceParts parts = ReadEndpointSlice(BodyOf<v1::EndpointSlice>(object), check);
      const Key key = parts.key;
      Insert(&slices_, key, {&object, DigestOf(object), std::move(parts)}, check);
    } else if (object.kind == Kind::kReferenceGrant) {
      GrantParts parts = ReadReferenceGrant(BodyOf<v1::ReferenceGrant>(object), check);
      const Key key = parts.key;
      Insert(&grants_, key, {&object, DigestOf(object), std::move(parts)}, check);
    }
  }
}

// Moves the finished parts into the World.
void Builder::Finish() {
  Digest::Builder all;
  all.Add(mesh_.mesh.digest);
  for (auto& [key, entry] : services_) {
    all.Add("service").Add(entry.body);
    entry.parts.service.digest = service_digests_[key].Done();
    world_.services.emplace(key, std::move(entry.parts.service));
  }
  for (auto& [key, entry] : workloads_) {
    all.Add("workload").Add(entry.body);
    world_.workloads.emplace(key, std::move(entry.parts));
  }
  for (const auto& [key, entry] : workload_policies_) all.Add("reach").Add(entry.body);
  for (const auto& [key, entry] : backend_policies_) all.Add("backend").Add(entry.body);
  for (const auto& [key, entry] : routes_)
    all.Add(key.first ? "route" : "grpc route").Add(entry.body);
  for (const auto& [key, entry] : slices_) all.Add("slice").Add(entry.body);
  for (const auto& [key, entry] : grants_) all.Add("grant").Add(entry.body);
  for (auto& [key, entry] : authorization_) {
    all.Add("authorization").Add(entry.body);
    world_.authorization.emplace(key, std::move(entry.parts));
  }
  world_.mesh = std::move(mesh_.mesh);
  world_.digest = all.Done();
}

BuildResult Builder::Build() {
  ReadMesh();
  ReadServices();
  ReadWorkloads();
  ReadPolicies();
  ReadRoutes();
  ReadSlicesAndGrants();
  CheckAddresses();
  ApplyWorkloadPolicies();
  ApplyBackendPolicies();
  AttachRoutes();
  FindEndpoints();
  std::stable_sort(problems_.begin(), problems_.end(), [](const Problem& a, const Problem& b) {
    return std::tie(a.severity, a.file, a.line) < std::tie(b.severity, b.file, b.line);
  });
  BuildResult result;
  if (problems_.empty() || problems_.front().severity == Severity::kWarning) {
    Finish();
    result.world = std::make_shared<const World>(std::move(world_));
  }
  result.problems = std::move(problems_);
  return result;
}

BuildResult BuildWorld(const std::vector<Object>& objects, const WorldOptions& options) {
  return Builder(objects, options).Build();
}

}  // namespace heddle::model
