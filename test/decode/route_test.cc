// Route tables: what is taken, and what each bad value says.
#include <catch2/catch.hpp>

#include "test/decode/decode_helper.h"

namespace heddle::test {
namespace {

const std::string kTo = "route: {cluster: c}";

std::string Host(const std::string& text) {
  return "name: r\nvirtual_hosts: [{name: v, domains: ['*'], " + text + "}]";
}
std::string Route(const std::string& text) { return Host("routes: [{" + text + "}]"); }
std::string Match(const std::string& text) { return Route("match: {" + text + "}, " + kTo); }
std::string Action(const std::string& text) {
  return Route("match: {prefix: /}, route: {cluster: c, " + text + "}");
}

constexpr char kAt[] = "virtual_hosts[0].routes[0]";

TEST_CASE("a full table is read") {
  const config::RouteConfiguration r = GoodRoutes(R"yaml(
name: outbound
ignore_port_in_host_matching: true
most_specific_header_mutations_wins: true
request_headers_to_add: [{header: {key: X-A, value: "%REQ(x-b)%"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]
response_headers_to_remove: [Server]
virtual_hosts:
- name: reviews
  domains: [Reviews, "*.Reviews.local", "reviews.*"]
  require_tls: EXTERNAL_ONLY
  include_request_attempt_count: true
  retry_policy: {retry_on: "5xx, connect-failure", num_retries: 3}
  typed_per_filter_config:
    fault: {"@type": t/envoy.extensions.filters.http.fault.v3.HTTPFault}
  routes:
  - name: canary
    match:
      path_separated_prefix: /API
      case_sensitive: false
      headers:
      - {name: X-User, string_match: {exact: Bob, ignore_case: true}}
      - {name: n, range_match: {start: 1, end: 5}, invert_match: true}
      - {name: gone, present_match: false}
      query_parameters: [{name: q, string_match: {prefix: a}}, {name: p}]
      runtime_fraction: {default_value: {numerator: 5, denominator: TEN_THOUSAND}, runtime_key: k}
      grpc: {}
    route:
      weighted_clusters: {clusters: [{name: v1, weight: 95}, {name: v2, weight: 5}]}
      timeout: 3s
      idle_timeout: 0s
      prefix_rewrite: /new
      host_rewrite_header: X-Host
      append_x_forwarded_host: true
      priority: HIGH
      retry_policy:
        retry_on: gateway-error,retriable-status-codes,unavailable
        per_try_timeout: 0.5s
        retriable_status_codes: [503]
        retry_back_off: {base_interval: 0.1s}
        retry_host_predicate:
        - name: envoy.retry_host_predicates.previous_hosts
          typed_config: {"@type": t/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate}
        host_selection_retry_max_attempts: 5
      max_stream_duration: {max_stream_duration: 9s, grpc_timeout_header_max: 0s}
      hash_policy: [{header: {header_name: X-H}, terminal: true}, {cookie: {name: s, ttl: 0s, path: /}}]
      request_mirror_policies: [{cluster: m, runtime_fraction: {default_value: {numerator: 1}}}]
      upgrade_configs: [{upgrade_type: WebSocket}, {upgrade_type: CONNECT, connect_config: {}}]
    decorator: {operation: op}
    tracing: {random_sampling: {numerator: 10}}
    metadata: {filter_metadata: {a: {b: c}}}
  - match: {safe_regex: {regex: "/x/(.*)"}}
    route:
      cluster_header: X-To
      cluster_not_found_response_code: NOT_FOUND
      regex_rewrite: {pattern: {regex: "^/x"}, substitution: '\0y'}
  - match: {path: /r}
    redirect: {https_redirect: true, host_redirect: h, port_redirect: 8443, response_code: FOUND, strip_query: true}
  - match: {prefix: ""}
    direct_response: {status: 404, body: {inline_string: none}}
)yaml");
  CHECK(r.name == "outbound");
  CHECK(r.ignore_port_in_host);
  CHECK(r.most_specific_header_mutations_wins);
  CHECK(r.request.add.at(0).name == "x-a");
  CHECK(r.request.add.at(0).action == config::HeaderOption::Action::kOverwriteOrAdd);
  CHECK(r.response.remove.at(0) == "server");
  const config::VirtualHost& host = r.virtual_hosts.at(0);
  CHECK(host.domains == std::vector<std::string>{"reviews", "*.reviews.local", "reviews.*"});
  CHECK(host.require_tls == config::VirtualHost::Tls::kExternalOnly);
  CHECK(host.include_attempt_count_request);
  CHECK(host.filters.contains("fault"));
  REQUIRE(host.routes.size() == 4);

  const config::Route& canary = host.routes[0];
  CHECK(canary.match.kind == config::RouteMatch::Kind::kSeparatedPrefix);
  CHECK(canary.match.text == "/api");
  CHECK(canary.match.headers.at(0).string.text == "bob");
  CHECK(canary.match.headers.at(0).name == "x-user");
  CHECK(canary.match.headers.at(1).range_end == 5);
  CHECK(canary.match.headers.at(1).invert);
  CHECK_FALSE(canary.match.headers.at(2).present);
  CHECK(canary.match.query.at(0).string->text == "a");
  CHECK_FALSE(canary.match.query.at(1).string.has_value());
  CHECK(canary.match.runtime_fraction->denominator == 10000);
  CHECK(canary.match.grpc_only);
  const config::RouteAction& to = canary.forward;
  CHECK(to.total_weight == 100);
  CHECK(to.weighted.at(1).name == "v2");
  CHECK(to.timeout == absl::Seconds(3));
  CHECK(to.idle_timeout == absl::ZeroDuration());
  CHECK(to.max_stream_duration == absl::Seconds(9));
  CHECK(to.max_grpc_timeout == absl::ZeroDuration());
  CHECK(to.host_rewrite_header == "x-host");
  CHECK(to.high_priority);
  CHECK(to.retry->on ==
        (config::RetryPolicy::kGatewayError | config::RetryPolicy::kRetriableStatusCodes |
         config::RetryPolicy::kGrpcUnavailable));
  CHECK(to.retry->backoff_max == absl::Seconds(1));
  CHECK(to.retry->previous_hosts);
  CHECK(to.retry->host_selection_attempts == 5);
  CHECK(to.hash.at(0).terminal);
  CHECK(to.hash.at(1).cookie_generate);
  CHECK(to.mirrors.at(0).fraction.numerator == 1);
  CHECK(to.upgrades.at("websocket"));
  CHECK(to.connect_terminate);
  CHECK(canary.decorator == "op");
  CHECK(canary.trace_sampling->numerator == 10);
  CHECK(canary.metadata.at("a").at("b") == "c");

  // Of the virtual host, because the route has none of its own.
  CHECK(host.routes[1].forward.retry->on ==
        (config::RetryPolicy::k5xx | config::RetryPolicy::kConnectFailure));
  CHECK(host.routes[1].forward.cluster_header == "x-to");
  CHECK(host.routes[1].forward.cluster_not_found_status == 404);
  CHECK(host.routes[2].redirect.status == 302);
  CHECK(host.routes[2].redirect.port == 8443);
  CHECK(host.routes[3].direct.body == "none");
}

TEST_CASE("bad values of a table are named") {
  const std::string at = kAt;
  const std::string to = at + ".route";
  const Case cases[] = {
      {"virtual_hosts: [{domains: ['*']}]", "virtual_hosts[0].name: required"},
      {"virtual_hosts: [{name: a}]", "virtual_hosts[0].domains: found none, allowed 1 or more"},
      {"virtual_hosts: [{name: a, domains: ['']}]",
       "virtual_hosts[0].domains[0]: found \"\", allowed a host name, \"*\", or one with \"*\" at "
       "one end"},
      {"virtual_hosts: [{name: a, domains: ['a*b']}]",
       "virtual_hosts[0].domains[0]: found \"a*b\", allowed a host name, \"*\", or one with \"*\" "
       "at one end"},
      {"virtual_hosts: [{name: a, domains: [x]}, {name: a, domains: [y]}]",
       "virtual_hosts[1].name: duplicate \"a\""},
      {"virtual_hosts: [{name: a, domains: [x]}, {name: b, domains: [X]}]",
       "virtual_hosts[1].domains: \"x\" is in virtual host \"a\" already"},
      {"max_direct_response_body_size_bytes: 1\nvirtual_hosts: [{name: a, domains: [x], routes: "
       "[{match: {prefix: /}, "
       "direct_response: {status: 200, body: {inline_string: ab}}}]}]",
       at +
           ".direct_response.body: found 2 bytes, allowed 1 (max_direct_response_body_size_bytes)"},
      {"request_headers_to_add: [{}]", "request_headers_to_add[0].header: required"},
      {"request_headers_to_add: [{header: {key: 'a b'}}]",
       "request_headers_to_add[0].header.key: found \"a b\", allowed a header name other than "
       "host"},
      {"request_headers_to_add: [{header: {key: Host}}]",
       "request_headers_to_add[0].header.key: found \"Host\", allowed a header name other than "
       "host"},
      {"request_headers_to_add: [{header: {key: a, value: \"x\\ny\"}}]",
       "request_headers_to_add[0].header.value: holds CR, LF or NUL"},
      {"request_headers_to_add: [{header: {key: a}, append: true, append_action: ADD_IF_ABSENT}]",
       "request_headers_to_add[0].append: only one of append and append_action"},
      {"response_headers_to_remove: [':status']",
       "response_headers_to_remove[0]: found \":status\", allowed a header name other than host"},
      {"typed_per_filter_config: {a: {\"@type\": t/google.protobuf.Duration}}",
       "typed_per_filter_config[\"a\"]: found type \"google.protobuf.Duration\", which no filter "
       "takes on a route"},
      {"typed_per_filter_config: {a: {\"@type\": t/envoy.config.route.v3.FilterConfig, disabled: "
       "true}}",
       "typed_per_filter_config[\"a\"].disabled: found true, allowed false"},
      {Route(kTo), at + ".match: required"},
      {Route("match: {prefix: /}"), at + ": found nothing to do, allowed one of route, redirect, "
                                         "direct_response, non_forwarding_action"},
      {Match(""), at + ".match: found nothing, allowed one of prefix, path, path_separated_prefix, "
                       "safe_regex, connect_matcher"},
      {Match("prefix: a"),
       at + ".match.prefix: found \"a\", allowed a path that begins with \"/\""},
      {Match("path: '/a?b'"),
       at + ".match.path: found \"/a?b\", allowed a path without query and fragment"},
      {Match("path_separated_prefix: /a/"), at + ".match.path_separated_prefix: found \"/a/\", "
                                                 "allowed a path that does not end in \"/\""},
      {Match("safe_regex: {regex: '('}"),
       at + ".match.safe_regex.regex: not a regular expression: missing ): ("},
      {Match("safe_regex: {regex: '((a{100}){100}){100}'}"),
       at + ".match.safe_regex.regex: not a regular expression: invalid repetition size: {100}"},
      {Match("safe_regex: {}"), at + ".match.safe_regex.regex: must not be empty"},
      {Match("prefix: /, headers: [{}]"),
       at + ".match.headers[0].name: found \"\", allowed a header name"},
      {Match("prefix: /, headers: [{name: ':status'}]"),
       at + ".match.headers[0].name: found \":status\", allowed a header name"},
      {Match("prefix: /, headers: [{name: a, string_match: {}}]"),
       at + ".match.headers[0].string_match: found nothing, allowed one of exact, prefix, suffix, "
            "safe_regex, contains"},
      {Match("prefix: /, headers: [{name: a, string_match: {suffix: ''}}]"),
       at + ".match.headers[0].string_match.suffix: must not be empty"},
      {Match("prefix: /, headers: [{name: a, contains_match: ''}]"),
       at + ".match.headers[0].contains_match: must not be empty"},
      {Match("prefix: /, headers: [{name: a, range_match: {start: 2, end: 2}}]"),
       at + ".match.headers[0].range_match: found [2, 2), allowed a range that is not empty"},
      {Match("prefix: /, query_parameters: [{}]"),
       at + ".match.query_parameters[0].name: found 0 bytes, allowed 1 to 1024"},
      {Match("prefix: /, query_parameters: [{name: a, present_match: false}]"),
       at + ".match.query_parameters[0].present_match: found false, allowed true"},
      {Route("match: {prefix: /}, route: {}"),
       to + ": found nothing, allowed one of cluster, cluster_header, weighted_clusters"},
      {Route("match: {prefix: /}, route: {cluster: ''}"), to + ".cluster: must not be empty"},
      {Route("match: {prefix: /}, route: {cluster_header: 'a b'}"),
       to + ".cluster_header: found \"a b\", allowed a header name"},
      {Route("match: {prefix: /}, route: {weighted_clusters: {}}"),
       to + ".weighted_clusters.clusters: found none, allowed 1 or more"},
      {Route("match: {prefix: /}, route: {weighted_clusters: {clusters: [{weight: 1}]}}"),
       to + ".weighted_clusters.clusters[0].name: required"},
      {Route("match: {prefix: /}, route: {weighted_clusters: {clusters: [{name: a}]}}"),
       to + ".weighted_clusters.clusters: weights sum to 0, allowed 1 to 4294967295"},
      {Action("prefix_rewrite: /a, regex_rewrite: {pattern: {regex: a}}"),
       to + ".regex_rewrite: only one of prefix_rewrite and regex_rewrite"},
      {Action("regex_rewrite: {}"), to + ".regex_rewrite.pattern: required"},
      {Action("host_rewrite_literal: \"a\\nb\""),
       to + ".host_rewrite_literal: holds CR, LF or NUL"},
      {Action("host_rewrite_header: ''"),
       to + ".host_rewrite_header: found \"\", allowed a header name"},
      {Action("timeout: -1s"), to + ".timeout: found \"-1s\", allowed \"0s\" or more"},
      {Action("idle_timeout: -1s"), to + ".idle_timeout: found \"-1s\", allowed \"0s\" or more"},
      {Action("max_stream_duration: {max_stream_duration: -1s}"),
       to + ".max_stream_duration.max_stream_duration: found \"-1s\", allowed \"0s\" or more"},
      {Action("hash_policy: [{}]"), to + ".hash_policy[0]: found nothing, allowed one of header, "
                                         "cookie, connection_properties, query_parameter"},
      {Action("hash_policy: [{cookie: {name: 'a;b'}}]"),
       to + ".hash_policy[0].cookie.name: found \"a;b\", allowed a cookie name"},
      {Action("hash_policy: [{cookie: {name: a, path: '/;x'}}]"),
       to + ".hash_policy[0].cookie.path: holds \";\", CR, LF or NUL"},
      {Action("hash_policy: [{connection_properties: {}}]"),
       to + ".hash_policy[0].connection_properties.source_ip: found false, allowed true"},
      {Action("hash_policy: [{query_parameter: {}}]"),
       to + ".hash_policy[0].query_parameter.name: required"},
      {Action("request_mirror_policies: [{}]"),
       to + ".request_mirror_policies[0].cluster: required"},
      {Action("upgrade_configs: [{}]"), to + ".upgrade_configs[0].upgrade_type: required"},
      {Action("upgrade_configs: [{upgrade_type: a}, {upgrade_type: A}]"),
       to + ".upgrade_configs[1].upgrade_type: duplicate \"a\""},
      {Action("upgrade_configs: [{upgrade_type: a, connect_config: {}}]"),
       to + ".upgrade_configs[0].connect_config: only with upgrade_type CONNECT"},
      {Action("retry_policy: {retry_on: '5xx,5XX'}"),
       to + ".retry_policy.retry_on: unknown token \"5XX\", allowed 5xx, gateway-error, reset, "
            "reset-before-request, "
            "connect-failure, envoy-ratelimited, retriable-4xx, refused-stream, "
            "retriable-status-codes, "
            "retriable-headers, cancelled, deadline-exceeded, internal, resource-exhausted, "
            "unavailable, "
            "http3-post-connect-failure"},
      {Action("retry_policy: {retry_back_off: {}}"),
       to + ".retry_policy.retry_back_off.base_interval: required"},
      {Action("retry_policy: {retry_back_off: {base_interval: 0s}}"),
       to + ".retry_policy.retry_back_off.base_interval: found \"0s\", allowed more than \"0s\""},
      {Action("retry_policy: {retry_back_off: {base_interval: 2s, max_interval: 1s}}"),
       to + ".retry_policy.retry_back_off.max_interval: is less than base_interval"},
      {Action("retry_policy: {retriable_status_codes: [99]}"),
       to + ".retry_policy.retriable_status_codes[0]: found 99, allowed 100 to 599"},
      {Action("retry_policy: {host_selection_retry_max_attempts: -1}"),
       to + ".retry_policy.host_selection_retry_max_attempts: found -1, allowed 0 to 1000"},
      {Action("retry_policy: {retry_host_predicate: [{name: x}]}"),
       to + ".retry_policy.retry_host_predicate[0].typed_config: required"},
      {Action("retry_policy: {retriable_headers: [{}]}"),
       to + ".retry_policy.retriable_headers[0].name: found \"\", allowed a header name"},
      {Route("match: {prefix: /}, redirect: {scheme_redirect: ftp}"),
       at + ".redirect.scheme_redirect: found \"ftp\", allowed http, https"},
      {Route("match: {prefix: /}, redirect: {port_redirect: 65536}"),
       at + ".redirect.port_redirect: found 65536, allowed 1 to 65535"},
      {Route("match: {prefix: /}, direct_response: {status: 99}"),
       at + ".direct_response.status: found 99, allowed 200 to 599"},
      {Route("match: {prefix: /}, direct_response: {status: 200, body: {filename: /nowhere}}"),
       at + ".direct_response.body.filename: cannot read \"/nowhere\": No such file or directory"},
      {Route("match: {prefix: /}, " + kTo + ", decorator: {}"),
       at + ".decorator.operation: required"},
  };
  for (const Case& c : cases) {
    INFO(c.yaml);
    CHECK(RoutesError(c.yaml) == c.error);
  }
}

TEST_CASE("an optional filter configuration that nothing takes is left out and told") {
  CHECK(RoutesError("typed_per_filter_config: {a: {\"@type\": "
                    "t/envoy.config.route.v3.FilterConfig, is_optional: true, "
                    "config: {\"@type\": t/google.protobuf.Duration}}}") == "ok");
  CHECK(LastWarnings().size() == 1);
}

}  // namespace
}  // namespace heddle::test
