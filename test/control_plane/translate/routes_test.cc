#include "control_plane/translate/routes.h"

#include <catch2/catch.hpp>

#include "test/control_plane/translate/snapshots.h"

namespace heddle::translate {
namespace {

// A route in one line: what it matches and what it does.
std::string MatchText(const ::envoy::config::route::v3::RouteMatch& match) {
  std::string out;
  if (match.has_prefix()) out = "prefix " + match.prefix();
  if (match.has_path()) out = "path " + match.path();
  if (match.has_path_separated_prefix()) out = "under " + match.path_separated_prefix();
  if (match.has_safe_regex()) out = "regex " + match.safe_regex().regex();
  for (const auto& one : match.headers())
    out += ", " + one.name() +
           (one.string_match().has_exact() ? " = " + one.string_match().exact()
                                           : " ~ " + one.string_match().safe_regex().regex());
  for (const auto& one : match.query_parameters())
    out += ", ?" + one.name() +
           (one.string_match().has_exact() ? " = " + one.string_match().exact()
                                           : " ~ " + one.string_match().safe_regex().regex());
  return out;
}

std::string ActionText(const Route& route) {
  if (route.has_redirect()) return "redirect " + std::to_string(route.redirect().response_code());
  if (route.has_direct_response())
    return "answer " + std::to_string(route.direct_response().status());
  if (!route.route().has_weighted_clusters()) return "to " + route.route().cluster();
  std::string out = "to";
  for (const auto& one : route.route().weighted_clusters().clusters())
    out += " " + std::to_string(one.weight().value()) + "x" + one.name();
  return out;
}

std::string RouteTexts(const VirtualHost& host) {
  std::string out;
  for (const Route& one : host.routes())
    out += MatchText(one.match()) + " -> " + ActionText(one) + "\n";
  return out;
}

std::string Rules(const std::string& rules, const std::string& ns = "bookshop") {
  return "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r, "
         "namespace: " +
         ns +
         "}\nspec:\n  parentRefs: [{kind: Service, name: reviews, namespace: bookshop}]\n  "
         "rules:\n" +
         rules;
}

VirtualHost Reviews(const std::string& more) {
  return HostOf(*SnapshotOf(more, "catalog-a"), "reviews.bookshop:9080");
}

constexpr char kIdempotent[] = ", :method ~ GET|HEAD|OPTIONS|TRACE|PUT|DELETE";

SCENARIO("a service without routes gets every request, with two ways of retrying") {
  const VirtualHost host = Reviews("");
  REQUIRE(RouteTexts(host) == std::string("prefix /") + kIdempotent +
                                  " -> to reviews.bookshop:9080\n"
                                  "prefix / -> to reviews.bookshop:9080\n");
  const auto& get = host.routes(0).route().retry_policy();
  REQUIRE(get.retry_on() == "connect-failure,refused-stream,reset-before-request,5xx");
  REQUIRE(get.num_retries().value() == 2);
  REQUIRE(get.retry_host_predicate(0).name() == "envoy.retry_host_predicates.previous_hosts");
  REQUIRE(get.host_selection_retry_max_attempts() == 5);
  REQUIRE(get.retry_back_off().base_interval().nanos() == 25000000);
  REQUIRE(get.retry_back_off().max_interval().nanos() == 250000000);
  REQUIRE(host.routes(1).route().retry_policy().retry_on() ==
          "connect-failure,refused-stream,reset-before-request");
  REQUIRE(host.routes(0).route().timeout().seconds() == 15);
  REQUIRE(host.routes(0).route().idle_timeout().seconds() == 300);
}

SCENARIO("gRPC is retried when unavailable and its timeout is the caller's") {
  const VirtualHost host = HostOf(*SnapshotOf("", "web-a"), "stock.bookshop:9090");
  REQUIRE(RouteTexts(host) == "prefix / -> to stock.bookshop:9090\n");
  const auto& action = host.routes(0).route();
  REQUIRE(action.retry_policy().retry_on() ==
          "connect-failure,refused-stream,reset-before-request,unavailable");
  REQUIRE(action.timeout().seconds() == 0);
  REQUIRE(action.has_timeout());
  REQUIRE(action.max_stream_duration().has_grpc_timeout_header_max());
  REQUIRE(action.max_stream_duration().grpc_timeout_header_max().seconds() == 0);
  REQUIRE_FALSE(action.max_stream_duration().has_max_stream_duration());
}

SCENARIO(
    "a request timeout of a gRPC service bounds the caller's, and stands where there is none") {
  const VirtualHost host = HostOf(*SnapshotOf(R"(
apiVersion: heddle.dev/v1
kind: BackendPolicy
metadata: {name: p, namespace: bookshop}
spec: {targetRef: {kind: Service, name: stock}, timeouts: {request: 7s}}
)",
                                              "web-a"),
                                  "stock.bookshop:9090");
  const auto& duration = host.routes(0).route().max_stream_duration();
  REQUIRE(duration.grpc_timeout_header_max().seconds() == 7);
  REQUIRE(duration.max_stream_duration().seconds() == 7);
}

SCENARIO("weights become weighted clusters, without those that have none") {
  const VirtualHost host = Reviews(Rules(R"(
  - backendRefs:
    - {name: reviews-v1, port: 9080, weight: 95}
    - {name: reviews-v2, weight: 5}
    - {name: reviews, weight: 0}
)"));
  REQUIRE(RouteTexts(host) ==
          std::string("prefix /") + kIdempotent +
              " -> to 95xreviews-v1.bookshop:9080 5xreviews-v2.bookshop:9080\n"
              "prefix / -> to 95xreviews-v1.bookshop:9080 5xreviews-v2.bookshop:9080\n");
  // Envoy calls it deprecated.
  REQUIRE_FALSE(host.routes(0).route().weighted_clusters().has_total_weight());
}

SCENARIO("a proxy that may call a service is given the backends of its routes as well") {
  const auto snapshot = SnapshotOf(Rules("  - backendRefs: [{name: reviews-v2}]\n") + R"(
---
apiVersion: heddle.dev/v1
kind: WorkloadPolicy
metadata: {name: p, namespace: bookshop}
spec: {egress: {services: [reviews]}}
)",
                                   "catalog-a");
  REQUIRE(Names(*snapshot, ResourceType::kCluster) ==
          "inbound:9080 reviews-v2.bookshop:9080 reviews.bookshop:9080");
  REQUIRE(
      Get<RouteConfiguration>(*snapshot, ResourceType::kRoutes, "outbound").virtual_hosts_size() ==
      1);
}

SCENARIO("rules are tried in the Gateway API's order, whatever order they are written in") {
  const std::string to = " -> to reviews.bookshop:9080\n";
  const VirtualHost host = Reviews(Rules(R"(
  - matches: [{}]
    backendRefs: [{name: reviews}]
    retry: {}
  - matches: [{path: {value: /a}}, {path: {value: /a/b/}}]
    backendRefs: [{name: reviews}]
    retry: {}
  - matches: [{path: {value: /a}, headers: [{name: X-One, value: "1"}]}]
    backendRefs: [{name: reviews}]
    retry: {}
  - matches: [{path: {value: /a}, queryParams: [{name: q, type: RegularExpression, value: "x+"}]}]
    backendRefs: [{name: reviews}]
    retry: {}
  - matches: [{path: {value: /a}, method: POST}]
    backendRefs: [{name: reviews}]
    retry: {}
  - matches: [{path: {type: RegularExpression, value: "/[0-9]+"}}]
    backendRefs: [{name: reviews}]
    retry: {}
  - matches: [{path: {type: Exact, value: /}}]
    backendRefs: [{name: reviews}]
    retry: {}
)"));
  REQUIRE(RouteTexts(host) == "path /" + to + "regex /[0-9]+" + to + "under /a/b" + to +
                                  "under /a, :method = POST" + to + "under /a, x-one = 1" + to +
                                  "under /a, ?q ~ x+" + to + "under /a" + to + "prefix /" + to);
}

SCENARIO("between equal matches the older route wins, then the first by name") {
  const auto one = [](const std::string& name, const std::string& created, const std::string& to) {
    return "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: " +
           name + ", namespace: bookshop" + created +
           "}\nspec: {parentRefs: [{kind: Service, name: reviews}], "
           "rules: [{retry: {}, backendRefs: [{name: " +
           to + "}]}]}\n";
  };
  const VirtualHost host =
      Reviews(one("c", ", creationTimestamp: \"2024-01-02T00:00:00Z\"", "reviews") +
              one("b", "", "reviews-v2") +
              one("a", ", creationTimestamp: \"2024-01-03T00:00:00Z\"", "reviews-v1"));
  REQUIRE(RouteTexts(host) ==
          "prefix / -> to reviews.bookshop:9080\n"
          "prefix / -> to reviews-v1.bookshop:9080\n"
          "prefix / -> to reviews-v2.bookshop:9080\n");
}

SCENARIO("a caller's own namespace may route a service differently, for itself alone") {
  const std::string more =
      Rules("  - {retry: {}, backendRefs: [{name: reviews-v1}]}\n") + "---\n" +
      Rules("  - {retry: {}, backendRefs: [{name: reviews-v2, namespace: bookshop}]}\n", "other") +
      R"(
---
apiVersion: heddle.dev/v1
kind: Workload
metadata: {name: guest, namespace: other}
spec: {address: 127.0.2.1}
)";
  REQUIRE(RouteTexts(Reviews(more)) == "prefix / -> to reviews-v1.bookshop:9080\n");
  const auto world = WorldOf(more);
  Translator translator;
  const auto guest = translator.Translate(*world, *MakeProxyView(*world, {"other", "guest"}, {}));
  REQUIRE(RouteTexts(HostOf(*guest, "reviews.bookshop:9080")) ==
          "prefix / -> to reviews-v2.bookshop:9080\n");
}

SCENARIO("a method decides which way of retrying there is") {
  const VirtualHost host = Reviews(Rules(R"(
  - {matches: [{method: GET}], backendRefs: [{name: reviews}]}
  - {matches: [{method: POST}], backendRefs: [{name: reviews}]}
)"));
  REQUIRE(host.routes_size() == 2);
  REQUIRE(host.routes(0).route().retry_policy().retry_on() ==
          "connect-failure,refused-stream,reset-before-request,5xx");
  REQUIRE(host.routes(1).route().retry_policy().retry_on() ==
          "connect-failure,refused-stream,reset-before-request");
}

std::string Policy(const std::string& text) {
  return "apiVersion: heddle.dev/v1\nkind: BackendPolicy\nmetadata: {name: p, namespace: "
         "bookshop}\nspec: "
         "{targetRef: {kind: Service, name: reviews}, " +
         text + "}\n";
}

SCENARIO("retries follow the backend policy") {
  const VirtualHost host = Reviews(Policy(
      "retries: {attempts: 4, on: [reset, '503', gateway-error, '429'], sameForAllMethods: true, "
      "perTryTimeout: 250ms, backoff: 5ms}, timeouts: {request: 3s, idle: 0s}"));
  REQUIRE(host.routes_size() == 1);
  const auto& action = host.routes(0).route();
  REQUIRE(action.timeout().seconds() == 3);
  REQUIRE(action.has_idle_timeout());
  REQUIRE(action.idle_timeout().seconds() == 0);
  const auto& retry = action.retry_policy();
  REQUIRE(retry.retry_on() == "reset,gateway-error,retriable-status-codes");
  REQUIRE(retry.retriable_status_codes_size() == 2);
  REQUIRE(retry.retriable_status_codes(0) == 503);
  REQUIRE(retry.num_retries().value() == 4);
  REQUIRE(retry.per_try_timeout().nanos() == 250000000);
  REQUIRE(retry.retry_back_off().base_interval().nanos() == 5000000);
  REQUIRE(retry.retry_back_off().max_interval().nanos() == 50000000);

  const VirtualHost none = Reviews(Policy("retries: {attempts: 0, perTryTimeout: 2s}"));
  REQUIRE(none.routes_size() == 1);
  REQUIRE_FALSE(none.routes(0).route().has_retry_policy());
  REQUIRE(none.routes(0).route().timeout().seconds() == 2);  // the one attempt is the whole request
}

SCENARIO("a route's own timeouts and retries beat the backend policy's") {
  const VirtualHost host =
      Reviews(Policy("timeouts: {request: 3s}, retries: {attempts: 0}") + "---\n" +
              Rules("  - {timeouts: {request: 9s, backendRequest: 2s}, retry: {codes: "
                    "[500], attempts: 3, backoff: 1s}, backendRefs: [{name: reviews}]}\n"));
  const auto& action = host.routes(0).route();
  REQUIRE(action.timeout().seconds() == 9);
  const auto& retry = action.retry_policy();
  REQUIRE(retry.retry_on() ==
          "connect-failure,refused-stream,reset-before-request,retriable-status-codes");
  REQUIRE(retry.retriable_status_codes(0) == 500);
  REQUIRE(retry.num_retries().value() == 3);
  REQUIRE(retry.per_try_timeout().seconds() == 2);
  REQUIRE(retry.retry_back_off().base_interval().seconds() == 1);
}

SCENARIO(
    "header changes are made on the route or on one backend, and a percent sign is only that") {
  const VirtualHost host = Reviews(Rules(R"(
  - retry: {}
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier:
        {set: [{name: X-A, value: 100%}], add: [{name: X-B, value: b}], remove: [X-C]}
    - type: ResponseHeaderModifier
      responseHeaderModifier: {set: [{name: Server, value: s}]}
    backendRefs:
    - name: reviews
      filters:
      - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-D, value: d}]}}
)"));
  using Option = ::envoy::config::core::v3::HeaderValueOption;
  const Route& route = host.routes(0);
  REQUIRE(route.request_headers_to_add(0).header().key() == "x-a");
  REQUIRE(route.request_headers_to_add(0).header().value() == "100%%");
  REQUIRE(route.request_headers_to_add(0).append_action() == Option::OVERWRITE_IF_EXISTS_OR_ADD);
  REQUIRE(route.request_headers_to_add(1).append_action() == Option::APPEND_IF_EXISTS_OR_ADD);
  REQUIRE(route.request_headers_to_remove(0) == "x-c");
  REQUIRE(route.response_headers_to_add(0).header().key() == "server");
  REQUIRE(route.route().weighted_clusters().clusters(0).request_headers_to_add(0).header().key() ==
          "x-d");
}

SCENARIO("redirects say what changes") {
  const VirtualHost host = Reviews(Rules(R"(
  - matches: [{path: {value: /old}}]
    filters:
    - type: RequestRedirect
      requestRedirect:
        {scheme: https, hostname: example.org, port: 8443, statusCode: 308,
         path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}}
  - matches: [{path: {type: Exact, value: /x}}]
    filters:
    - type: RequestRedirect
      requestRedirect: {path: {type: ReplaceFullPath, replaceFullPath: /y}}
)"));
  const auto& exact = host.routes(0).redirect();
  REQUIRE(exact.path_redirect() == "/y");
  REQUIRE(exact.response_code() == ::envoy::config::route::v3::RedirectAction::FOUND);
  const auto& redirect = host.routes(1).redirect();
  REQUIRE(redirect.scheme_redirect() == "https");
  REQUIRE(redirect.host_redirect() == "example.org");
  REQUIRE(redirect.port_redirect() == 8443);
  REQUIRE(redirect.prefix_rewrite() == "/new");
  REQUIRE(redirect.response_code() ==
          ::envoy::config::route::v3::RedirectAction::PERMANENT_REDIRECT);
}

SCENARIO("path rewrites end up where the Gateway API says") {
  struct Case {
    const char* match;
    const char* to;
    const char* prefix;
    const char* pattern;
    const char* substitution;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"/a", "/b", "/b", "", ""},
           {"/a", "/", "", "^\\/a/?", "/"},
           {"/", "/b", "/b/", "", ""},
       }) {
    CAPTURE(c.match, c.to);
    model::RouteMatch match;
    match.path = c.match;
    model::PathChange change;
    change.prefix = c.to;
    const PathRewrite rewrite = RewriteOf(change, match).value_or(PathRewrite());
    REQUIRE(rewrite.prefix == c.prefix);
    REQUIRE(rewrite.pattern == c.pattern);
    REQUIRE(rewrite.substitution == c.substitution);
  }
  model::PathChange same;
  same.prefix = "/a";
  model::RouteMatch match;
  match.path = "/a";
  REQUIRE_FALSE(RewriteOf(same, match).has_value());
  model::PathChange full;
  full.full = "/x\\1";
  REQUIRE(RewriteOf(full, match).value_or(PathRewrite()).substitution == "/x\\\\1");
}

SCENARIO("a rule without a backend answers 500") {
  REQUIRE(RouteTexts(Reviews(Rules("  - matches: [{path: {value: /x}}]\n"))) ==
          "under /x -> answer 500\n");
  REQUIRE(RouteTexts(Reviews(Rules("  - backendRefs: [{name: reviews, weight: 0}]\n"))) ==
          "prefix / -> answer 500\n");
}

SCENARIO("a service has its names, short ones in its own namespace only") {
  const auto domains = [](const VirtualHost& host) {
    std::string out;
    for (const std::string& one : host.domains()) out += one + " ";
    return out;
  };
  REQUIRE(domains(Reviews("")) ==
          "reviews reviews:9080 reviews.bookshop reviews.bookshop:9080 reviews.bookshop.svc "
          "reviews.bookshop.svc:9080 reviews.bookshop.svc.cluster.local "
          "reviews.bookshop.svc.cluster.local:9080 ");
  const auto world = WorldOf(R"(
apiVersion: heddle.dev/v1
kind: Workload
metadata: {name: guest, namespace: other}
spec: {address: 127.0.2.1}
)");
  Translator translator;
  const auto guest = translator.Translate(*world, *MakeProxyView(*world, {"other", "guest"}, {}));
  REQUIRE(domains(HostOf(*guest, "stock.bookshop:9090")) ==
          "stock.bookshop stock.bookshop:9090 stock.bookshop.svc stock.bookshop.svc:9090 "
          "stock.bookshop.svc.cluster.local stock.bookshop.svc.cluster.local:9090 10.96.0.7 "
          "10.96.0.7:9090 ");
}

SCENARIO("of several HTTP ports the one meant without a port is 80, else the first") {
  const auto snapshot = SnapshotOf(R"(
apiVersion: v1
kind: Service
metadata: {name: many, namespace: bookshop}
spec:
  selector: {app: web}
  ports: [{name: http-a, port: 8080, targetPort: 9000}, {name: http-b, port: 80, targetPort: 9000}]
)",
                                   "web-a");
  REQUIRE(HostOf(*snapshot, "many.bookshop:80").domains(0) == "many");
  REQUIRE(HostOf(*snapshot, "many.bookshop:8080").domains(0) == "many:8080");
}

SCENARIO("with interception there is a table for each port, and one answer for unlisted hosts") {
  const auto allow = SnapshotOf("", "web-a", true);
  REQUIRE(Names(*allow, ResourceType::kRoutes) == "outbound_9000 outbound_9080 outbound_9090");
  REQUIRE(RouteTexts(HostOf(*allow, "allow_any", "outbound_9080")) ==
          "prefix / -> to passthrough\n");
  const auto deny = SnapshotOf(R"(
apiVersion: heddle.dev/v1
kind: WorkloadPolicy
metadata: {name: p, namespace: bookshop}
spec: {egress: {services: [catalog], unlisted: DENY}}
)",
                               "web-a", true);
  REQUIRE(Names(*deny, ResourceType::kRoutes) == "outbound_9080");
  REQUIRE(RouteTexts(HostOf(*deny, "block_all", "outbound_9080")) == "prefix / -> answer 502\n");
}

}  // namespace
}  // namespace heddle::translate
