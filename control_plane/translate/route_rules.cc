// HTTPRoute rules as Envoy routes.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "control_plane/translate/cluster.h"
#include "control_plane/translate/encode.h"
#include "control_plane/translate/routes.h"
#include "envoy/config/route/v3/route_components.pb.h"

namespace heddle::translate {
namespace {

namespace core = ::envoy::config::core::v3;
namespace route = ::envoy::config::route::v3;
using model::ServicePort;

constexpr absl::Duration kDefaultRequestTimeout = absl::Seconds(15);

void SetString(const model::ValueMatch& in, ::envoy::type::matcher::v3::StringMatcher* out) {
  if (in.regex) {
    out->mutable_safe_regex()->set_regex(in.value);
  } else {
    out->set_exact(in.value);
  }
}

void SetMatch(const model::RouteMatch& in, route::RouteMatch* out) {
  switch (in.path_kind) {
    case model::PathKind::kExact:
      out->set_path(in.path);
      break;
    case model::PathKind::kRegex:
      out->mutable_safe_regex()->set_regex(in.path);
      break;
    case model::PathKind::kPrefix:
      if (in.path == "/") {
        out->set_prefix("/");
      } else {
        out->set_path_separated_prefix(in.path);
      }
      break;
  }
  if (!in.method.empty()) {
    route::HeaderMatcher* const method = out->add_headers();
    method->set_name(":method");
    method->mutable_string_match()->set_exact(in.method);
  }
  for (const model::ValueMatch& one : in.headers) {
    route::HeaderMatcher* const header = out->add_headers();
    header->set_name(one.name);
    SetString(one, header->mutable_string_match());
  }
  for (const model::ValueMatch& one : in.query) {
    route::QueryParameterMatcher* const query = out->add_query_parameters();
    query->set_name(one.name);
    SetString(one, query->mutable_string_match());
  }
}

// To what has request_headers_to_add and its three siblings.
template <typename Message>
void SetHeaderChanges(const model::HeaderChanges& request, const model::HeaderChanges& response,
                      Message* out) {
  const auto add = [](const std::pair<std::string, std::string>& from,
                      core::HeaderValueOption::HeaderAppendAction action,
                      core::HeaderValueOption* to) {
    to->mutable_header()->set_key(from.first);
    // '%' begins a command operator.
    to->mutable_header()->set_value(absl::StrReplaceAll(from.second, {{"%", "%%"}}));
    to->set_append_action(action);
    to->set_keep_empty_value(true);
  };
  constexpr auto kSet = core::HeaderValueOption::OVERWRITE_IF_EXISTS_OR_ADD;
  constexpr auto kAdd = core::HeaderValueOption::APPEND_IF_EXISTS_OR_ADD;
  for (const auto& one : request.set) add(one, kSet, out->add_request_headers_to_add());
  for (const auto& one : request.add) add(one, kAdd, out->add_request_headers_to_add());
  for (const auto& one : request.remove) out->add_request_headers_to_remove(one);
  for (const auto& one : response.set) add(one, kSet, out->add_response_headers_to_add());
  for (const auto& one : response.add) add(one, kAdd, out->add_response_headers_to_add());
  for (const auto& one : response.remove) out->add_response_headers_to_remove(one);
}

route::RedirectAction::RedirectResponseCode RedirectCode(int status) {
  switch (status) {
    case 301:
      return route::RedirectAction::MOVED_PERMANENTLY;
    case 303:
      return route::RedirectAction::SEE_OTHER;
    case 307:
      return route::RedirectAction::TEMPORARY_REDIRECT;
    case 308:
      return route::RedirectAction::PERMANENT_REDIRECT;
    default:
      return route::RedirectAction::FOUND;
  }
}

void SetRedirect(const model::Redirect& in, const model::RouteMatch& match,
                 route::RedirectAction* out) {
  if (!in.scheme.empty()) out->set_scheme_redirect(in.scheme);
  out->set_host_redirect(in.hostname);
  out->set_port_redirect(in.port);
  out->set_response_code(RedirectCode(in.status));
  if (in.path.full.has_value()) {
    out->set_path_redirect(*in.path.full);
  } else if (const std::optional<PathRewrite> path = RewriteOf(in.path, match)) {
    if (path->pattern.empty()) return out->set_prefix_rewrite(path->prefix);
    out->mutable_regex_rewrite()->mutable_pattern()->set_regex(path->pattern);
    out->mutable_regex_rewrite()->set_substitution(path->substitution);
  }
}

void SetRewrite(const model::Rewrite& in, const model::RouteMatch& match, route::RouteAction* out) {
  if (!in.hostname.empty()) out->set_host_rewrite_literal(in.hostname);
  const std::optional<PathRewrite> path = RewriteOf(in.path, match);
  if (!path.has_value()) return;
  if (path->pattern.empty()) return out->set_prefix_rewrite(path->prefix);
  out->mutable_regex_rewrite()->mutable_pattern()->set_regex(path->pattern);
  out->mutable_regex_rewrite()->set_substitution(path->substitution);
}

// False when no backend has a share.
bool SetBackends(const model::RouteRule& rule, const ServicePort& port, route::RouteAction* out) {
  std::vector<const model::RouteBackend*> used;
  for (const model::RouteBackend& one : rule.backends) {
    if (one.weight == 0) continue;
    used.push_back(&one);
  }
  if (used.empty()) return false;
  const bool some_invalid =
      std::any_of(used.begin(), used.end(), [](const auto* one) { return one->invalid; });
  if (std::all_of(used.begin(), used.end(), [](const auto* one) { return one->invalid; }))
    return false;
  if (some_invalid)
    out->set_cluster_not_found_response_code(route::RouteAction::INTERNAL_SERVER_ERROR);
  const auto name = [&](const model::RouteBackend& one) {
    if (one.invalid) return std::string(kNoCluster);
    return model::ClusterName(one.service, one.port == 0 ? port.port : one.port);
  };
  if (used.size() == 1 && used[0]->request_headers.empty() && used[0]->response_headers.empty()) {
    out->set_cluster(name(*used[0]));
    return true;
  }
  for (const model::RouteBackend* one : used) {
    route::WeightedCluster::ClusterWeight* const to =
        out->mutable_weighted_clusters()->add_clusters();
    to->set_name(name(*one));
    to->mutable_weight()->set_value(one->weight);
    SetHeaderChanges(one->request_headers, one->response_headers, to);
  }
  return true;
}

absl::Duration SetTimeouts(const model::RouteRule& rule, const ServicePort& port,
                           route::RouteAction* out) {
  const bool grpc = port.protocol == model::Protocol::kGrpc;
  absl::Duration whole = rule.request_timeout.value_or(
      port.backend.request_timeout.value_or(grpc ? absl::ZeroDuration() : kDefaultRequestTimeout));
  const absl::Duration per_try =
      rule.backend_request_timeout.value_or(port.backend.retries.per_try_timeout);
  // Without retries the one attempt is the whole request.
  const bool single = !rule.retry.has_value() && port.backend.retries.attempts == 0;
  if (single && per_try > absl::ZeroDuration() &&
      (whole == absl::ZeroDuration() || per_try < whole))
    whole = per_try;
  Set(out->mutable_timeout(), whole);
  Set(out->mutable_idle_timeout(), port.backend.idle_timeout);
  // The caller's grpc-timeout, up to what is configured. (With it a route's timeout does not
  // count.)
  if (grpc) {
    auto* const stream = out->mutable_max_stream_duration();
    Set(stream->mutable_grpc_timeout_header_max(), whole);
    if (whole > absl::ZeroDuration()) Set(stream->mutable_max_stream_duration(), whole);
  }
  return per_try;
}

std::string RouteName(const model::Service& service, const RuleMatch& in) {
  if (in.route == nullptr) return absl::StrCat(service.key.ns, "/", service.key.name);
  return absl::StrCat(in.route->key.ToString(), "/",
                      in.rule->name.empty() ? absl::StrCat(in.rule_index) : in.rule->name);
}

void AddMethodMatch(route::Route* out) {
  route::HeaderMatcher* const method = out->mutable_match()->add_headers();
  method->set_name(":method");
  method->mutable_string_match()->mutable_safe_regex()->set_regex(kIdempotentMethods);
}

// `base` has everything but its retry policy.
void AddForwarding(const ServicePort& port, const RuleMatch& in, absl::Duration per_try,
                   route::Route base, route::VirtualHost* out) {
  if (in.rule->retry.has_value()) {
    SetRetryPolicy(*in.rule->retry, per_try, base.mutable_route()->mutable_retry_policy());
    *out->add_routes() = std::move(base);
    return;
  }
  const model::RetrySettings& settings = port.backend.retries;
  if (settings.attempts == 0) {
    *out->add_routes() = std::move(base);
    return;
  }
  const RetryConditions conditions = ConditionsOf(settings, port.protocol);
  const auto add = [&](const std::vector<std::string>& on, bool by_method) {
    route::Route* const to = out->add_routes();
    *to = base;
    if (by_method) AddMethodMatch(to);
    SetRetryPolicy(settings, on, per_try, to->mutable_route()->mutable_retry_policy());
  };
  const std::string& method = in.match->method;
  if (conditions.idempotent.empty()) return add(conditions.any, false);
  if (!method.empty())
    return add(IsIdempotent(method) ? conditions.idempotent : conditions.any, false);
  add(conditions.idempotent, true);
  add(conditions.any, false);
}

}  // namespace

bool Before(const RuleMatch& a, const RuleMatch& b) {
  const model::RouteMatch& x = *a.match;
  const model::RouteMatch& y = *b.match;
  const auto length = [](const model::RouteMatch& match) {
    return match.path_kind == model::PathKind::kExact ? 0 : match.path.size();
  };
  if (x.path_kind != y.path_kind) return x.path_kind < y.path_kind;
  if (length(x) != length(y)) return length(x) > length(y);
  if (x.method.empty() != y.method.empty()) return !x.method.empty();
  if (x.headers.size() != y.headers.size()) return x.headers.size() > y.headers.size();
  if (x.query.size() != y.query.size()) return x.query.size() > y.query.size();
  if (a.route->created != b.route->created) return a.route->created < b.route->created;
  if (a.route->key != b.route->key) return a.route->key < b.route->key;
  return a.rule_index < b.rule_index;
}

void AddRoutes(const model::Service& service, const ServicePort& port, const RuleMatch& in,
               route::VirtualHost* out) {
  route::Route base;
  base.set_name(RouteName(service, in));
  SetMatch(*in.match, base.mutable_match());
  SetHeaderChanges(in.rule->request_headers, in.rule->response_headers, &base);
  if (in.rule->redirect.has_value()) {
    SetRedirect(*in.rule->redirect, *in.match, base.mutable_redirect());
    *out->add_routes() = std::move(base);
    return;
  }
  if (!SetBackends(*in.rule, port, base.mutable_route())) {
    base.mutable_direct_response()->set_status(500);
    base.mutable_direct_response()->mutable_body()->set_inline_string("no backend\n");
    *out->add_routes() = std::move(base);
    return;
  }
  // The address of the application itself, which only interception shows.
  if (in.intercepted &&
      std::any_of(in.rule->backends.begin(), in.rule->backends.end(),
                  [](const model::RouteBackend& one) { return one.sticky && one.weight > 0; }))
    base.mutable_route()->add_hash_policy()->mutable_connection_properties()->set_source_ip(true);
  const absl::Duration per_try = SetTimeouts(*in.rule, port, base.mutable_route());
  if (in.rule->rewrite.has_value()) SetRewrite(*in.rule->rewrite, *in.match, base.mutable_route());
  AddForwarding(port, in, per_try, std::move(base), out);
}

}  // namespace heddle::translate
