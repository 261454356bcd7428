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

// Readings that no build looked at any more are forgotten when they are more than these.
constexpr size_t kSpareReadings = 256;

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

template <typename T>
const Key& KeyOf(const T& parts) {
  return parts.key;
}
const Key& KeyOf(const ServiceParts& parts) { return parts.service.key; }

void Append(const std::vector<Problem>& from, std::vector<Problem>* to) {
  to->insert(to->end(), from.begin(), from.end());
}

}  // namespace

template <typename T, typename Read>
void Builder::ReadAll(Kind kind, const Digest& context, Table<T>* out, const Read& read) {
  out->reserve(Of(kind).size());
  for (const Object* object : Of(kind)) {
    std::unique_ptr<Reading>& slot = memory_.readings[object->body.get()];
    if (slot == nullptr || slot->context != context || slot->file != object->file) {
      auto made = std::make_unique<Reading>();
      made->body = object->body;
      made->file = object->file;
      made->digest = DigestOf(*object);
      made->context = context;
      made->id = memory_.next_id++;
      Checker check(*object, &made->problems);
      made->parts = std::make_shared<const T>(read(*object, made->digest, check));
      slot = std::move(made);
      ++memory_.stats.readings;
    }
    slot->used = memory_.build;
    Append(slot->problems, &problems_);
    out->push_back({object, slot.get(), static_cast<const T*>(slot->parts.get())});
  }
  const auto less = [](const Entry<T>& a, const Entry<T>& b) {
    return KeyOf(*a.parts) < KeyOf(*b.parts);
  };
  if (!std::is_sorted(out->begin(), out->end(), less))
    std::stable_sort(out->begin(), out->end(), less);
  // Those that say a name again.
  const Entry<T>* first = nullptr;
  std::erase_if(*out, [&](const Entry<T>& one) {
    if (first == nullptr || KeyOf(*first->parts) != KeyOf(*one.parts)) {
      first = &one;
      return false;
    }
    const base::Path root;
    Checker(*one.object, KeyOf(*one.parts), &problems_)
        .Error(root.Field("metadata").Field("name"),
               absl::StrCat("defined already, in ", Where(*first->object)));
    return true;
  });
}

void Builder::ReadMesh() {
  mesh_.mesh.trust_domain = options_.trust_domain;
  Digest::Builder digest;
  digest.Add(options_.trust_domain);
  for (const Object* object : Of(Kind::kMeshConfig)) {
    Checker check(*object, &problems_);
    MeshParts parts = ReadMeshConfig(BodyOf<v1::MeshConfig>(*object), options_, check);
    if (mesh_object_ != nullptr) {
      check.Error(base::Path(), absl::StrCat("there is one already, in ", Where(*mesh_object_)));
      continue;
    }
    mesh_ = std::move(parts);
    mesh_object_ = object;
    digest.Add(DigestOf(*object));
  }
  mesh_.mesh.control_address = options_.control_address;
  if (options_.control_address.has_value())
    digest.Add(options_.control_address->host).Add(options_.control_address->port);
  mesh_.mesh.digest = digest.Done();
}

void Builder::ReadEverythingElse() {
  const Digest none;
  const Digest& mesh = mesh_.mesh.digest;
  ReadAll(Kind::kService, none, &services_, [](const Object& in, const Digest&, Checker& check) {
    return ReadService(BodyOf<v1::Service>(in), check);
  });
  ReadAll(Kind::kWorkload, none, &workloads_, [](const Object& in, const Digest&, Checker& check) {
    return ReadWorkload(BodyOf<v1::Workload>(in), check);
  });
  ReadAll(Kind::kWorkloadPolicy, none, &workload_policies_,
          [](const Object& in, const Digest&, Checker& check) {
            return ReadWorkloadPolicy(BodyOf<v1::WorkloadPolicy>(in), check);
          });
  ReadAll(Kind::kBackendPolicy, mesh, &backend_policies_,
          [this](const Object& in, const Digest&, Checker& check) {
            const auto& body = BodyOf<v1::BackendPolicy>(in);
            BackendPolicyBody out;
            out.target = ReadBackendPolicyTarget(body, check);
            out.key = out.target.key;
            out.settings = mesh_.defaults;
            ReadBackendPolicy(body, check, &out.settings);
            return out;
          });
  ReadAll(Kind::kAuthorizationPolicy, mesh, &authorization_,
          [this](const Object& in, const Digest& digest, Checker& check) {
            AuthorizationPolicy out =
                ReadAuthorizationPolicy(BodyOf<v1::AuthorizationPolicy>(in), mesh_.mesh, check);
            out.digest = Digest::Builder().Add(digest).Add(mesh_.mesh.digest).Done();
            return out;
          });
  ReadAll(Kind::kGrpcRoute, none, &grpc_routes_,
          [](const Object& in, const Digest& digest, Checker& check) {
            Route out = ReadGrpcRoute(BodyOf<v1::GRPCRoute>(in), check);
            out.digest = digest;
            return out;
          });
  ReadAll(Kind::kHttpRoute, none, &routes_,
          [](const Object& in, const Digest& digest, Checker& check) {
            Route out = ReadHttpRoute(BodyOf<v1::HTTPRoute>(in), check);
            out.digest = digest;
            return out;
          });
  ReadAll(Kind::kEndpointSlice, none, &slices_,
          [](const Object& in, const Digest&, Checker& check) {
            return ReadEndpointSlice(BodyOf<v1::EndpointSlice>(in), check);
          });
  ReadAll(Kind::kReferenceGrant, none, &grants_,
          [](const Object& in, const Digest&, Checker& check) {
            return ReadReferenceGrant(BodyOf<v1::ReferenceGrant>(in), check);
          });
}

// Puts the finished parts into the World.
void Builder::Finish() {
  Digest::Builder all;
  all.Add(mesh_.mesh.digest);
  const auto add = [&](absl::string_view what, const auto& table) {
    all.Add(what).Add(table.size());
    for (const auto& entry : table) all.Add(entry.reading->digest);
  };
  add("services", services_);
  add("workloads", workloads_);
  add("reach", workload_policies_);
  add("backend", backend_policies_);
  add("grpc routes", grpc_routes_);
  add("routes", routes_);
  add("slices", slices_);
  add("grants", grants_);
  add("authorization", authorization_);

  std::vector<Parts<Service>::Ref> services;
  services.reserve(service_parts_.size());
  for (const ServicePart& one : service_parts_) services.push_back(one.service);
  std::vector<Parts<Workload>::Ref> workloads;
  workloads.reserve(workload_parts_.size());
  for (const WorkloadPart& one : workload_parts_) workloads.push_back(one.full);
  std::vector<Parts<AuthorizationPolicy>::Ref> authorization;
  for (const auto& one : authorization_)
    authorization.push_back(
        std::static_pointer_cast<const AuthorizationPolicy>(one.reading->parts));
  world_.services = Parts<Service>(std::move(services));
  world_.workloads = Parts<Workload>(std::move(workloads));
  world_.authorization = Parts<AuthorizationPolicy>(std::move(authorization));
  world_.mesh = std::move(mesh_.mesh);
  world_.digest = all.Done();
}

BuildResult Builder::Build() {
  ++memory_.build;
  memory_.stats = {};
  for (const Object* object : objects_)
    of_kind_[static_cast<size_t>(object->kind)].push_back(object);
  ReadMesh();
  ReadEverythingElse();
  CheckAddresses();
  ApplyWorkloadPolicies();
  ApplyBackendPolicies();
  AttachRoutes();
  FindEndpoints();
  ApplyClaims();
  std::stable_sort(problems_.begin(), problems_.end(), [](const Problem& a, const Problem& b) {
    return std::tie(a.severity, a.file, a.line) < std::tie(b.severity, b.file, b.line);
  });
  BuildResult result;
  if (problems_.empty() || problems_.front().severity == Severity::kWarning) {
    Finish();
    result.world = std::make_shared<const World>(std::move(world_));
  }
  result.problems = std::move(problems_);
  memory_.workloads = std::move(workload_parts_);
  memory_.services = std::move(service_parts_);
  if (memory_.readings.size() > objects_.size() + kSpareReadings)
    absl::erase_if(memory_.readings,
                   [&](const auto& one) { return one.second->used != memory_.build; });
  return result;
}

BuildMemory::BuildMemory() : memory_(std::make_unique<Memory>()) {}
BuildMemory::BuildMemory(BuildMemory&&) noexcept = default;
BuildMemory& BuildMemory::operator=(BuildMemory&&) noexcept = default;
BuildMemory::~BuildMemory() = default;
BuildMemory::Stats BuildMemory::stats() const { return memory_->stats; }

BuildResult BuildWorld(const std::vector<const Object*>& objects, const WorldOptions& options,
                       BuildMemory* memory) {
  if (memory != nullptr) return Builder(objects, options, *memory->memory_).Build();
  Memory nothing;
  return Builder(objects, options, nothing).Build();
}

BuildResult BuildWorld(const std::vector<Object>& objects, const WorldOptions& options) {
  std::vector<const Object*> all;
  all.reserve(objects.size());
  for (const Object& one : objects) all.push_back(&one);
  return BuildWorld(all, options, nullptr);
}

}  // namespace heddle::model
