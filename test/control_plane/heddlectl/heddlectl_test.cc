// heddlectl from its words to its text: arguments, explain over real policies, traces of both
// servers.
#include <stdlib.h>

#include <catch2/catch.hpp>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "control_plane/heddlectl/args.h"
#include "control_plane/heddlectl/commands.h"
#include "control_plane/heddlectl/http_client.h"
#include "control_plane/heddlectl/match.h"
#include "control_plane/heddlectl/table.h"
#include "control_plane/heddlectl/trace_spans.h"
#include "control_plane/identity/files.h"
#include "control_plane/identity/token.h"
#include "control_plane/status/http_server.h"
#include "envoy/config/route/v3/route.pb.h"

namespace heddle::heddlectl {
namespace {

constexpr char kShop[] = R"(
apiVersion: heddle.dev/v1
kind: Workload
metadata: {name: web-a, namespace: shop, labels: {app: web}}
spec: {address: 127.0.1.2, serviceAccount: web, ports: [{name: http, port: 8080, appPort: 18080}]}
---
apiVersion: heddle.dev/v1
kind: Workload
metadata: {name: catalog-a, namespace: shop, labels: {app: catalog}}
spec: {address: 127.0.1.9, serviceAccount: catalog, ports: [{name: http, port: 8080, appPort: 18080}]}
---
apiVersion: heddle.dev/v1
kind: Workload
metadata: {name: reviews-v1, namespace: shop, labels: {app: reviews, version: v1}}
spec: {address: 127.0.1.3, serviceAccount: reviews, ports: [{name: http, port: 9080, appPort: 19080}]}
---
apiVersion: heddle.dev/v1
kind: Workload
metadata: {name: reviews-v2, namespace: shop, labels: {app: reviews, version: v2}}
spec: {address: 127.0.1.4, serviceAccount: reviews, ports: [{name: http, port: 9080, appPort: 19080}]}
---
apiVersion: heddle.dev/v1
kind: Workload
metadata: {name: redis, namespace: shop, labels: {app: redis}}
spec: {address: 127.0.1.5, serviceAccount: redis, ports: [{name: tcp-redis, port: 6379, appPort: 16379}]}
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {selector: {app: reviews}, ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: reviews-v1, namespace: shop}
spec: {selector: {app: reviews, version: v1}, ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: reviews-v2, namespace: shop}
spec: {selector: {app: reviews, version: v2}, ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: redis, namespace: shop}
spec: {selector: {app: redis}, ports: [{name: tcp-redis, port: 6379}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: canary, namespace: shop}
spec:
  parentRefs: [{kind: Service, group: "", name: reviews, port: 9080}]
  rules:
    - matches: [{path: {type: PathPrefix, value: /admin}}]
      backendRefs: [{name: reviews-v1, port: 9080}]
    - backendRefs:
        - {name: reviews-v1, port: 9080, weight: 95}
        - {name: reviews-v2, port: 9080, weight: 5}
---
apiVersion: heddle.dev/v1
kind: AuthorizationPolicy
metadata: {name: only-web, namespace: shop}
spec:
  selector: {matchLabels: {app: reviews}}
  action: ALLOW
  rules:
    - from: [{principals: [cluster.local/ns/shop/sa/web]}]
      to: [{methods: [GET]}]
---
apiVersion: heddle.dev/v1
kind: AuthorizationPolicy
metadata: {name: no-admin, namespace: shop}
spec:
  selector: {matchLabels: {app: reviews}}
  action: DENY
  rules:
    - to: [{paths: ["/admin*"]}]
---
apiVersion: heddle.dev/v1
kind: AuthorizationPolicy
metadata: {name: redis-clients, namespace: shop}
spec:
  selector: {matchLabels: {app: redis}}
  action: ALLOW
  rules:
    - from: [{namespaces: [shop]}]
)";

std::string TempDir() {
  const char* base = ::getenv("TEST_TMPDIR");
  std::string out = absl::StrCat(base != nullptr ? base : "/tmp", "/ctl.XXXXXX");
  REQUIRE(::mkdtemp(out.data()) != nullptr);
  return out;
}

std::string Shop() {
  const std::string dir = TempDir();
  REQUIRE(identity::ReplaceFile(dir + "/shop.yaml", kShop, 0644).ok());
  return dir;
}

struct Ran {
  int code;
  std::string out, err;
};

Ran Ctl(std::vector<std::string> words) {
  std::ostringstream out, err;
  Terminal terminal{.out = out, .err = err, .colour = false, .utf8 = false};
  const int code = Run(words, terminal);
  return {code, out.str(), err.str()};
}

}  // namespace

SCENARIO("arguments: flags anywhere, values both ways, errors that name the flag") {
  const std::vector<FlagSpec> specs = {
      {"name", "N", "help"}, {"all", "", "help"}, {"with", "W", "help", "x"}};
  const auto args = Args::Parse(specs, {"a", "--name", "1", "--all", "b", "--name=2", "--", "--c"});
  REQUIRE(args.ok());
  CHECK(args->Get("name") == "2");
  CHECK(args->All("name") == std::vector<std::string>{"1", "2"});
  CHECK(args->Has("all"));
  CHECK(args->Get("with") == "x");
  CHECK_FALSE(args->Has("with"));
  CHECK(args->rest() == std::vector<std::string>{"a", "b", "--c"});
  for (const auto& bad :
       std::vector<std::vector<std::string>>{{"--nope"}, {"--name"}, {"--all=1"}}) {
    const auto refused = Args::Parse(specs, bad);
    REQUIRE_FALSE(refused.ok());
    CHECK_THAT(std::string(refused.status().message()), Catch::StartsWith("--"));
  }
}

SCENARIO("every command has help, and wrong calls exit 2 and say where to look") {
  CHECK(Ctl({}).code == 2);
  CHECK(Ctl({"help"}).code == 0);
  CHECK_THAT(Ctl({"version"}).out, Catch::StartsWith("heddlectl "));
  for (const char* name : {"validate", "status", "trace", "token", "rotate", "explain", "proxy",
                           "install", "upgrade", "check", "uninstall", "inject"}) {
    CHECK_THAT(Ctl({name, "--help"}).out, Catch::StartsWith(absl::StrCat("heddlectl ", name)));
    CHECK_THAT(Ctl({"help", name}).out, Catch::StartsWith(absl::StrCat("heddlectl ", name)));
    const Ran ran = Ctl({name, "--nonsense"});
    CHECK(ran.code == 2);
    CHECK_THAT(ran.err, Catch::Contains("--help"));
  }
  CHECK(Ctl({"nonsense"}).code == 2);
  CHECK(Ctl({"proxy", "127.0.0.1:1", "nonsense"}).code == 2);
  CHECK(Ctl({"explain", "/nowhere"}).code == 2);
  CHECK(Ctl({"trace", "xyz"}).code == 2);
  const Ran nobody = Ctl({"status", "--control", "127.0.0.1:1"});
  CHECK(nobody.code == 1);
  CHECK_THAT(nobody.err, Catch::Contains("is heddle-control running?"));
}

SCENARIO("docs/heddlectl.md is what the program says of itself") {
  const auto page = identity::ReadFile("docs/heddlectl.md");
  REQUIRE(page.ok());
  INFO("heddlectl help --markdown >docs/heddlectl.md");
  CHECK(Ctl({"help", "--markdown"}).out == *page);
}

SCENARIO("validate says what heddle-control would say") {
  const std::string dir = Shop();
  const Ran good = Ctl({"validate", dir});
  INFO(good.out);
  CHECK(good.code == 0);
  CHECK_THAT(good.out, Catch::Contains("valid: 4 services, 5 workloads"));
  REQUIRE(identity::ReplaceFile(dir + "/bad.yaml",
                                "apiVersion: heddle.dev/v1\nkind: Workload\nmetadata: {name: x, "
                                "namespace: shop}\nspec: {adress: 1}\n",
                                0644)
              .ok());
  const Ran bad = Ctl({"validate", dir});
  CHECK(bad.code == 1);
  CHECK_THAT(bad.out, Catch::Contains("bad.yaml:4") && Catch::Contains("adress"));
  CHECK(Ctl({"validate", dir + "/none"}).code == 1);
}

SCENARIO("explain follows a request through routes, weights, endpoints and policies") {
  const std::string dir = Shop();
  const auto explain = [&](std::vector<std::string> more) {
    std::vector<std::string> words = {"explain", dir, "--from", "shop/web-a"};
    words.insert(words.end(), more.begin(), more.end());
    return Ctl(words);
  };
  const Ran canary = explain({"http://reviews:9080/list?x=1"});
  INFO(canary.err << canary.out);
  CHECK(canary.code == 0);
  CHECK_THAT(canary.out,
             Catch::Contains("95 % to reviews-v1.shop:9080") &&
                 Catch::Contains("5 % to reviews-v2.shop:9080") &&
                 Catch::Contains("127.0.1.4:9080 shop/reviews-v2, mutual TLS: allowed by") &&
                 Catch::Contains("only-web"));
  CHECK_THAT(explain({"reviews/admin/x"}).out,
             Catch::Contains("REFUSED by") && Catch::Contains("no-admin"));
  CHECK_THAT(explain({"reviews/list", "--method", "POST"}).out,
             Catch::Contains("REFUSED: no rule of shop/only-web"));
  CHECK_THAT(Ctl({"explain", dir, "--from", "shop/catalog-a", "reviews/list"}).out,
             Catch::Contains("REFUSED: no rule"));
  CHECK_THAT(explain({"tcp://redis:6379"}).out,
             Catch::Contains("redis.shop:6379") && Catch::Contains("allowed by"));
  CHECK_THAT(explain({"tcp://redis:1"}).out, Catch::Contains("has no port 1"));
  CHECK_THAT(explain({"tcp://nothing:1"}).out, Catch::Contains("no Service shop/nothing"));
  CHECK_THAT(explain({"unknown.example/x"}).out, Catch::Contains("unknown.example"));
  CHECK_THAT(explain({"http://reviews:9080/x", "--intercept"}).out, Catch::Contains("95 %"));
  CHECK_THAT(Ctl({"explain", dir, "--from", "shop/none", "reviews/x"}).err,
             Catch::Contains("there are: shop/catalog-a"));
  CHECK(explain({"ftp://reviews"}).code == 1);
  CHECK(explain({"reviews:99999"}).code == 1);
  CHECK(explain({"reviews/x", "--header", "novalue"}).code == 2);
}

SCENARIO("virtual hosts are chosen exact, suffix, prefix, star") {
  envoy::config::route::v3::RouteConfiguration routes;
  for (const char* domain : {"*", "a.*", "a.b.*", "*.com", "*.b.com", "a.b.com", "A.b.org"}) {
    auto* host = routes.add_virtual_hosts();
    host->set_name(domain);
    host->add_domains(domain);
  }
  struct {
    const char *authority, *want;
  } table[] = {{"a.b.com", "a.b.com"}, {"A.B.COM", "a.b.com"}, {"x.b.com", "*.b.com"},
               {"x.com", "*.com"},     {"a.b.net", "a.b.*"},   {"a.net", "a.*"},
               {"zzz", "*"},           {"a.b.org", "A.b.org"}, {".com", "*"}};
  for (const auto& row : table) {
    std::string domain;
    const auto* host = FindVirtualHost(routes, row.authority, &domain);
    REQUIRE(host != nullptr);
    INFO(row.authority);
    CHECK(host->name() == row.want);
  }
}

SCENARIO("token makes what heddle-control accepts, and never a key of its own") {
  const std::string dir = TempDir();
  CHECK(
      Ctl({"token", "--state-dir", dir, "--namespace", "shop", "--service-account", "web"}).code ==
      1);
  CHECK_FALSE(identity::ReadFile(dir + "/token.key").ok());
  const auto key = identity::TokenKey::Open(dir);
  const Ran made = Ctl({"token", "--state-dir", dir, "--namespace", "shop", "--service-account",
                        "web", "--ttl", "5m"});
  REQUIRE(made.code == 0);
  const auto claims =
      key->Verify(made.out.substr(0, made.out.size() - 1), "cluster.local", absl::Now());
  REQUIRE(claims.ok());
  CHECK(claims->id.service_account == "web");
  CHECK(Ctl({"token", "--state-dir", dir, "--namespace", "shop", "--service-account", "web",
             "--ttl", "9000h"})
            .code == 1);
  CHECK(
      Ctl({"token", "--state-dir", dir, "--namespace", "sh op", "--service-account", "web"}).code ==
      2);
}

SCENARIO("traces of heddle-control and of Jaeger are the same to look at") {
  const auto control = status::HttpServer::Start(
      "127.0.0.1:0", [](const status::HttpRequest& request) -> status::HttpReply {
        if (request.query.count("trace_id") > 0)
          return {.body = R"({"trace_id":"0000000000000000000000000000001a","spans":[
        {"span_id":"0000000000000001","parent_id":"","service":"web","name":"egress","kind":"client",
         "start_ns":"1800000000000000000","duration_ns":"2000000","error":false,"attributes":{"http.status_code":"200"}}]})"};
        return {
            .body =
                R"({"traces":[{"trace_id":"0000000000000000000000000000001a","service":"web","name":"egress",
        "start":"2027-01-15T08:00:00Z","duration_ns":"2000000","spans":1,"error":false}]})"};
      });
  REQUIRE(control.ok());
  const std::string at = absl::StrCat("127.0.0.1:", (*control)->port());
  CHECK_THAT(Ctl({"trace", "--control", at}).out,
             Catch::Contains("0000000000000000000000000000001a"));
  CHECK_THAT(Ctl({"trace", "--last", "--control", at}).out,
             Catch::Contains("egress") && Catch::Contains("2.0 ms"));

  const auto jaeger = status::HttpServer::Start(
      "127.0.0.1:0", [](const status::HttpRequest& request) -> status::HttpReply {
        if (request.path == "/api/services") return {.body = R"({"data":["web","reviews"]})"};
        if (request.path == "/api/traces/0000000000000000000000000000001b")
          return {.code = 404, .body = "{}"};
        return {.body = R"({"data":[{"traceID":"1a","spans":[
      {"traceID":"1a","spanID":"2","operationName":"ingress","references":[{"refType":"CHILD_OF","traceID":"1a","spanID":"1"}],
       "startTime":1800000000000500,"duration":1000,"tags":[{"key":"error","type":"bool","value":true}],"processID":"p2"},
      {"traceID":"1a","spanID":"1","operationName":"egress","references":[],"startTime":1800000000000000,"duration":2000,
       "tags":[{"key":"http.status_code","type":"string","value":"503"}],"processID":"p1"}],
      "processes":{"p1":{"serviceName":"web"},"p2":{"serviceName":"reviews"}}}]})"};
      });
  REQUIRE(jaeger.ok());
  const std::string url = absl::StrCat("http://127.0.0.1:", (*jaeger)->port());
  const Ran shown = Ctl({"trace", "--last", "--jaeger", url});
  INFO(shown.err);
  CHECK_THAT(shown.out, Catch::Contains("`-reviews") && Catch::Contains("+500 us  1.0 ms") &&
                            Catch::Contains("503"));
  CHECK_THAT(Ctl({"trace", "--jaeger", url}).out,
             Catch::Contains("0000000000000000000000000000001a"));
  CHECK_THAT(Ctl({"trace", "0000000000000000000000000000001b", "--jaeger", url}).err,
             Catch::Contains("no such trace"));
}

SCENARIO("a table keeps control characters of the network away from the terminal") {
  CHECK(Columns({{"A", "B"}, {"long", "x\x1b[2J"}}) == "A     B\nlong  x?[2J\n");
  CHECK(EncodeQuery("a b&c") == "a%20b%26c");
}

}  // namespace heddle::heddlectl
