// AuthorizationPolicy.
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "control_plane/model/readers.h"
#include "heddle/v1/authorization_policy.pb.h"

namespace heddle::model {
namespace {

using base::Path;
using Strings = google::protobuf::RepeatedPtrField<std::string>;
using Ports = google::protobuf::RepeatedField<int32_t>;

constexpr int kMaxEntries = 1024;

void ReadPatterns(const Strings& in, const Path& at, Checker& check, std::vector<Pattern>* out) {
  if (in.size() > kMaxEntries) check.Error(at, "more than 1024 entries");
  for (int i = 0; i < in.size(); ++i) {
    check.Pattern(at.Index(static_cast<size_t>(i)), in.Get(i));
    out->push_back(in.Get(i));
  }
}

void ReadPrincipals(const Strings& in, const Path& at, Checker& check, std::vector<Pattern>* out) {
  ReadPatterns(in, at, check, out);
  for (Pattern& one : *out) one = std::string(absl::StripPrefix(one, "spiffe://"));
}

// As exact principals.
void ReadAccounts(const Strings& in, const Key& policy, const MeshConfig& mesh, const Path& at,
                  Checker& check, std::vector<Pattern>* out) {
  for (int i = 0; i < in.size(); ++i) {
    const absl::string_view text = in.Get(i);
    const size_t slash = text.find('/');
    const bool own = slash == absl::string_view::npos;
    const absl::string_view ns = own ? absl::string_view(policy.ns) : text.substr(0, slash);
    const absl::string_view name = own ? text : text.substr(slash + 1);
    if (!IsDnsLabel(ns) || !IsDnsLabel(name))
      check.Error(at.Index(static_cast<size_t>(i)),
                  absl::StrCat("\"", text, "\" is not namespace/service-account"));
    out->push_back(absl::StrCat(mesh.trust_domain, "/ns/", ns, "/sa/", name));
  }
}

void ReadBlocks(const Strings& in, const Path& at, Checker& check, std::vector<std::string>* out) {
  for (int i = 0; i < in.size(); ++i) {
    const std::optional<std::string> block = CanonicalCidr(in.Get(i));
    if (!block.has_value())
      check.Error(at.Index(static_cast<size_t>(i)),
                  absl::StrCat("\"", in.Get(i), "\" is no address or CIDR range"));
    out->push_back(block.value_or(""));
  }
}

void ReadPorts(const Ports& in, const Path& at, Checker& check, std::vector<uint16_t>* out) {
  for (int i = 0; i < in.size(); ++i)
    out->push_back(check.Port(at.Index(static_cast<size_t>(i)), in.Get(i)));
}

AuthorizationSource ReadSource(const v1::Source& in, const Key& policy, const MeshConfig& mesh,
                               const Path& at, Checker& check) {
  AuthorizationSource out;
  if (in.ByteSizeLong() == 0) check.Error(at, "empty: leave `from` out to match any caller");
  ReadPrincipals(in.principals(), at.Field("principals"), check, &out.principals);
  ReadPrincipals(in.not_principals(), at.Field("notPrincipals"), check, &out.not_principals);
  ReadPatterns(in.namespaces(), at.Field("namespaces"), check, &out.namespaces);
  ReadPatterns(in.not_namespaces(), at.Field("notNamespaces"), check, &out.not_namespaces);
  // Accounts are principals, but the two lists of one source must both match.
  if (!in.service_accounts().empty() && !in.principals().empty())
    check.Error(at.Field("serviceAccounts"), "not together with principals");
  ReadAccounts(in.service_accounts(), policy, mesh, at.Field("serviceAccounts"), check,
               &out.principals);
  ReadAccounts(in.not_service_accounts(), policy, mesh, at.Field("notServiceAccounts"), check,
               &out.not_principals);
  ReadBlocks(in.ip_blocks(), at.Field("ipBlocks"), check, &out.ip_blocks);
  ReadBlocks(in.not_ip_blocks(), at.Field("notIpBlocks"), check, &out.not_ip_blocks);
  return out;
}

HeaderCondition ReadHeader(const v1::HeaderCondition& in, const Path& at, Checker& check) {
  HeaderCondition out;
  check.HeaderName(at.Field("name"), in.name());
  out.name = absl::AsciiStrToLower(in.name());
  ReadPatterns(in.values(), at.Field("values"), check, &out.values);
  ReadPatterns(in.not_values(), at.Field("notValues"), check, &out.not_values);
  return out;
}

AuthorizationOperation ReadOperation(const v1::Operation& in, const Path& at, Checker& check) {
  AuthorizationOperation out;
  if (in.ByteSizeLong() == 0) check.Error(at, "empty: leave `to` out to match any request");
  ReadPatterns(in.hosts(), at.Field("hosts"), check, &out.hosts);
  ReadPatterns(in.not_hosts(), at.Field("notHosts"), check, &out.not_hosts);
  ReadPorts(in.ports(), at.Field("ports"), check, &out.ports);
  ReadPorts(in.not_ports(), at.Field("notPorts"), check, &out.not_ports);
  ReadPatterns(in.methods(), at.Field("methods"), check, &out.methods);
  ReadPatterns(in.not_methods(), at.Field("notMethods"), check, &out.not_methods);
  ReadPatterns(in.paths(), at.Field("paths"), check, &out.paths);
  ReadPatterns(in.not_paths(), at.Field("notPaths"), check, &out.not_paths);
  for (int i = 0; i < in.headers_size(); ++i)
    out.headers.push_back(
        ReadHeader(in.headers(i), at.Field("headers").Index(static_cast<size_t>(i)), check));
  return out;
}

}  // namespace

AuthorizationPolicy ReadAuthorizationPolicy(const v1::AuthorizationPolicy& in,
                                            const MeshConfig& mesh, Checker& check) {
  AuthorizationPolicy out;
  const Path root;
  const Path at = root.Field("spec");
  out.key = check.ReadKey(in.metadata(), false);
  check.CheckApiVersion(in.api_version(), {"heddle.dev/v1"});
  out.everywhere = out.key.ns == mesh.root_namespace;
  const auto& labels = in.spec().selector().match_labels();
  out.selector = {labels.begin(), labels.end()};
  out.action = in.spec().action() == v1::AuthorizationPolicySpec::DENY
                   ? AuthorizationPolicy::Action::kDeny
                   : AuthorizationPolicy::Action::kAllow;
  const Path rules = at.Field("rules");
  if (in.spec().rules_size() > 512) check.Error(rules, "more than 512 rules");
  for (int i = 0; i < in.spec().rules_size(); ++i) {
    const v1::Rule& rule = in.spec().rules(i);
    const Path here = rules.Index(static_cast<size_t>(i));
    AuthorizationRule& to = out.rules.emplace_back();
    for (int j = 0; j < rule.from_size(); ++j)
      to.from.push_back(ReadSource(rule.from(j), out.key, mesh,
                                   here.Field("from").Index(static_cast<size_t>(j)), check));
    for (int j = 0; j < rule.to_size(); ++j)
      to.to.push_back(
          ReadOperation(rule.to(j), here.Field("to").Index(static_cast<size_t>(j)), check));
  }
  if (out.rules.empty() && out.action == AuthorizationPolicy::Action::kDeny)
    check.Warning(rules, "a DENY policy without rules denies nothing");
  return out;
}

}  // namespace heddle::model
