#include "control_plane/translate/rbac.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "control_plane/translate/encode.h"
#include "control_plane/translate/tls.h"
#include "envoy/config/listener/v3/listener_components.pb.h"
#include "envoy/config/rbac/v3/rbac.pb.h"
#include "envoy/extensions/filters/http/rbac/v3/rbac.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/rbac/v3/rbac.pb.h"
#include "re2/re2.h"

namespace heddle::translate {
namespace {

namespace rbac = ::envoy::config::rbac::v3;
namespace route = ::envoy::config::route::v3;
using ::envoy::type::matcher::v3::StringMatcher;
using model::AuthorizationOperation;
using model::AuthorizationPolicy;
using model::AuthorizationSource;
using model::Pattern;

bool IsPrefix(const Pattern& pattern) { return pattern.size() > 1 && pattern.back() == '*'; }
bool IsSuffix(const Pattern& pattern) { return pattern.size() > 1 && pattern.front() == '*'; }

// Not for "*".
void SetString(const Pattern& pattern, StringMatcher* out) {
  if (IsPrefix(pattern)) {
    out->set_prefix(pattern.substr(0, pattern.size() - 1));
  } else if (IsSuffix(pattern)) {
    out->set_suffix(pattern.substr(1));
  } else {
    out->set_exact(pattern);
  }
}

void SetHeader(const std::string& name, const Pattern& pattern, route::HeaderMatcher* out) {
  out->set_name(name);
  if (pattern == "*") {
    out->set_present_match(true);
  } else {
    SetString(pattern, out->mutable_string_match());
  }
}

void SetCidr(const std::string& block, ::envoy::config::core::v3::CidrRange* out) {
  const size_t slash = block.find('/');
  uint32_t length = 0;
  (void)absl::SimpleAtoi(block.substr(slash + 1), &length);  // checked when it was read
  out->set_address_prefix(block.substr(0, slash));
  out->mutable_prefix_len()->set_value(length);
}

// ---- principals

rbac::Principal Named(const Pattern& principal) {
  rbac::Principal out;
  StringMatcher* const name = out.mutable_authenticated()->mutable_principal_name();
  if (principal == "*") {
    name->set_prefix("spiffe://");
  } else {
    SetString(IsSuffix(principal) ? principal : absl::StrCat("spiffe://", principal), name);
  }
  return out;
}

rbac::Principal OfNamespace(const model::MeshConfig& mesh, const Pattern& ns) {
  rbac::Principal out;
  StringMatcher* const name = out.mutable_authenticated()->mutable_principal_name();
  const std::string root = absl::StrCat("spiffe://", mesh.trust_domain, "/ns/");
  if (ns == "*") {
    name->set_prefix(root);
  } else if (IsPrefix(ns)) {
    name->set_prefix(absl::StrCat(root, ns.substr(0, ns.size() - 1)));
  } else if (IsSuffix(ns)) {
    name->mutable_safe_regex()->set_regex(
        absl::StrCat(RE2::QuoteMeta(root), "[^/]*", RE2::QuoteMeta(ns.substr(1)), "/sa/.*"));
  } else {
    name->set_prefix(SpiffeId(mesh, ns, ""));
  }
  return out;
}

rbac::Principal From(const std::string& block) {
  rbac::Principal out;
  SetCidr(block, out.mutable_direct_remote_ip());
  return out;
}

// Adds "one of these" and, with `negate`, "none of these" to the conditions of a source.
template <typename Entries, typename Make>
void AddOneOf(const Entries& entries, bool negate, const Make& make, rbac::Principal::Set* out) {
  if (entries.empty()) return;
  rbac::Principal* const to = negate ? out->add_ids()->mutable_not_id() : out->add_ids();
  for (const auto& one : entries) *to->mutable_or_ids()->add_ids() = make(one);
}

rbac::Principal PrincipalOf(const model::MeshConfig& mesh, const AuthorizationSource& in) {
  rbac::Principal out;
  rbac::Principal::Set* const all = out.mutable_and_ids();
  const auto of_namespace = [&](const Pattern& one) { return OfNamespace(mesh, one); };
  AddOneOf(in.principals, false, Named, all);
  AddOneOf(in.not_principals, true, Named, all);
  AddOneOf(in.namespaces, false, of_namespace, all);
  AddOneOf(in.not_namespaces, true, of_namespace, all);
  AddOneOf(in.ip_blocks, false, From, all);
  AddOneOf(in.not_ip_blocks, true, From, all);
  if (all->ids().empty()) out.set_any(true);
  return out;
}

// ---- permissions

rbac::Permission Host(const Pattern& pattern) {
  rbac::Permission out;
  route::HeaderMatcher* const header = out.mutable_header();
  header->set_name(":authority");
  if (pattern == "*") {
    header->set_present_match(true);
    return out;
  }
  const bool has_port = pattern.find(':') != std::string::npos;
  const std::string port = has_port || IsPrefix(pattern) ? "" : "(:[0-9]+)?";
  const std::string inner =
      RE2::QuoteMeta(std::string(absl::StripPrefix(absl::StripSuffix(pattern, "*"), "*")));
  header->mutable_string_match()->mutable_safe_regex()->set_regex(absl::StrCat(
      "(?i)", IsSuffix(pattern) ? ".*" : "", inner, IsPrefix(pattern) ? ".*" : "", port));
  return out;
}

rbac::Permission Method(const Pattern& pattern) {
  rbac::Permission out;
  SetHeader(":method", pattern, out.mutable_header());
  return out;
}

rbac::Permission UrlPath(const Pattern& pattern) {
  rbac::Permission out;
  StringMatcher* const path = out.mutable_url_path()->mutable_path();
  if (pattern == "*") {
    path->set_prefix("/");
  } else {
    SetString(pattern, path);
  }
  return out;
}

rbac::Permission Port(uint16_t port) {
  rbac::Permission out;
  out.set_destination_port(port);
  return out;
}

template <typename Entries, typename Make>
void AddOneOf(const Entries& entries, bool negate, const Make& make, rbac::Permission::Set* out) {
  if (entries.empty()) return;
  rbac::Permission* const to = negate ? out->add_rules()->mutable_not_rule() : out->add_rules();
  for (const auto& one : entries) *to->mutable_or_rules()->add_rules() = make(one);
}

void AddHeader(const model::HeaderCondition& in, rbac::Permission::Set* out) {
  const auto make = [&](const Pattern& one) {
    rbac::Permission header;
    SetHeader(in.name, one, header.mutable_header());
    return header;
  };
  AddOneOf(in.values, false, make, out);
  AddOneOf(in.not_values, true, make, out);
  if (in.values.empty() && in.not_values.empty())
    SetHeader(in.name, "*", out->add_rules()->mutable_header());
}

rbac::Permission PermissionOf(const AuthorizationOperation& in, Layer layer) {
  rbac::Permission out;
  rbac::Permission::Set* const all = out.mutable_and_rules();
  AddOneOf(in.ports, false, Port, all);
  AddOneOf(in.not_ports, true, Port, all);
  if (layer == Layer::kHttp) {
    AddOneOf(in.hosts, false, Host, all);
    AddOneOf(in.not_hosts, true, Host, all);
    AddOneOf(in.methods, false, Method, all);
    AddOneOf(in.not_methods, true, Method, all);
    AddOneOf(in.paths, false, UrlPath, all);
    AddOneOf(in.not_paths, true, UrlPath, all);
    for (const model::HeaderCondition& one : in.headers) AddHeader(one, all);
  }
  if (all->rules().empty()) out.set_any(true);
  return out;
}

// False when the rule can never match.
bool SetPolicy(const model::MeshConfig& mesh, const model::AuthorizationRule& rule,
               AuthorizationPolicy::Action action, Layer layer, rbac::Policy* out) {
  for (const AuthorizationOperation& one : rule.to) {
    if (layer == Layer::kTcp && action == AuthorizationPolicy::Action::kAllow &&
        one.AsksAboutHttp())
      continue;
    *out->add_permissions() = PermissionOf(one, layer);
  }
  if (rule.to.empty()) out->add_permissions()->set_any(true);
  for (const AuthorizationSource& one : rule.from) *out->add_principals() = PrincipalOf(mesh, one);
  if (rule.from.empty()) out->add_principals()->set_any(true);
  return !out->permissions().empty();
}

bool Any(const Policies& policies, AuthorizationPolicy::Action action) {
  for (const AuthorizationPolicy* one : policies)
    if (one->action == action) return true;
  return false;
}

// Calls `add` with the rules of each filter that is needed, in order.
template <typename Add>
void ForEachFilter(const model::MeshConfig& mesh, const Policies& policies, Layer layer,
                   const Add& add) {
  using Action = AuthorizationPolicy::Action;
  if (Any(policies, Action::kDeny)) add(RulesOf(mesh, policies, Action::kDeny, layer));
  if (Any(policies, Action::kAllow)) add(RulesOf(mesh, policies, Action::kAllow, layer));
}

}  // namespace

Policies PoliciesFor(const model::World& world, const std::string& ns,
                     const std::map<std::string, std::string>& labels) {
  Policies out;
  for (const auto& [key, policy] : world.authorization)
    if (policy.Selects(ns, labels)) out.push_back(&policy);
  return out;
}

rbac::RBAC RulesOf(const model::MeshConfig& mesh, const Policies& policies,
                   AuthorizationPolicy::Action action, Layer layer) {
  rbac::RBAC out;
  out.set_action(action == AuthorizationPolicy::Action::kDeny ? rbac::RBAC::DENY
                                                              : rbac::RBAC::ALLOW);
  for (const AuthorizationPolicy* one : policies) {
    if (one->action != action) continue;
    for (size_t i = 0; i < one->rules.size(); ++i) {
      rbac::Policy policy;
      if (!SetPolicy(mesh, one->rules[i], action, layer, &policy)) continue;
      (*out.mutable_policies())[absl::StrCat("ns[", one->key.ns, "]-policy[", one->key.name,
                                             "]-rule[", i, "]")] = std::move(policy);
    }
  }
  return out;
}

void AddHttpRbac(
    const model::MeshConfig& mesh, const Policies& policies,
    ::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager*
        out) {
  ForEachFilter(mesh, policies, Layer::kHttp, [&](rbac::RBAC rules) {
    ::envoy::extensions::filters::http::rbac::v3::RBAC filter;
    *filter.mutable_rules() = std::move(rules);
    auto* const to = out->add_http_filters();
    to->set_name("envoy.filters.http.rbac");
    Pack(filter, to->mutable_typed_config());
  });
}

void AddNetworkRbac(const model::MeshConfig& mesh, const Policies& policies,
                    ::envoy::config::listener::v3::FilterChain* out) {
  ForEachFilter(mesh, policies, Layer::kTcp, [&](rbac::RBAC rules) {
    ::envoy::extensions::filters::network::rbac::v3::RBAC filter;
    *filter.mutable_rules() = std::move(rules);
    filter.set_stat_prefix("inbound.");
    auto* const to = out->add_filters();
    to->set_name("envoy.filters.network.rbac");
    Pack(filter, to->mutable_typed_config());
  });
}

}  // namespace heddle::translate
