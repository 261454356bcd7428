#include "control_plane/ingest/kube_object.h"

#include <google/protobuf/message.h>

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "control_plane/kube/json.h"
#include "heddle/v1/authorization_policy.pb.h"
#include "heddle/v1/endpoint_slice.pb.h"
#include "heddle/v1/mesh_config.pb.h"
#include "heddle/v1/service.pb.h"
#include "heddle/v1/workload.pb.h"
#include "heddle/v1/workload_policy.pb.h"

namespace heddle::ingest {
namespace {

using kube::BoolAt;
using kube::Find;
using kube::Json;
using kube::ListAt;
using kube::NumberAt;
using kube::ObjectAt;
using kube::TextAt;

constexpr char kSidecar[] = "heddle-proxy";
constexpr char kServiceName[] = "kubernetes.io/service-name";
constexpr char kInject[] = "heddle.dev/inject";
constexpr size_t kMaxPorts = 256;
constexpr int kMaxHints = 8;
constexpr char kGateway[] = "gateway.networking.k8s.io/v1";
constexpr char kHeddle[] = "heddle.dev/v1";

void SetName(const Json& object, v1::ObjectMeta* out) {
  out->set_name(TextAt(object, {"metadata", "name"}));
  out->set_namespace_(TextAt(object, {"metadata", "namespace"}));
}

// The sidecar's own ports, and what a port number may be.
bool IsAppPort(int64_t port) {
  return port >= 1 && port <= 65535 && port != 15000 && port != 15001 && port != 15006;
}

// Null: not a member of the mesh.
std::shared_ptr<v1::Workload> ReadPod(const Json& pod, const model::Locality& locality) {
  const std::string phase = TextAt(pod, {"status", "phase"});
  const std::string address = TextAt(pod, {"status", "podIP"});
  if (address.empty() || phase == "Succeeded" || phase == "Failed" || !HasSidecar(pod) ||
      BoolAt(pod, {"spec", "hostNetwork"}).value_or(false))
    return nullptr;
  auto out = std::make_shared<v1::Workload>();
  out->set_api_version("heddle.dev/v1");
  out->set_kind("Workload");
  SetName(pod, out->mutable_metadata());
  for (const auto& [name, value] : ObjectAt(pod, {"metadata", "labels"}).items())
    if (value.is_string())
      (*out->mutable_metadata()->mutable_labels())[name] = value.get<std::string>();
  v1::WorkloadSpec& spec = *out->mutable_spec();
  spec.set_address(address);
  spec.set_service_account(TextAt(pod, {"spec", "serviceAccountName"}));
  spec.set_node(PodNode(pod));
  spec.mutable_locality()->set_region(locality.region);
  spec.mutable_locality()->set_zone(locality.zone);
  std::set<int64_t> ports;
  std::set<std::string> names;
  for (const Json& container : ListAt(pod, {"spec", "containers"})) {
    if (TextAt(container, {"name"}) == kSidecar) continue;
    for (const Json& one : ListAt(container, {"ports"})) {
      const std::string protocol = TextAt(one, {"protocol"});
      const int64_t port = NumberAt(one, {"containerPort"}).value_or(0);
      if ((!protocol.empty() && protocol != "TCP") || !IsAppPort(port)) continue;
      if (ports.size() >= kMaxPorts || !ports.insert(port).second) continue;
      v1::WorkloadPort& to = *spec.add_ports();
      to.set_port(static_cast<int32_t>(port));
      if (const std::string name = TextAt(one, {"name"}); names.insert(name).second)
        to.set_name(name);
    }
  }
  return out;
}

// Null: no address to call, or nothing on it that the mesh carries.
std::shared_ptr<v1::Service> ReadService(const Json& service) {
  if (TextAt(service, {"spec", "type"}) == "ExternalName") return nullptr;
  auto out = std::make_shared<v1::Service>();
  out->set_api_version("v1");
  out->set_kind("Service");
  SetName(service, out->mutable_metadata());
  v1::ServiceSpec& spec = *out->mutable_spec();
  spec.set_cluster_ip(TextAt(service, {"spec", "clusterIP"}));
  for (const Json& ip : ListAt(service, {"spec", "clusterIPs"}))
    if (ip.is_string() && spec.cluster_ips_size() < 2) spec.add_cluster_ips(ip.get<std::string>());
  // Only what differs from the default.
  if (TextAt(service, {"spec", "sessionAffinity"}) == "ClientIP")
    spec.set_session_affinity("ClientIP");
  if (TextAt(service, {"spec", "internalTrafficPolicy"}) == "Local")
    spec.set_internal_traffic_policy("Local");
  for (const Json& family : ListAt(service, {"spec", "ipFamilies"}))
    if (family.is_string()) spec.add_ip_families(family.get<std::string>());
  std::set<int64_t> ports;
  for (const Json& one : ListAt(service, {"spec", "ports"})) {
    const std::string protocol = TextAt(one, {"protocol"});
    const int64_t port = NumberAt(one, {"port"}).value_or(0);
    if ((!protocol.empty() && protocol != "TCP") || port < 1 || port > 65535) continue;
    if (ports.size() >= kMaxPorts || !ports.insert(port).second) continue;
    v1::ServicePort& to = *spec.add_ports();
    to.set_name(TextAt(one, {"name"}));
    to.set_port(static_cast<int32_t>(port));
    to.set_app_protocol(TextAt(one, {"appProtocol"}));
  }
  if (spec.ports().empty()) return nullptr;
  return out;
}

std::shared_ptr<v1::EndpointSlice> ReadSlice(const Json& slice) {
  const std::string service = TextAt(slice, {"metadata", "labels", kServiceName});
  if (service.empty() || TextAt(slice, {"addressType"}) == "FQDN") return nullptr;
  auto out = std::make_shared<v1::EndpointSlice>();
  out->set_api_version("discovery.k8s.io/v1");
  out->set_kind("EndpointSlice");
  SetName(slice, out->mutable_metadata());
  (*out->mutable_metadata()->mutable_labels())[kServiceName] = service;
  out->set_address_type(TextAt(slice, {"addressType"}));
  for (const Json& one : ListAt(slice, {"ports"})) {
    const std::string protocol = TextAt(one, {"protocol"});
    const int64_t port = NumberAt(one, {"port"}).value_or(0);
    if ((!protocol.empty() && protocol != "TCP") || port < 1 || port > 65535) continue;
    v1::SlicePort& to = *out->add_ports();
    to.set_name(TextAt(one, {"name"}));
    to.set_port(static_cast<int32_t>(port));
  }
  for (const Json& one : ListAt(slice, {"endpoints"})) {
    const Json& addresses = ListAt(one, {"addresses"});
    if (addresses.empty() || !addresses[0].is_string()) continue;
    v1::SliceEndpoint& to = *out->add_endpoints();
    to.add_addresses(addresses[0].get<std::string>());
    const bool ready = BoolAt(one, {"conditions", "ready"}).value_or(true);
    const bool serving = BoolAt(one, {"conditions", "serving"}).value_or(ready);
    // Only what differs from the defaults, so that equal slices are equal however they are written.
    if (!ready) to.mutable_conditions()->mutable_ready()->set_value(false);
    if (serving != ready) to.mutable_conditions()->mutable_serving()->set_value(serving);
    if (BoolAt(one, {"conditions", "terminating"}).value_or(false))
      to.mutable_conditions()->mutable_terminating()->set_value(true);
    if (TextAt(one, {"targetRef", "kind"}) == "Pod") {
      to.mutable_target_ref()->set_kind("Pod");
      to.mutable_target_ref()->set_name(TextAt(one, {"targetRef", "name"}));
    }
    to.set_zone(TextAt(one, {"zone"}));
    to.set_node_name(TextAt(one, {"nodeName"}));
    for (const Json& zone : ListAt(one, {"hints", "forZones"}))
      if (to.hints().for_zones_size() < kMaxHints)
        (*to.mutable_hints()->add_for_zones()->mutable_fields())["name"].set_string_value(
            TextAt(zone, {"name"}));
  }
  return out;
}

bool IsServiceRef(const Json& ref) {
  const Json* group = Find(ref, {"group"});
  const bool core = group != nullptr && group->is_string() &&
                    (group->get<std::string>().empty() || group->get<std::string>() == "core");
  return core && TextAt(ref, {"kind"}) == "Service";
}

// What is decoded strictly: the parts that somebody wrote.
Json Written(const KubeResource& resource, const Json& object) {
  Json metadata = {{"name", TextAt(object, {"metadata", "name"})}};
  if (const std::string ns = TextAt(object, {"metadata", "namespace"}); !ns.empty())
    metadata["namespace"] = ns;
  if (const std::string created = TextAt(object, {"metadata", "creationTimestamp"});
      !created.empty())
    metadata["creationTimestamp"] = created;
  if (resource.kind == KubeKind::kWorkload && Find(object, {"metadata", "labels"}) != nullptr)
    metadata["labels"] = *Find(object, {"metadata", "labels"});
  Json out = {{"apiVersion", resource.api_version}, {"kind", resource.name}};
  out["metadata"] = std::move(metadata);
  if (const Json* spec = Find(object, {"spec"})) out["spec"] = *spec;
  return out;
}

bool IsLabel(absl::string_view text) {
  return !text.empty() && text.size() <= 63 && text.front() != '-' && text.back() != '-' &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_islower(static_cast<unsigned char>(c)) ||
                  absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == '-';
         });
}

// As far as it can be read; else every label set matches.
void ReadSelector(const Json& object, v1::LabelSelector* out) {
  const Json& selector = ObjectAt(object, {"spec", "selector"});
  for (const auto& [name, value] : selector.items())
    if (name != "matchLabels" || !value.is_object()) return;
  const Json& labels = ObjectAt(selector, {"matchLabels"});
  for (const auto& [name, value] : labels.items())
    if (!value.is_string()) return;
  for (const auto& [name, value] : labels.items())
    (*out->mutable_match_labels())[name] = value.get<std::string>();
}

// What it says of mutual TLS when that can be read, else STRICT. False: it says nothing.
bool ReadMtlsStrictly(const Json& object, bool ports_allowed, v1::Mtls* out) {
  const Json* const mtls = Find(object, {"spec", "mtls"});
  if (mtls == nullptr || mtls->is_null()) return false;
  const auto mode_of = [](const Json& text, v1::Mtls::Mode* mode) {
    return text.is_string() && v1::Mtls::Mode_Parse(text.get<std::string>(), mode) &&
           *mode != v1::Mtls::MODE_UNSPECIFIED;
  };
  const auto read = [&](v1::Mtls* into) {
    if (!mtls->is_object()) return false;
    for (const auto& [name, value] : mtls->items()) {
      v1::Mtls::Mode mode = v1::Mtls::MODE_UNSPECIFIED;
      if (name == "mode" && mode_of(value, &mode)) {
        into->set_mode(mode);
        continue;
      }
      if (name != "ports" || !value.is_object() || (!ports_allowed && !value.empty())) return false;
      for (const auto& [port, text] : value.items()) {
        int number = 0;
        if (!absl::SimpleAtoi(port, &number) || number < 1 || number > 65535 ||
            !mode_of(text, &mode))
          return false;
        (*into->mutable_ports())[number] = mode;
      }
    }
    return true;
  };
  v1::Mtls clean;
  if (read(&clean)) {
    *out = std::move(clean);
  } else {
    out->set_mode(v1::Mtls::STRICT);
  }
  return true;
}

// Of the three that guard.
model::Kind KindOf(KubeKind kind) {
  if (kind == KubeKind::kAuthorizationPolicy) return model::Kind::kAuthorizationPolicy;
  if (kind == KubeKind::kWorkloadPolicy) return model::Kind::kWorkloadPolicy;
  return model::Kind::kMeshConfig;
}

// What refuses all that the object may have meant to refuse, and grants nothing. Null: it guards
// nothing.
std::shared_ptr<google::protobuf::Message> Closed(const KubeResource& resource,
                                                  const Json& object) {
  if (resource.kind == KubeKind::kAuthorizationPolicy) {
    auto out = std::make_shared<v1::AuthorizationPolicy>();
    out->set_api_version(kHeddle);
    out->set_kind(resource.name);
    SetName(object, out->mutable_metadata());
    ReadSelector(object, out->mutable_spec()->mutable_selector());
    // An ALLOW policy that allows nothing; beside it what other policies allow stays allowed. Of
    // any other nobody knows what it denies.
    const Json* const action = Find(object, {"spec", "action"});
    if (action == nullptr || *action == "ALLOW") return out;
    out->mutable_spec()->set_action(v1::AuthorizationPolicySpec::DENY);
    out->mutable_spec()->add_rules();
    return out;
  }
  if (resource.kind == KubeKind::kWorkloadPolicy) {
    auto out = std::make_shared<v1::WorkloadPolicy>();
    out->set_api_version(kHeddle);
    out->set_kind(resource.name);
    SetName(object, out->mutable_metadata());
    ReadSelector(object, out->mutable_spec()->mutable_selector());
    return ReadMtlsStrictly(object, true, out->mutable_spec()->mutable_mtls()) ? out : nullptr;
  }
  if (resource.kind == KubeKind::kMeshConfig) {
    auto out = std::make_shared<v1::MeshConfig>();
    out->set_api_version(kHeddle);
    out->set_kind(resource.name);
    SetName(object, out->mutable_metadata());
    // Whose AuthorizationPolicies are everybody's.
    if (const std::string root = TextAt(object, {"spec", "rootNamespace"}); IsLabel(root))
      out->mutable_spec()->set_root_namespace(root);
    const bool mtls = ReadMtlsStrictly(object, false, out->mutable_spec()->mutable_mtls());
    return mtls || !out->spec().root_namespace().empty() ? out : nullptr;
  }
  return nullptr;
}

void ReadWritten(const KubeResource& resource, const Json& object, const std::string& name,
                 KubeObject* out) {
  Json text = Written(resource, object);
  if (resource.has_status) {
    out->status =
        StatusTarget{.resource = &resource,
                     .ns = TextAt(object, {"metadata", "namespace"}),
                     .name = TextAt(object, {"metadata", "name"}),
                     .uid = TextAt(object, {"metadata", "uid"}),
                     .generation = NumberAt(object, {"metadata", "generation"}).value_or(0),
                     .parents = {}};
  }
  if (resource.kind == KubeKind::kHttpRoute || resource.kind == KubeKind::kGrpcRoute) {
    // A Gateway's routes are its controller's.
    Json parents = Json::array();
    for (const Json& one : ListAt(object, {"spec", "parentRefs"})) {
      if (!IsServiceRef(one)) continue;
      parents.push_back(one);
      out->status->parents.push_back(kube::Dump(one));
    }
    if (parents.empty()) {
      out->status.reset();
      return;
    }
    text["spec"]["parentRefs"] = std::move(parents);
  }
  std::string written = kube::Dump(text);
  out->digest = model::Digest::Of(written);
  out->file = ParseFile(name, written);
  for (model::Problem& problem : out->file->problems) problem.line = 0;
  for (model::Object& one : out->file->objects) one.line_of = nullptr;
  out->file->uid = TextAt(object, {"metadata", "uid"});
  if (std::shared_ptr<google::protobuf::Message> body = Closed(resource, object)) {
    auto closed = std::make_shared<ParsedFile>();
    closed->name = name;
    const model::Digest digest = model::DigestOf(*body);
    closed->objects.push_back({.kind = KindOf(resource.kind),
                               .file = name,
                               .line_of = nullptr,
                               .body = std::move(body),
                               .digest = digest});
    out->file->closed = std::move(closed);
  }
  out->file->text = std::move(written);
}

void Put(model::Kind kind, const std::string& name,
         std::shared_ptr<const google::protobuf::Message> body, KubeObject* out) {
  if (body == nullptr) return;
  out->digest = model::DigestOf(*body);
  out->file.emplace();
  out->file->name = name;
  out->file->objects.push_back({.kind = kind,
                                .file = name,
                                .line_of = nullptr,
                                .body = std::move(body),
                                .digest = out->digest});
}

}  // namespace

const std::vector<KubeResource>& KubeResources() {
  static const auto& all = *new std::vector<KubeResource>{
      {KubeKind::kNode, "v1", "Node", "nodes", "", false},
      {KubeKind::kNamespace, "v1", "Namespace", "namespaces", "", false},
      {KubeKind::kPod, "v1", "Pod", "pods", "", false},
      {KubeKind::kService, "v1", "Service", "services", "", false},
      {KubeKind::kEndpointSlice, "discovery.k8s.io/v1", "EndpointSlice", "endpointslices",
       kServiceName, false},
      {KubeKind::kHttpRoute, kGateway, "HTTPRoute", "httproutes", "", true},
      {KubeKind::kGrpcRoute, kGateway, "GRPCRoute", "grpcroutes", "", true},
      {KubeKind::kReferenceGrant, "gateway.networking.k8s.io/v1beta1", "ReferenceGrant",
       "referencegrants", "", false},
      {KubeKind::kMeshConfig, kHeddle, "MeshConfig", "meshconfigs", "", true},
      {KubeKind::kBackendPolicy, kHeddle, "BackendPolicy", "backendpolicies", "", true},
      {KubeKind::kAuthorizationPolicy, kHeddle, "AuthorizationPolicy", "authorizationpolicies", "",
       true},
      {KubeKind::kWorkloadPolicy, kHeddle, "WorkloadPolicy", "workloadpolicies", "", true},
      {KubeKind::kWorkload, kHeddle, "Workload", "workloads", "", true},
  };
  return all;
}

std::string ResourcePath(const KubeResource& resource) {
  const bool core = absl::string_view(resource.api_version) == "v1";
  return absl::StrCat(core ? "/api/" : "/apis/", resource.api_version, "/", resource.plural);
}

std::string ObjectPath(const KubeResource& resource, absl::string_view ns, absl::string_view name) {
  const bool core = absl::string_view(resource.api_version) == "v1";
  return absl::StrCat(core ? "/api/" : "/apis/", resource.api_version,
                      ns.empty() ? "" : "/namespaces/", ns, "/", resource.plural, "/", name);
}

std::string FileName(const KubeResource& resource, absl::string_view ns, absl::string_view name) {
  return absl::StrCat(resource.name, " ", ns, ns.empty() ? "" : "/", name);
}

model::Locality NodeLocality(const Json& node) {
  return {.region = TextAt(node, {"metadata", "labels", "topology.kubernetes.io/region"}),
          .zone = TextAt(node, {"metadata", "labels", "topology.kubernetes.io/zone"}),
          .sub_zone = {}};
}

std::string PodNode(const Json& pod) { return TextAt(pod, {"spec", "nodeName"}); }

bool HasSidecar(const Json& pod) {
  const auto has = [&](const char* list) {
    const Json& containers = ListAt(pod, {"spec", list});
    return std::any_of(containers.begin(), containers.end(),
                       [](const Json& one) { return TextAt(one, {"name"}) == kSidecar; });
  };
  return has("containers") || has("initContainers");
}

bool WantsInjection(const Json& ns) {
  return TextAt(ns, {"metadata", "labels", kInject}) == "enabled";
}

KubeObject ReadKubeObject(const KubeResource& resource, const Json& object,
                          const model::Locality& locality) {
  KubeObject out;
  const std::string name = FileName(resource, TextAt(object, {"metadata", "namespace"}),
                                    TextAt(object, {"metadata", "name"}));
  switch (resource.kind) {
    case KubeKind::kNamespace:
    case KubeKind::kNode:
      break;
    case KubeKind::kPod:
      Put(model::Kind::kWorkload, name, ReadPod(object, locality), &out);
      break;
    case KubeKind::kService:
      Put(model::Kind::kService, name, ReadService(object), &out);
      break;
    case KubeKind::kEndpointSlice:
      Put(model::Kind::kEndpointSlice, name, ReadSlice(object), &out);
      break;
    case KubeKind::kHttpRoute:
    case KubeKind::kGrpcRoute:
    case KubeKind::kReferenceGrant:
    case KubeKind::kMeshConfig:
    case KubeKind::kBackendPolicy:
    case KubeKind::kAuthorizationPolicy:
    case KubeKind::kWorkloadPolicy:
    case KubeKind::kWorkload:
      ReadWritten(resource, object, name, &out);
      break;
  }
  return out;
}

}  // namespace heddle::ingest
