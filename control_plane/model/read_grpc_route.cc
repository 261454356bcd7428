// GRPCRoute, by way of the HTTPRoute that says the same; and ReferenceGrant.
#include <algorithm>
#include <cctype>

#include "absl/strings/str_cat.h"
#include "control_plane/model/readers.h"
#include "heddle/v1/grpc_route.pb.h"
#include "heddle/v1/http_route.pb.h"
#include "heddle/v1/reference_grant.pb.h"

namespace heddle::model {
namespace {

using base::Path;

constexpr char kAnyName[] = "[^/]+";

// A path is "/<service>/<method>"; neither holds a slash.
void CheckName(const std::string& text, const Path& at, Checker& check) {
  if (text.size() > 1024) return check.Error(at, "longer than 1024 bytes");
  if (text.find_first_of("/?#") != std::string::npos) check.Error(at, "holds '/', '?' or '#'");
}

v1::HTTPPathMatch ReadMethod(const v1::GRPCMethodMatch& in, const Path& at, Checker& check) {
  v1::HTTPPathMatch out;
  const std::string& service = in.service();
  const std::string& method = in.method();
  if (in.type() == v1::GRPCMethodMatch::RegularExpression) {
    check.Regex(at.Field("service"), service);
    check.Regex(at.Field("method"), method);
    out.set_type(v1::HTTPPathMatch::RegularExpression);
    out.set_value(absl::StrCat("/(?:", service.empty() ? kAnyName : service,
                               ")/(?:", method.empty() ? kAnyName : method, ")"));
    return out;
  }
  CheckName(service, at.Field("service"), check);
  CheckName(method, at.Field("method"), check);
  if (service.empty() && method.empty()) return out;
  if (service.empty()) {
    std::string quoted;
    for (const char c : method)
      absl::StrAppend(&quoted, c == '_' || std::isalnum(static_cast<unsigned char>(c)) ? "" : "\\",
                      std::string(1, c));
    out.set_type(v1::HTTPPathMatch::RegularExpression);
    out.set_value(absl::StrCat("/", kAnyName, "/", quoted));
  } else if (method.empty()) {
    out.set_type(v1::HTTPPathMatch::PathPrefix);
    out.set_value(absl::StrCat("/", service));
  } else {
    out.set_type(v1::HTTPPathMatch::Exact);
    out.set_value(absl::StrCat("/", service, "/", method));
  }
  return out;
}

}  // namespace

Route ReadGrpcRoute(const v1::GRPCRoute& in, Checker& check) {
  v1::HTTPRoute same;
  same.set_api_version(in.api_version());
  *same.mutable_metadata() = in.metadata();
  v1::HTTPRouteSpec& spec = *same.mutable_spec();
  *spec.mutable_parent_refs() = in.spec().parent_refs();
  *spec.mutable_hostnames() = in.spec().hostnames();
  const Path root;
  const Path at = root.Field("spec");
  const Path rules = at.Field("rules");
  for (int i = 0; i < in.spec().rules_size(); ++i) {
    const v1::GRPCRouteRule& rule = in.spec().rules(i);
    const Path here = rules.Index(static_cast<size_t>(i));
    const Path filters = here.Field("filters");
    v1::HTTPRouteRule& to = *spec.add_rules();
    to.set_name(rule.name());
    *to.mutable_filters() = rule.filters();
    *to.mutable_backend_refs() = rule.backend_refs();
    for (int j = 0; j < rule.filters_size(); ++j)
      if (rule.filters(j).has_request_redirect() || rule.filters(j).has_url_rewrite())
        check.Error(filters.Index(static_cast<size_t>(j)).Field("type"),
                    "only header modifiers are honoured in a GRPCRoute");
    const Path matches = here.Field("matches");
    for (int j = 0; j < rule.matches_size(); ++j) {
      const Path match = matches.Index(static_cast<size_t>(j));
      v1::HTTPRouteMatch& add = *to.add_matches();
      *add.mutable_headers() = rule.matches(j).headers();
      if (rule.matches(j).has_method())
        *add.mutable_path() = ReadMethod(rule.matches(j).method(), match.Field("method"), check);
    }
  }
  Route out = ReadHttpRoute(same, check);
  out.grpc = true;
  return out;
}

bool GrantParts::Allows(const Route& route, const Key& service) const {
  if (service.ns != key.ns) return false;
  return std::any_of(
             from.begin(), from.end(),
             [&](const From& one) { return one.grpc == route.grpc && one.ns == route.key.ns; }) &&
         std::any_of(services.begin(), services.end(),
                     [&](const std::string& name) { return name.empty() || name == service.name; });
}

GrantParts ReadReferenceGrant(const v1::ReferenceGrant& in, Checker& check) {
  GrantParts out;
  out.key = check.ReadKey(in.metadata(), false);
  check.CheckApiVersion(in.api_version(),
                        {"gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1"});
  const Path root;
  const Path at = root.Field("spec");
  if (in.spec().from().empty()) check.Error(at.Field("from"), "required");
  if (in.spec().to().empty()) check.Error(at.Field("to"), "required");
  if (in.spec().from_size() > 16) check.Error(at.Field("from"), "more than 16 entries");
  if (in.spec().to_size() > 16) check.Error(at.Field("to"), "more than 16 entries");
  for (const v1::ReferenceGrantFrom& one : in.spec().from()) {
    const bool http = one.kind() == "HTTPRoute", grpc = one.kind() == "GRPCRoute";
    if (one.group() == "gateway.networking.k8s.io" && (http || grpc))
      out.from.push_back({.grpc = grpc, .ns = one.namespace_()});
  }
  for (const v1::ReferenceGrantTo& one : in.spec().to())
    if ((one.group().empty() || one.group() == "core") && one.kind() == "Service")
      out.services.push_back(one.name());
  return out;
}

}  // namespace heddle::model
