#include "control_plane/ingest/parse.h"

#include <google/protobuf/message.h>

#include <array>
#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
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
#include "source/yaml/yaml.h"

namespace heddle::ingest {
namespace {

using model::Kind;

template <typename T>
std::shared_ptr<google::protobuf::Message> Make() {
  return std::make_shared<T>();
}

struct KindEntry {
  Kind kind;
  std::shared_ptr<google::protobuf::Message> (*make)();
};

constexpr std::array<KindEntry, 10> kKinds = {{
    {Kind::kService, Make<v1::Service>},
    {Kind::kHttpRoute, Make<v1::HTTPRoute>},
    {Kind::kWorkload, Make<v1::Workload>},
    {Kind::kMeshConfig, Make<v1::MeshConfig>},
    {Kind::kBackendPolicy, Make<v1::BackendPolicy>},
    {Kind::kAuthorizationPolicy, Make<v1::AuthorizationPolicy>},
    {Kind::kWorkloadPolicy, Make<v1::WorkloadPolicy>},
    {Kind::kEndpointSlice, Make<v1::EndpointSlice>},
    {Kind::kGrpcRoute, Make<v1::GRPCRoute>},
    {Kind::kReferenceGrant, Make<v1::ReferenceGrant>},
}};

// "<file>:12: spec.x: why" as its parts.
model::Problem FromStatus(absl::string_view file, const absl::Status& status) {
  model::Problem problem;
  problem.file = std::string(file);
  absl::string_view text = status.message();
  if (absl::ConsumePrefix(&text, file) && absl::ConsumePrefix(&text, ":")) {
    const size_t colon = text.find(':');
    if (absl::SimpleAtoi(text.substr(0, colon), &problem.line)) text.remove_prefix(colon + 1);
    text = absl::StripLeadingAsciiWhitespace(text);
  }
  const size_t colon = text.find(": ");
  const absl::string_view path = text.substr(0, colon);
  if (colon != absl::string_view::npos && path.find(' ') == absl::string_view::npos) {
    problem.path = std::string(path);
    text.remove_prefix(colon + 2);
  }
  problem.message = std::string(text);
  return problem;
}

// "HTTPRoute bookshop/reviews", as far as the document says.
std::string ObjectName(const yaml::Document& document) {
  const absl::string_view ns = document.TextAt("metadata.namespace");
  const absl::string_view name = document.TextAt("metadata.name");
  if (name.empty()) return std::string(document.Text("kind"));
  return absl::StrCat(document.Text("kind"), " ", ns.empty() ? "default" : ns, "/", name);
}

void ParseDocument(const yaml::Document& document, const yaml::Options& options, ParsedFile* out) {
  const absl::string_view name = document.Text("kind");
  for (const KindEntry& entry : kKinds) {
    if (model::KindName(entry.kind) != name) continue;
    std::shared_ptr<google::protobuf::Message> body = entry.make();
    if (const absl::Status status = document.Decode(body.get(), options); !status.ok()) {
      model::Problem problem = FromStatus(out->name, status);
      problem.object = ObjectName(document);
      out->problems.push_back(std::move(problem));
      return;
    }
    out->objects.push_back({.kind = entry.kind,
                            .file = out->name,
                            .line_of =
                                [document](absl::string_view path) {
                                  return path.empty() ? document.line() : document.Line(path);
                                },
                            .body = std::move(body)});
    return;
  }
  model::Problem problem;
  problem.file = out->name;
  problem.line = document.Line("kind");
  problem.path = "kind";
  problem.message = name.empty() ? "required" : absl::StrCat("unknown kind \"", name, "\"");
  problem.message += "; known:";
  for (const KindEntry& entry : kKinds)
    absl::StrAppend(&problem.message, " ", model::KindName(entry.kind));
  out->problems.push_back(std::move(problem));
}

}  // namespace

ParsedFile ParseFile(absl::string_view name, absl::string_view text) {
  ParsedFile out;
  out.name = std::string(name);
  yaml::Options options;
  options.file = out.name;
  const absl::StatusOr<std::vector<yaml::Document>> documents = yaml::Parse(text, options);
  if (!documents.ok()) {
    out.problems.push_back(FromStatus(out.name, documents.status()));
    return out;
  }
  for (const yaml::Document& document : *documents) ParseDocument(document, options, &out);
  return out;
}

}  // namespace heddle::ingest
