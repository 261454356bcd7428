#include "control_plane/heddlectl/explain.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "control_plane/heddlectl/match.h"
#include "control_plane/translate/rbac.h"
#include "control_plane/translate/translate.h"
#include "envoy/config/rbac/v3/rbac.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "source/base/status.h"

namespace heddle::heddlectl {
namespace {

namespace route = envoy::config::route::v3;
namespace rbac = envoy::config::rbac::v3;
using model::AuthorizationPolicy;

struct Target {
  bool tcp = false;
  std::string authority, host, path = "/";
  uint16_t port = 0;  // 0: not given
};

absl::StatusOr<Target> ParseTarget(const std::string& text) {
  Target out;
  absl::string_view rest = text;
  out.tcp = absl::ConsumePrefix(&rest, "tcp://");
  if (!out.tcp)
    (void)(absl::ConsumePrefix(&rest, "http://") || absl::ConsumePrefix(&rest, "grpc://"));
  if (absl::StrContains(rest, "://"))
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\": want http://, grpc:// or tcp://, or no scheme"));
  const size_t slash = rest.find('/');
  if (slash != absl::string_view::npos) out.path = std::string(rest.substr(slash));
  out.authority = std::string(rest.substr(0, slash));
  out.host = out.authority;
  const size_t colon = out.authority.rfind(':');
  uint32_t port = 0;
  if (colon != std::string::npos && out.authority.back() != ']') {
    if (!absl::SimpleAtoi(out.authority.substr(colon + 1), &port) || port == 0 || port > 65535)
      return absl::InvalidArgumentError(
          absl::StrCat("\"", text, "\": the port is not a number from 1 to 65535"));
    out.host = out.authority.substr(0, colon);
  }
  out.port = static_cast<uint16_t>(port);
  if (out.host.empty()) return absl::InvalidArgumentError(absl::StrCat("\"", text, "\": no host"));
  if (out.tcp && out.port == 0)
    return absl::InvalidArgumentError(absl::StrCat("\"", text, "\": TCP wants a port"));
  return out;
}

std::string SpiffeOf(const model::World& world, const model::Workload& workload) {
  return absl::StrCat("spiffe://", world.mesh.trust_domain, "/ns/", workload.key.ns, "/sa/",
                      workload.service_account);
}

class Explanation {
 public:
  Explanation(const model::World& world, const Question& question, const model::Workload& from,
              Target target)
      : world_(world), question_(question), from_(from), target_(std::move(target)) {}

  absl::StatusOr<std::string> Run() {
    HEDDLE_ASSIGN_OR_RETURN(
        const translate::ProxyView view,
        translate::MakeProxyView(world_, from_.key, {.intercept = question_.intercept}));
    translate::Translator translator;
    snapshot_ = translator.Translate(world_, view);
    Line("request", absl::StrCat(target_.tcp ? "TCP" : question_.method, " ", question_.target));
    Line("from", absl::StrCat("Workload ", from_.key.ToString(), ", ", SpiffeOf(world_, from_)));
    if (target_.tcp)
      ExplainTcp();
    else
      ExplainHttp();
    for (const std::string& notice : snapshot_->notices) Line("notice", notice);
    return std::move(out_);
  }

 private:
  void Line(absl::string_view label, absl::string_view text) {
    absl::StrAppendFormat(&out_, "%-10s %s\n", label, text);
  }

  std::string RouteConfigurationName() const {
    if (!question_.intercept) return "outbound";
    return absl::StrCat("outbound_", target_.port == 0 ? 80 : target_.port);
  }

  void ExplainHttp() {
    const translate::ResourceRef resource =
        snapshot_->Find(translate::ResourceType::kRoutes, RouteConfigurationName());
    route::RouteConfiguration routes;
    if (resource == nullptr || !routes.ParseFromString(resource->body)) {
      Line("routes",
           absl::StrCat(
               "the proxy has no route configuration ", RouteConfigurationName(),
               question_.intercept ? ": no service that it may call has this HTTP port" : ""));
      return;
    }
    std::string domain;
    const route::VirtualHost* host = FindVirtualHost(routes, target_.authority, &domain);
    if (host == nullptr) {
      Line("host",
           absl::StrCat("\"", target_.authority,
                        "\" is none of the hosts this workload may call: 404. It may call: ",
                        absl::StrJoin(KnownHosts(routes), ", ")));
      return;
    }
    Line("host", absl::StrCat(host->name(), " (by \"", domain, "\")"));
    ImaginedRequest request{.authority = target_.authority,
                            .path = target_.path,
                            .method = question_.method,
                            .headers = question_.headers,
                            .principal = "",
                            .source_ip = "",
                            .destination_port = 0};
    for (int i = 0; i < host->routes_size(); ++i) {
      if (!Matches(host->routes(i).match(), request)) continue;
      ExplainRoute(*host, i);
      return;
    }
    Line("route", absl::StrCat("none of its ", host->routes_size(), " routes matches: 404"));
  }

  static std::vector<std::string> KnownHosts(const route::RouteConfiguration& routes) {
    std::vector<std::string> out;
    for (const route::VirtualHost& host : routes.virtual_hosts())
      if (host.domains_size() > 0) out.push_back(host.domains(0));
    return out;
  }

  static std::string MatchText(const route::RouteMatch& match) {
    std::string out;
    if (match.has_prefix())
      out = absl::StrCat("prefix ", match.prefix());
    else if (match.has_path())
      out = absl::StrCat("path ", match.path());
    else if (match.has_path_separated_prefix())
      out = absl::StrCat("prefix ", match.path_separated_prefix());
    else if (match.has_safe_regex())
      out = absl::StrCat("regex ", match.safe_regex().regex());
    for (const auto& header : match.headers()) absl::StrAppend(&out, ", header ", header.name());
    for (const auto& query : match.query_parameters())
      absl::StrAppend(&out, ", query ", query.name());
    return out;
  }

  static std::string Seconds(const google::protobuf::Duration& duration) {
    const double seconds =
        static_cast<double>(duration.seconds()) + static_cast<double>(duration.nanos()) / 1e9;
    return seconds == 0 ? "none" : absl::StrFormat("%g s", seconds);
  }

  void ExplainRoute(const route::VirtualHost& host, int index) {
    const route::Route& one = host.routes(index);
    Line("route", absl::StrFormat("%d of %d: %s (%s)", index + 1, host.routes_size(), one.name(),
                                  MatchText(one.match())));
    if (one.has_redirect()) {
      Line("answer", "a redirect, made by the caller's own proxy");
      return;
    }
    if (one.has_direct_response()) {
      Line("answer",
           absl::StrCat(one.direct_response().status(), " by the caller's own proxy: ",
                        absl::StripSuffix(one.direct_response().body().inline_string(), "\n")));
      return;
    }
    const route::RouteAction& action = one.route();
    Line("timeout", Seconds(action.timeout()));
    if (action.has_retry_policy()) {
      const route::RetryPolicy& retry = action.retry_policy();
      std::string text = absl::StrCat(retry.has_num_retries() ? retry.num_retries().value() : 1,
                                      " on ", retry.retry_on());
      if (retry.retriable_status_codes_size() > 0)
        absl::StrAppend(&text, " (", absl::StrJoin(retry.retriable_status_codes(), ", "), ")");
      if (retry.has_per_try_timeout())
        absl::StrAppend(&text, ", each try ", Seconds(retry.per_try_timeout()));
      Line("retries", text);
    } else {
      Line("retries", "none");
    }
    if (!action.prefix_rewrite().empty())
      Line("rewrite", absl::StrCat("prefix to ", action.prefix_rewrite()));
    if (action.has_regex_rewrite())
      Line("rewrite", absl::StrCat("path to ", action.regex_rewrite().substitution()));
    if (!action.host_rewrite_literal().empty())
      Line("rewrite", absl::StrCat("host to ", action.host_rewrite_literal()));
    if (!action.cluster().empty()) {
      ExplainCluster(action.cluster(), "");
      return;
    }
    uint64_t total = 0;
    for (const auto& cluster : action.weighted_clusters().clusters())
      total += cluster.weight().value();
    for (const auto& cluster : action.weighted_clusters().clusters())
      ExplainCluster(
          cluster.name(),
          absl::StrFormat("%.4g %% to ",
                          total == 0 ? 0.0
                                     : 100.0 * static_cast<double>(cluster.weight().value()) /
                                           static_cast<double>(total)));
  }

  void ExplainTcp() {
    // "name", "name.namespace" and the longer forms.
    std::vector<std::string> parts = absl::StrSplit(target_.host, '.');
    const model::Key key{.ns = parts.size() > 1 ? parts[1] : from_.key.ns, .name = parts[0]};
    const model::Service* service = world_.FindService(key);
    if (service == nullptr) {
      Line("service", absl::StrCat("there is no Service ", key.ToString()));
      return;
    }
    const bool reached = std::find(from_.egress->services.begin(), from_.egress->services.end(),
                                   key) != from_.egress->services.end();
    if (!reached) {
      Line("service",
           absl::StrCat(key.ToString(), " is not in the egress of this workload's WorkloadPolicy"));
      return;
    }
    if (service->FindPort(target_.port) == nullptr) {
      Line("service", absl::StrCat(key.ToString(), " has no port ", target_.port));
      return;
    }
    Line("service", key.ToString());
    ExplainCluster(model::ClusterName(key, target_.port), "");
  }

  // A cluster's name back to the port of the service it is made of; null for others (passthrough).
  const model::ServicePort* PortOf(const std::string& cluster) const {
    for (const auto& [key, service] : world_.services)
      for (const model::ServicePort& port : service.ports)
        if (model::ClusterName(key, port.port) == cluster) return &port;
    return nullptr;
  }

  void ExplainCluster(const std::string& name, absl::string_view share) {
    Line("cluster", absl::StrCat(share, name));
    if (snapshot_->Find(translate::ResourceType::kCluster, name) == nullptr) {
      Line("", "which the proxy does not have: 503");
      return;
    }
    const model::ServicePort* port = PortOf(name);
    if (port == nullptr) return;
    const model::BackendSettings& backend = port->backend;
    Line("", absl::StrFormat(
                 "%s; connect within %s; at most %d connections, %d requests, %d waiting",
                 BalancingName(backend.balancing), absl::FormatDuration(backend.connect_timeout),
                 backend.max_connections, backend.max_requests, backend.max_pending_requests));
    if (backend.outlier.enabled)
      Line("", absl::StrFormat(
                   "an endpoint is ejected after %d consecutive 5xx, for %s, at most %d %% of them",
                   backend.outlier.consecutive_5xx,
                   absl::FormatDuration(backend.outlier.base_ejection_time),
                   backend.outlier.max_ejection_percent));
    if (port->endpoints.empty()) Line("", "no endpoints: 503");
    for (const model::Endpoint& endpoint : port->endpoints) ExplainEndpoint(*port, endpoint);
  }

  static absl::string_view BalancingName(model::Balancing balancing) {
    switch (balancing) {
      case model::Balancing::kRoundRobin:
        return "round robin";
      case model::Balancing::kLeastRequest:
        return "least request";
      case model::Balancing::kRandom:
        return "random";
    }
    return "";
  }

  void ExplainEndpoint(const model::ServicePort& port, const model::Endpoint& endpoint) {
    std::string text =
        absl::StrFormat("%s:%d %s, %s", endpoint.address, endpoint.port,
                        endpoint.workload.ToString(), endpoint.mtls ? "mutual TLS" : "plain text");
    if (endpoint.weight != 1) absl::StrAppend(&text, ", weight ", endpoint.weight);
    const model::Workload* to = world_.FindWorkload(endpoint.workload);
    if (to != nullptr && to->sidecar)
      absl::StrAppend(&text, ": ", Verdict(*to, endpoint, model::IsHttp(port.protocol)));
    Line("  endpoint", text);
  }

  std::string Verdict(const model::Workload& to, const model::Endpoint& endpoint, bool http) const {
    const ImaginedRequest request{.authority = target_.authority,
                                  .path = target_.path,
                                  .method = question_.method,
                                  .headers = question_.headers,
                                  .principal = endpoint.mtls ? SpiffeOf(world_, from_) : "",
                                  .source_ip = from_.address,
                                  .destination_port = endpoint.port};
    const translate::Policies policies = translate::PoliciesFor(world_, to.key.ns, to.labels);
    const translate::Layer layer = http ? translate::Layer::kHttp : translate::Layer::kTcp;
    const auto matching = [&](AuthorizationPolicy::Action action) -> std::string {
      const rbac::RBAC rules = translate::RulesOf(world_.mesh, policies, action, layer);
      std::vector<std::string> names;
      for (const auto& [name, policy] : rules.policies())
        if (Matches(policy, request)) names.push_back(name);
      std::sort(names.begin(), names.end());
      return names.empty() ? "" : names.front();
    };
    if (const std::string denied = matching(AuthorizationPolicy::Action::kDeny); !denied.empty())
      return absl::StrCat("REFUSED by ", denied);
    std::vector<std::string> allowing;
    for (const AuthorizationPolicy* policy : policies)
      if (policy->action == AuthorizationPolicy::Action::kAllow)
        allowing.push_back(policy->key.ToString());
    if (allowing.empty()) return "allowed (no ALLOW policy selects it)";
    if (const std::string allowed = matching(AuthorizationPolicy::Action::kAllow); !allowed.empty())
      return absl::StrCat("allowed by ", allowed);
    return absl::StrCat("REFUSED: no rule of ", absl::StrJoin(allowing, ", "), " matches");
  }

  const model::World& world_;
  const Question& question_;
  const model::Workload& from_;
  const Target target_;
  std::shared_ptr<const translate::Snapshot> snapshot_;
  std::string out_;
};

}  // namespace

absl::StatusOr<std::string> Explain(const model::World& world, const Question& question) {
  const model::Workload* from = world.FindWorkload(question.from);
  if (from == nullptr) {
    std::vector<std::string> known;
    known.reserve(world.workloads.size());
    for (const auto& [key, workload] : world.workloads) known.push_back(key.ToString());
    return absl::NotFoundError(absl::StrCat("no Workload ", question.from.ToString(),
                                            "; there are: ", absl::StrJoin(known, ", ")));
  }
  HEDDLE_ASSIGN_OR_RETURN(Target target, ParseTarget(question.target));
  return Explanation(world, question, *from, std::move(target)).Run();
}

}  // namespace heddle::heddlectl
