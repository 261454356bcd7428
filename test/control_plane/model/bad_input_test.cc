// What each kind refuses, and in which words.
#include <catch2/catch.hpp>
#include <string>

#include "absl/strings/match.h"
#include "test/control_plane/support/bookshop.h"

namespace heddle {
namespace {

struct Case {
  const char* spec;    // flow mapping of the spec
  const char* expect;  // part of a problem: "path: message"
};

std::string Document(const std::string& version, const std::string& kind, const std::string& spec) {
  return "apiVersion: " + version + "\nkind: " + kind +
         "\nmetadata: {name: x, namespace: bookshop}\nspec: " + spec + "\n";
}

void RefusesAll(const std::string& version, const std::string& kind,
                std::initializer_list<Case> cases) {
  for (const Case& c : cases) {
    CAPTURE(kind, c.spec);
    const model::BuildResult result = test::BuildBookshop(Document(version, kind, c.spec));
    REQUIRE(result.world == nullptr);
    std::string all;
    for (const model::Problem& one : result.problems)
      if (one.file == "more.yaml") all += one.ToString() + "\n";
    CAPTURE(all);
    REQUIRE(absl::StrContains(all, c.expect));
    REQUIRE(absl::StrContains(all, "more.yaml:4: " + kind + " bookshop/x: "));
  }
}

SCENARIO("a Service that cannot be meant is refused") {
  RefusesAll(
      "v1", "Service",
      {
          {"{ports: [{port: 80}]}", "spec.selector: required"},
          {"{selector: {a: b}}", "spec.ports: required"},
          {"{selector: {a: b}, ports: [{port: 0}]}",
           "spec.ports[0].port: 0 is not between 1 and 65535"},
          {"{selector: {a: b}, ports: [{port: 80, protocol: UDP}]}",
           "spec.ports[0].protocol: \"UDP\" is not honoured"},
          {"{selector: {a: b}, ports: [{port: 80}, {port: 81}]}",
           "spec.ports[0].name: required when there are several ports"},
          {"{selector: {a: b}, ports: [{name: a, port: 80}, {name: a, port: 81}]}",
           "spec.ports[1].name: \"a\" given twice"},
          {"{selector: {a: b}, ports: [{name: a, port: 80}, {name: b, port: 80}]}",
           "spec.ports[1].port: 80 given twice"},
          {"{selector: {a: b}, ports: [{name: A, port: 80}]}",
           "spec.ports[0].name: \"A\" is not a DNS label"},
          {"{selector: {a: b}, ports: [{port: 80, targetPort: 70000}]}",
           "spec.ports[0].targetPort: neither a port number nor a port name"},
          {"{selector: {a: b}, ports: [{port: 80, targetPort: 80.5}]}",
           "spec.ports[0].targetPort: neither a port number nor a port name"},
          {"{selector: {a: b}, ports: [{port: 80, targetPort: [80]}]}",
           "spec.ports[0].targetPort: neither a port number nor a port name"},
          {"{selector: {a: b}, ports: [{port: 80}], type: ExternalName}",
           "spec.type: \"ExternalName\" is not honoured"},
          {"{selector: {a: b}, ports: [{port: 80}], sessionAffinity: Sticky}",
           "spec.sessionAffinity: \"Sticky\" is not honoured by the mesh; allowed: None, ClientIP"},
          {"{selector: {a: b}, ports: [{port: 80}], internalTrafficPolicy: Near}",
           "spec.internalTrafficPolicy: \"Near\" is not honoured by the mesh; allowed: Cluster, "
           "Local"},
          {"{selector: {a: b}, ports: [{port: 80}], publishNotReadyAddresses: true}",
           "spec.publishNotReadyAddresses: true is not honoured"},
          {"{selector: {a: b}, ports: [{port: 80}], clusterIP: none}",
           "spec.clusterIP: \"none\" is no address"},
          {"{selector: {a: b}, ports: [{port: 80}], clusterIP: 10.96.0.7}",
           "spec.clusterIP: 10.96.0.7 is the address of Service bookshop/stock"},
          {"{selector: {app: redis}, ports: [{port: 6379, appProtocol: http}]}",
           "spec.ports[0]: speaks HTTP, but port 6379 of Workload bookshop/redis-a is TCP"},
      });
}

SCENARIO("a Workload that cannot be meant is refused") {
  RefusesAll(
      "heddle.dev/v1", "Workload",
      {
          {"{}", "spec.address: \"\" is no address"},
          {"{address: localhost}", "spec.address: \"localhost\" is no address"},
          {"{address: 0.0.0.0}", "spec.address: \"0.0.0.0\" is no address"},
          {"{address: 127.0.1.1}",
           "spec.address: 127.0.1.1 is the address of Workload bookshop/web-a"},
          {"{address: 127.0.9.1, serviceAccount: A}",
           "spec.serviceAccount: \"A\" is not a DNS label"},
          {"{address: 127.0.9.1, weight: 129}", "spec.weight: 129 is not between 1 and 128"},
          {"{address: 127.0.9.1, weight: -1}", "spec.weight: -1 is not between 1 and 128"},
          {"{address: 127.0.9.1, ports: [{port: 0}]}",
           "spec.ports[0].port: 0 is not between 1 and 65535"},
          {"{address: 127.0.9.1, ports: [{port: 1}, {port: 1}]}", "spec.ports: port given twice"},
          {"{address: 127.0.9.1, ports: [{name: a, port: 1}, {name: a, port: 2}]}",
           "spec.ports[1].name: \"a\" given twice"},
          {"{address: 127.0.9.1, ports: [{port: 15001}]}",
           "spec.ports[0].port: 15001 is the sidecar's own"},
          {"{address: 127.0.9.1, ports: [{port: 1, appPort: 1}]}",
           "spec.ports[0].appPort: 1 is taken by another port"},
          {"{address: 127.0.9.1, ports: [{port: 1, appPort: 3}, {port: 2, appPort: 3}]}",
           "spec.ports[1].appPort: 3 is taken by another port"},
          {"{address: 127.0.9.1, ports: [{port: 1, appPort: 70000}]}",
           "spec.ports[0].appPort: 70000 is not between 1 and 65535"},
      });
}

SCENARIO("an HTTPRoute that cannot be meant is refused") {
  const std::string parent = "{parentRefs: [{kind: Service, name: reviews}], rules: [{";
  const auto rule = [&](const std::string& text) { return parent + text + "}]}"; };
  const std::vector<std::pair<std::string, const char*>> cases = {
      {"{}", "spec.parentRefs: required"},
      {"{parentRefs: [{kind: Gateway, name: g}]}",
       "spec.parentRefs[0].kind: \"Gateway\" is not \"Service\""},
      {"{parentRefs: [{group: gateway.networking.k8s.io, kind: Service, name: reviews}]}",
       "spec.parentRefs[0].group: \"gateway.networking.k8s.io\" is not \"\""},
      {"{parentRefs: [{kind: Service, name: revews}]}",
       "spec.parentRefs[0].name: no such Service: bookshop/revews"},
      {"{parentRefs: [{kind: Service, name: reviews, port: 80}]}",
       "spec.parentRefs[0].port: Service bookshop/reviews has no HTTP port 80"},
      {"{parentRefs: [{kind: Service, name: redis}]}",
       "spec.parentRefs[0]: Service bookshop/redis has no HTTP port"},
      {rule("backendRefs: [{name: nope, port: 9080}]"),
       "spec.rules[0].backendRefs[0].name: no such Service: bookshop/nope"},
      {rule("backendRefs: [{name: reviews-v1, port: 1}]"),
       "spec.rules[0].backendRefs[0].port: Service bookshop/reviews-v1 has no HTTP port 1"},
      {rule("backendRefs: [{name: stock}]"),
       "spec.rules[0].backendRefs[0].port: Service bookshop/stock has no HTTP port 9080"},
      {rule("backendRefs: [{name: reviews, weight: -1}]"),
       "spec.rules[0].backendRefs[0].weight: -1 is not between 0 and 1000000"},
      {rule("backendRefs: [{name: reviews, kind: Backend}]"),
       "spec.rules[0].backendRefs[0].kind: \"Backend\" is not \"Service\""},
      {rule("matches: [{path: {value: a}}]"),
       "spec.rules[0].matches[0].path.value: does not begin with \"/\""},
      {rule("matches: [{path: {type: Exact, value: '/a?b'}}]"),
       "spec.rules[0].matches[0].path.value: holds '?' or '#'"},
      {rule("matches: [{path: {type: RegularExpression, value: '('}}]"),
       "spec.rules[0].matches[0].path.value: not a regular expression (RE2): missing )"},
      {rule("matches: [{path: {type: Fuzzy}}]"), "spec.rules[0].matches[0].path.type: found Fuzzy"},
      {rule("matches: [{method: get}]"),
       "spec.rules[0].matches[0].method: \"get\" is not one of GET"},
      {rule("matches: [{headers: [{name: 'a b', value: c}]}]"),
       "spec.rules[0].matches[0].headers[0].name: \"a b\" is not a header name"},
      {rule("matches: [{headers: [{name: a, value: b}, {name: A, value: c}]}]"),
       "spec.rules[0].matches[0].headers[1].name: \"A\" given twice"},
      {rule("matches: [{headers: [{name: a}]}]"),
       "spec.rules[0].matches[0].headers[0].value: required"},
      {rule("matches: [{queryParams: [{name: a, type: RegularExpression, value: '['}]}]"),
       "spec.rules[0].matches[0].queryParams[0].value: not a regular expression"},
      {rule("filters: [{requestRedirect: {}}]"), "spec.rules[0].filters[0].type: required"},
      {rule("filters: [{type: RequestRedirect}]"),
       "spec.rules[0].filters[0].requestRedirect: required by the type"},
      {rule("filters: [{type: URLRewrite, urlRewrite: {}, requestRedirect: {}}]"),
       "spec.rules[0].filters[0].requestRedirect: is not of the type"},
      {rule("filters: [{type: RequestMirror}]"),
       "spec.rules[0].filters[0].type: found RequestMirror"},
      {rule("filters: [{type: RequestRedirect, requestRedirect: {statusCode: 304}}]"),
       "spec.rules[0].filters[0].requestRedirect.statusCode: 304 is not 301"},
      {rule("filters: [{type: RequestRedirect, requestRedirect: {}}], backendRefs: [{name: "
            "reviews}]"),
       "spec.rules[0].backendRefs: not together with RequestRedirect"},
      {rule("filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: Host, "
            "value: "
            "a}]}}]"),
       "spec.rules[0].filters[0].requestHeaderModifier.set[0].name: use URLRewrite"},
      {rule("filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [a, A]}}]"),
       "spec.rules[0].filters[0].requestHeaderModifier.remove[1]: \"A\" given twice"},
      {rule("matches: [{path: {type: Exact, value: /a}}], filters: [{type: URLRewrite, urlRewrite: "
            "{path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}]"),
       "spec.rules[0].filters: ReplacePrefixMatch needs PathPrefix"},
      {rule("timeouts: {request: 1s, backendRequest: 2s}"),
       "spec.rules[0].timeouts.backendRequest: longer than timeouts.request"},
      {rule("timeouts: {request: 1.5s}"),
       "spec.rules[0].timeouts.request: \"1.5s\" is not a duration"},
      {rule("retry: {codes: [200]}"),
       "spec.rules[0].retry.codes[0]: 200 is not between 400 and 599"},
      {rule("retry: {attempts: 11}"), "spec.rules[0].retry.attempts: 11 is not between 1 and 10"},
      {rule("backend: []"), "unknown field"},
  };
  for (const auto& [spec, expect] : cases)
    RefusesAll("gateway.networking.k8s.io/v1", "HTTPRoute", {{spec.c_str(), expect}});
}

SCENARIO("a backend in a namespace that is nobody's is refused") {
  const model::BuildResult result = test::BuildBookshop(R"(
apiVersion: v1
kind: Service
metadata: {name: far, namespace: other}
spec: {selector: {a: b}, ports: [{name: http, port: 9080}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: x, namespace: bookshop}
spec:
  parentRefs: [{kind: Service, name: reviews}]
  rules:
  - backendRefs:
    - name: far
      namespace: other
)");
  REQUIRE(result.world == nullptr);
  REQUIRE(
      result.problems.at(0).ToString() ==
      "more.yaml:15: HTTPRoute bookshop/x: spec.rules[0].backendRefs[0].namespace: neither the "
      "route's namespace nor that of a parent, and no ReferenceGrant there allows it: \"other\"");
}

SCENARIO("a BackendPolicy that cannot be meant is refused") {
  const auto with = [](const std::string& text) {
    return "{targetRef: {kind: Service, name: reviews}, " + text + "}";
  };
  const std::vector<std::pair<std::string, const char*>> cases = {
      {"{}", "spec.targetRef: required"},
      {"{targetRef: {kind: Pod, name: a}}", "spec.targetRef.kind: \"Pod\" is not \"Service\""},
      {"{targetRef: {kind: Service}}", "spec.targetRef.name: required"},
      {"{targetRef: {group: x, kind: Service, name: reviews}}",
       "spec.targetRef.group: \"x\" is not"},
      {"{targetRef: {kind: Service, name: nope}}",
       "spec.targetRef.name: no such Service: bookshop/nope"},
      {"{targetRef: {kind: Service, name: reviews, sectionName: nope}}",
       "spec.targetRef.sectionName: Service bookshop/reviews has no port named \"nope\""},
      {with("loadBalancer: {algorithm: MAGIC}"), "spec.loadBalancer.algorithm: found MAGIC"},
      {with("timeouts: {connect: 0s}"), "spec.timeouts.connect: 0s is not between 1ms and 1h"},
      {with("timeouts: {request: 25h}"), "spec.timeouts.request: 25h is not between"},
      {with("timeouts: {idle: x}"), "spec.timeouts.idle: \"x\" is not a duration"},
      {with("retries: {attempts: 11}"), "spec.retries.attempts: 11 is not between 0 and 10"},
      {with("retries: {on: [5XX]}"), "spec.retries.on[0]: unknown condition \"5XX\""},
      {with("retries: {on: ['200']}"), "spec.retries.on[0]: unknown condition \"200\""},
      {with("retries: {onIdempotent: [x]}"),
       "spec.retries.onIdempotent[0]: unknown condition \"x\""},
      {with("retries: {sameForAllMethods: true, onIdempotent: [5xx]}"),
       "spec.retries.onIdempotent: has no meaning with sameForAllMethods"},
      {with("timeouts: {request: 1s}, retries: {perTryTimeout: 1s}"),
       "spec.retries.perTryTimeout: not less than timeouts.request"},
      {with("retries: {backoff: 2m}"), "spec.retries.backoff: 2m is not between 1ms and 1m"},
      {with("retries: {budget: {percent: 101}}"),
       "spec.retries.budget.percent: 101 is not between 0 and 100"},
      {with("retries: {budget: {minConcurrency: 0}}"),
       "spec.retries.budget.minConcurrency: 0 is not between 1 and 10000"},
      {with("outlierDetection: {consecutive5xx: 0}"),
       "spec.outlierDetection.consecutive5xx: 0 is not between 1 and 10000"},
      {with("outlierDetection: {consecutiveGatewayFailures: -1}"),
       "spec.outlierDetection.consecutiveGatewayFailures: -1 is not between 0 and 10000"},
      {with("outlierDetection: {interval: 1ms}"),
       "spec.outlierDetection.interval: 1ms is not between 10ms and 1h"},
      {with("outlierDetection: {baseEjectionTime: 2h}"),
       "spec.outlierDetection.baseEjectionTime: 2h is not between"},
      {with("outlierDetection: {maxEjectionPercent: 101}"),
       "spec.outlierDetection.maxEjectionPercent: 101 is not between 0 and 100"},
      {with("limits: {connections: 0}"), "spec.limits.connections: 0 is not between 1 and 1000000"},
      {with("limits: {pendingRequests: 0}"), "spec.limits.pendingRequests: 0 is not between"},
      {with("limits: {requests: 1000001}"), "spec.limits.requests: 1000001 is not between"},
  };
  for (const auto& [spec, expect] : cases)
    RefusesAll("heddle.dev/v1", "BackendPolicy", {{spec.c_str(), expect}});
}

SCENARIO("an AuthorizationPolicy that cannot be meant is refused") {
  RefusesAll(
      "heddle.dev/v1", "AuthorizationPolicy",
      {
          {"{action: AUDIT}", "spec.action: found AUDIT"},
          {"{rules: [{from: [{}]}]}", "spec.rules[0].from[0]: empty: leave `from` out"},
          {"{rules: [{to: [{}]}]}", "spec.rules[0].to[0]: empty: leave `to` out"},
          {"{rules: [{from: [{principals: ['']}]}]}", "spec.rules[0].from[0].principals[0]: empty"},
          {"{rules: [{from: [{principals: ['a*b']}]}]}",
           "spec.rules[0].from[0].principals[0]: \"a*b\": '*' may stand once"},
          {"{rules: [{from: [{notPrincipals: ['*a*']}]}]}",
           "spec.rules[0].from[0].notPrincipals[0]: \"*a*\": '*' may stand once"},
          {"{rules: [{from: [{namespaces: ['**']}]}]}",
           "spec.rules[0].from[0].namespaces[0]: \"**\""},
          {"{rules: [{from: [{serviceAccounts: ['a/*']}]}]}",
           "spec.rules[0].from[0].serviceAccounts[0]: \"a/*\" is not namespace/service-account"},
          {"{rules: [{from: [{serviceAccounts: [a], principals: [b]}]}]}",
           "spec.rules[0].from[0].serviceAccounts: not together with principals"},
          {"{rules: [{from: [{ipBlocks: ['10.0.0.0/33']}]}]}",
           "spec.rules[0].from[0].ipBlocks[0]: \"10.0.0.0/33\" is no address"},
          {"{rules: [{from: [{notIpBlocks: [x]}]}]}",
           "spec.rules[0].from[0].notIpBlocks[0]: \"x\" is no address"},
          {"{rules: [{to: [{ports: [0]}]}]}",
           "spec.rules[0].to[0].ports[0]: 0 is not between 1 and 65535"},
          {"{rules: [{to: [{notPorts: [70000]}]}]}",
           "spec.rules[0].to[0].notPorts[0]: 70000 is not between 1 and 65535"},
          {"{rules: [{to: [{methods: ['']}]}]}", "spec.rules[0].to[0].methods[0]: empty"},
          {"{rules: [{to: [{paths: ['/a*b']}]}]}", "spec.rules[0].to[0].paths[0]: \"/a*b\""},
          {"{rules: [{to: [{hosts: ['']}]}]}", "spec.rules[0].to[0].hosts[0]: empty"},
          {"{rules: [{to: [{headers: [{name: ':path'}]}]}]}",
           "spec.rules[0].to[0].headers[0].name: \":path\" is not a header name"},
          {"{rules: [{when: []}]}", "unknown field"},
      });
}

SCENARIO("a WorkloadPolicy that cannot be meant is refused") {
  RefusesAll(
      "heddle.dev/v1", "WorkloadPolicy",
      {
          {"{mtls: {mode: LOOSE}}", "spec.mtls.mode: found LOOSE"},
          {"{mtls: {ports: {0: STRICT}}}", "0 is not between 1 and 65535"},
          {"{mtls: {ports: {80: MODE_UNSPECIFIED}}}", "not one of PERMISSIVE, STRICT, DISABLE"},
          {"{egress: {services: ['a/b/c']}}",
           "spec.egress.services[0]: \"a/b/c\" is not name, namespace/name"},
          {"{egress: {services: ['*/x']}}", "spec.egress.services[0]: \"*/x\" is not name"},
          {"{egress: {services: [reviews, nope]}}",
           "spec.egress.services[1]: no such Service: bookshop/nope"},
          {"{egress: {services: [other/x]}}", "spec.egress.services[0]: no such Service: other/x"},
          {"{egress: {unlisted: MAYBE}}", "spec.egress.unlisted: found MAYBE"},
      });
}

SCENARIO("a MeshConfig that cannot be meant is refused") {
  RefusesAll(
      "heddle.dev/v1", "MeshConfig",
      {
          {"{trustDomain: other}",
           "spec.trustDomain: \"other\" is not heddle-control's trust domain"},
          {"{clusterDomain: a_b}", "spec.clusterDomain: not a DNS name"},
          {"{rootNamespace: A}", "spec.rootNamespace: \"A\" is not a DNS label"},
          {"{mtls: {ports: {80: STRICT}}}", "spec.mtls.ports: only in a WorkloadPolicy"},
          {"{defaults: {retries: {attempts: -1}}}",
           "spec.defaults.retries.attempts: -1 is not between 0 and 10"},
          {"{tracing: {samplingPercent: 101}}",
           "spec.tracing.samplingPercent: 101 is not between 0 and 100"},
          {"{tracing: {collector: jaeger}}", "spec.tracing.collector: \"jaeger\" is no host:port"},
          {"{accessLog: {path: log}}", "spec.accessLog.path: not an absolute path"},
          {"{accessLog: {text: '100%'}}", "spec.accessLog.text: a '%' is neither doubled"},
          {"{accessLog: {text: '%req%'}}", "spec.accessLog.text: a '%' is neither doubled"},
          {"{accessLog: {format: JSON, json: {a: '%REQ(:METHOD)'}}}",
           "spec.accessLog.json[\"a\"]: a '%' is neither doubled"},
          {"{accessLog: {json: {a: b}}}", "spec.accessLog.json: only with format JSON"},
          {"{accessLog: {format: JSON, text: a}}", "spec.accessLog.text: only with format TEXT"},
      });
}

SCENARIO("names, versions and duplicates are checked for every kind") {
  const char* const kVersions[][2] = {{"Service", "v1"},
                                      {"HTTPRoute", "gateway.networking.k8s.io/v1"},
                                      {"Workload", "heddle.dev/v1"},
                                      {"MeshConfig", "heddle.dev/v1"},
                                      {"BackendPolicy", "heddle.dev/v1"},
                                      {"AuthorizationPolicy", "heddle.dev/v1"},
                                      {"WorkloadPolicy", "heddle.dev/v1"}};
  for (const auto& [kind, version] : kVersions) {
    CAPTURE(kind);
    const auto problems = [&](const std::string& text) {
      std::string all;
      for (const model::Problem& one : test::BuildBookshop(text).problems)
        all += one.ToString() + "\n";
      return all;
    };
    const std::string head = "kind: " + std::string(kind) + "\napiVersion: ";
    REQUIRE_THAT(problems(head + "v0\nmetadata: {name: x}\n"),
                 Catch::Contains("more.yaml:2: " + std::string(kind) +
                                 " default/x: apiVersion: \"v0\" is not " + version));
    REQUIRE_THAT(problems(head + version + "\n"), Catch::Contains("metadata.name: required"));
    REQUIRE_THAT(problems(head + version + "\nmetadata: {name: A_b, namespace: N}\n"),
                 Catch::Contains("more.yaml:3: ") && Catch::Contains("metadata.name: \"A_b\"") &&
                     Catch::Contains("metadata.namespace: \"N\" is not a DNS label"));
    const std::string twice = head + version + "\nmetadata: {name: x}\n";
    const std::string two = problems(twice + "---\n" + twice);
    CAPTURE(two);
    REQUIRE((two.find("metadata.name: defined already, in more.yaml:1") != std::string::npos ||
             two.find("there is one already, in more.yaml:1") != std::string::npos));
  }
}

SCENARIO("two policies for one target are refused") {
  const model::BuildResult backend = test::BuildBookshop(R"(
apiVersion: heddle.dev/v1
kind: BackendPolicy
metadata: {name: a, namespace: bookshop}
spec: {targetRef: {kind: Service, name: reviews}}
---
apiVersion: heddle.dev/v1
kind: BackendPolicy
metadata: {name: b, namespace: bookshop}
spec: {targetRef: {kind: Service, name: reviews}}
)");
  REQUIRE(backend.problems.at(0).ToString() ==
          "more.yaml:10: BackendPolicy bookshop/b: spec.targetRef: BackendPolicy bookshop/a is "
          "attached to the same target");
  const model::BuildResult workload = test::BuildBookshop(R"(
apiVersion: heddle.dev/v1
kind: WorkloadPolicy
metadata: {name: a, namespace: bookshop}
spec: {selector: {matchLabels: {app: web}}}
---
apiVersion: heddle.dev/v1
kind: WorkloadPolicy
metadata: {name: b, namespace: bookshop}
spec: {selector: {matchLabels: {app: web}}}
)");
  REQUIRE(
      workload.problems.at(0).ToString() ==
      "more.yaml:10: WorkloadPolicy bookshop/b: spec.selector: selects Workload bookshop/web-a, "
      "as WorkloadPolicy bookshop/a does");
}

}  // namespace
}  // namespace heddle
