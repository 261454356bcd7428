// The control plane's output through the sidecar's own decoder, route matcher and policy engine:
// what an operator writes, and what then becomes of a request.
#include <catch2/catch.hpp>
#include <string>

#include "absl/strings/match.h"
#include "control_plane/ingest/file_source.h"
#include "control_plane/translate/translate.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/http/rbac/v3/rbac.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "source/decode/decode.h"
#include "source/filter/catalogue/catalogue.h"
#include "source/filter/network_policy.h"
#include "source/filter/rbac/decode.h"
#include "source/proxy/listener_chains.h"
#include "source/proxy/route_table.h"
#include "test/control_plane/support/bookshop.h"

namespace heddle {
namespace {

using translate::ResourceRef;
using translate::ResourceType;
using World = std::shared_ptr<const model::World>;
using Snapshot = std::shared_ptr<const translate::Snapshot>;

World WorldOf(const std::string& more = "") {
  model::WorldOptions options;
  options.control_address = model::HostPort{"127.0.0.1", 15010};
  model::BuildResult result = test::BuildBookshop(more, options);
  for (const model::Problem& one : result.problems) UNSCOPED_INFO(one.ToString());
  REQUIRE(result.world != nullptr);
  return result.world;
}

Snapshot SnapshotOf(const model::World& world, const model::Key& workload, bool intercept = false) {
  translate::Translator translator;
  const auto view = translate::MakeProxyView(world, workload, {.intercept = intercept});
  REQUIRE(view.ok());
  return translator.Translate(world, *view);
}

Snapshot SnapshotOf(const std::string& more, const std::string& workload, bool intercept = false) {
  return SnapshotOf(*WorldOf(more), {"bookshop", workload}, intercept);
}

// As the sidecar takes a push: every resource is accepted, and nothing in it is unknown.
void DecodeAll(const translate::Snapshot& snapshot) {
  decode::Context context(filter::AllFilters());
  const auto accept = [&](const ResourceRef& resource, const auto& result) {
    CAPTURE(resource->name, result.status());
    REQUIRE(result.ok());
    CAPTURE(context.warnings());
    REQUIRE(context.warnings().empty());
  };
  for (const ResourceRef& one : snapshot.Of(ResourceType::kCluster))
    accept(one, decode::ClusterFromBytes(one->body, context));
  for (const ResourceRef& one : snapshot.Of(ResourceType::kEndpoints))
    accept(one, decode::EndpointsFromBytes(one->body, context));
  for (const ResourceRef& one : snapshot.Of(ResourceType::kListener))
    accept(one, decode::ListenerFromBytes(one->body, context));
  for (const ResourceRef& one : snapshot.Of(ResourceType::kRoutes))
    accept(one, decode::RoutesFromBytes(one->body, context));
}

const std::string kEverything = R"(
apiVersion: heddle.dev/v1
kind: MeshConfig
metadata: {name: mesh}
spec:
  tracing: {samplingPercent: 10}
  accessLog: {format: JSON}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: reviews, namespace: bookshop}
spec:
  parentRefs: [{kind: Service, name: reviews}]
  rules:
  - name: old
    matches: [{path: {value: /old}}]
    filters:
    - type: RequestRedirect
      requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}
  - name: strip
    matches:
    - path: {value: /api}
      method: GET
      headers: [{name: x, type: RegularExpression, value: "a+"}]
    filters:
    - type: URLRewrite
      urlRewrite:
        hostname: example.org
        path: {type: ReplacePrefixMatch, replacePrefixMatch: /}
    - type: ResponseHeaderModifier
      responseHeaderModifier: {add: [{name: x-a, value: 5%}], remove: [server]}
    backendRefs: [{name: reviews-v2}]
    timeouts: {request: 2s, backendRequest: 1s}
    retry: {codes: [503], attempts: 1}
  - name: canary
    backendRefs: [{name: reviews-v1, weight: 3}, {name: reviews-v2, weight: 1}]
---
apiVersion: heddle.dev/v1
kind: AuthorizationPolicy
metadata: {name: a, namespace: bookshop}
spec:
  action: DENY
  rules:
  - from: [{notNamespaces: [bookshop], notIpBlocks: [127.0.0.0/8]}, {principals: ["*/sa/spy"]}]
    to:
    - {hosts: ["*.org"], ports: [9080], methods: [PUT], paths: ["/admin/*"], notPaths: ["*.css"]}
    - {headers: [{name: x-debug}, {name: x-b, values: ["a*"], notValues: [ab]}]}
---
apiVersion: heddle.dev/v1
kind: BackendPolicy
metadata: {name: stock, namespace: bookshop}
spec:
  targetRef: {kind: Service, name: stock}
  loadBalancer: {algorithm: RANDOM}
  retries: {on: [unavailable, "503", reset], perTryTimeout: 1s}
  outlierDetection: {consecutiveGatewayFailures: 3}
---
apiVersion: heddle.dev/v1
kind: Workload
metadata: {name: outsider, namespace: bookshop, labels: {app: reviews}}
spec: {address: 127.0.1.99, sidecar: NONE, ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: near, namespace: bookshop}
spec:
  clusterIP: 10.96.9.1
  clusterIPs: [10.96.9.1, "fd00::1"]
  sessionAffinity: ClientIP
  ports: [{name: http, port: 80}, {name: tcp, port: 90}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: near-1, namespace: bookshop, labels: {kubernetes.io/service-name: near}}
addressType: IPv4
ports: [{name: http, port: 8080}, {name: tcp, port: 9090}]
endpoints:
- {addresses: [10.3.0.1], nodeName: n1, zone: z1, hints: {forZones: [{name: z1}]}}
- {addresses: [10.3.0.2], nodeName: n2, zone: z2, hints: {forZones: [{name: z2}]}}
)";

SCENARIO("every sidecar accepts everything that it is given") {
  for (const std::string& more : {std::string(), kEverything}) {
    const World world = WorldOf(more);
    for (const auto& [key, workload] : world->workloads) {
      if (!workload.sidecar) continue;
      for (const bool intercept : {false, true}) {
        CAPTURE(key.ToString(), intercept);
        DecodeAll(*SnapshotOf(*world, key, intercept));
      }
    }
  }
}

SCENARIO("the example that is shipped is valid and every sidecar accepts it") {
  const ingest::Update update = ingest::LoadDirectory({.directory = "examples/bookshop/mesh"});
  REQUIRE(update.world != nullptr);
  CAPTURE(update.problems);
  REQUIRE(update.problems.empty());
  REQUIRE(update.world->workloads.size() >= 7);
  for (const auto& [key, workload] : update.world->workloads) {
    const Snapshot snapshot = SnapshotOf(*update.world, key);
    const absl::Status consistent = translate::CheckConsistent(*snapshot);
    CAPTURE(key.ToString(), consistent);
    REQUIRE(consistent.ok());
    DecodeAll(*snapshot);
  }
}

// What the outbound side of a sidecar does with a request.
class Caller {
 public:
  Caller(const std::string& more, const std::string& workload,
         const std::string& table = "outbound")
      : snapshot_(SnapshotOf(more, workload, table != "outbound")) {
    decode::Context context(filter::AllFilters());
    const ResourceRef resource = snapshot_->Find(ResourceType::kRoutes, table);
    REQUIRE(resource != nullptr);
    auto routes = decode::RoutesFromBytes(resource->body, context);
    REQUIRE(routes.ok());
    table_ = proxy::RouteTable::Create(*routes);
  }

  proxy::RouteTable::Match Find(
      const std::string& method, const std::string& host, const std::string& path,
      const std::vector<std::pair<std::string, std::string>>& headers = {}) {
    head_ = {};
    head_.SetMethod(method);
    head_.SetScheme("http");
    head_.SetAuthority(host);
    head_.SetPath(path);
    for (const auto& [name, value] : headers) head_.headers.Add(name, value);
    return table_->Find(head_, 0);
  }
  // "cluster", "redirect", "answer 500", "no route", "no host".
  std::string Call(const std::string& method, const std::string& host, const std::string& path,
                   const std::vector<std::pair<std::string, std::string>>& headers = {}) {
    const proxy::RouteTable::Match match = Find(method, host, path, headers);
    if (match.host == nullptr) return "no host";
    if (match.route == nullptr) return "no route";
    const config::Route& route = *match.route->config;
    switch (route.kind) {
      case config::Route::Kind::kRedirect:
        return "redirect";
      case config::Route::Kind::kDirect:
        return "answer " + std::to_string(route.direct.status);
      case config::Route::Kind::kNonForwarding:
        return "?";
      case config::Route::Kind::kForward:
        break;
    }
    if (route.forward.weighted.empty()) return route.forward.cluster;
    std::string out;
    for (const config::WeightedCluster& one : route.forward.weighted)
      out += std::to_string(one.weight) + "x" + one.name + " ";
    return out;
  }
  // Retry conditions as bits of config::RetryPolicy; 0: none.
  uint32_t RetriesOf(const std::string& method, const std::string& host) {
    const auto match = Find(method, host, "/");
    REQUIRE(match.route != nullptr);
    const auto& retry = match.route->config->forward.retry;
    return retry == nullptr ? 0 : retry->on;
  }
  const http::RequestHead& head() const { return head_; }

 private:
  Snapshot snapshot_;
  std::shared_ptr<const proxy::RouteTable> table_;
  http::RequestHead head_;
};

SCENARIO("a service answers to its names, and hosts of nobody have no route") {
  Caller web("", "web-a");
  for (const char* host :
       {"reviews", "reviews:9080", "REVIEWS", "reviews.bookshop", "reviews.bookshop:9080",
        "reviews.bookshop.svc", "reviews.bookshop.svc.cluster.local",
        "reviews.bookshop.svc.cluster.local:9080"}) {
    CAPTURE(host);
    REQUIRE(web.Call("GET", host, "/") == "reviews.bookshop:9080");
  }
  REQUIRE(web.Call("POST", "stock:9090", "/bookshop.Stock/Get") == "stock.bookshop:9090");
  for (const char* host :
       {"revews", "reviews:80", "reviews.other", "example.org", "127.0.1.3:9080"}) {
    CAPTURE(host);
    REQUIRE(web.Call("GET", host, "/") == "no host");
  }
}

SCENARIO(
    "a request that may be repeated is retried on any failure, another one only when nothing "
    "began") {
  Caller web("", "web-a");
  using Retry = config::RetryPolicy;
  constexpr uint32_t kSafe =
      Retry::kConnectFailure | Retry::kRefusedStream | Retry::kResetBeforeRequest;
  for (const char* method : {"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
    REQUIRE(web.RetriesOf(method, "reviews") == (kSafe | Retry::k5xx));
  for (const char* method : {"POST", "PATCH", "GETX", "get"})
    REQUIRE(web.RetriesOf(method, "reviews") == kSafe);
  REQUIRE(web.RetriesOf("POST", "stock") == (kSafe | Retry::kGrpcUnavailable));
}

SCENARIO("an HTTPRoute's rules find their requests") {
  Caller web(kEverything, "web-a");
  REQUIRE(web.Call("GET", "reviews", "/") ==
          "3xreviews-v1.bookshop:9080 1xreviews-v2.bookshop:9080 ");
  REQUIRE(web.Call("GET", "reviews", "/old") == "redirect");
  REQUIRE(web.Call("GET", "reviews", "/old/x?y") == "redirect");
  REQUIRE(absl::StartsWith(web.Call("GET", "reviews", "/older"), "3x"));
  REQUIRE(web.Call("GET", "reviews", "/api/x", {{"x", "aa"}}) == "reviews-v2.bookshop:9080");
  REQUIRE(absl::StartsWith(web.Call("GET", "reviews", "/api/x", {{"x", "b"}}), "3x"));
  REQUIRE(absl::StartsWith(web.Call("POST", "reviews", "/api/x", {{"x", "a"}}), "3x"));
}

SCENARIO("with interception a host of nobody goes where it was going, or is refused") {
  Caller open("", "web-a", "outbound_9080");
  REQUIRE(open.Call("GET", "reviews", "/") == "reviews.bookshop:9080");
  REQUIRE(open.Call("GET", "stock:9090", "/") == "passthrough");  // not on this port
  REQUIRE(open.Call("GET", "example.org:9080", "/") == "passthrough");
  Caller closed(R"(
apiVersion: heddle.dev/v1
kind: WorkloadPolicy
metadata: {name: p, namespace: bookshop}
spec: {egress: {unlisted: DENY}}
)",
                "web-a", "outbound_9080");
  REQUIRE(closed.Call("GET", "example.org", "/") == "answer 502");
}

// ---- who may call

net::PeerInfo Peer(const std::string& spiffe) {
  net::PeerInfo peer;
  if (spiffe.empty()) return peer;
  peer.tls = true;
  peer.certificate_verified = true;
  peer.uri_sans = {spiffe};
  return peer;
}

std::string Account(const std::string& name) {
  return "spiffe://cluster.local/ns/bookshop/sa/" + name;
}

// Whether the HTTP policies of an inbound listener let a request pass.
class Guard {
 public:
  Guard(const std::string& more, const std::string& workload, const std::string& listener) {
    const ResourceRef resource =
        SnapshotOf(more, workload)->Find(ResourceType::kListener, listener);
    REQUIRE(resource != nullptr);
    envoy::config::listener::v3::Listener in;
    REQUIRE(in.ParseFromString(resource->body));
    envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager manager;
    REQUIRE(in.filter_chains(0).filters(0).typed_config().UnpackTo(&manager));
    for (const auto& one : manager.http_filters()) {
      envoy::extensions::filters::http::rbac::v3::RBAC config;
      if (!one.typed_config().UnpackTo(&config)) continue;
      auto engine = filter::rbac::DecodeEngine(config.rules(), base::Path("rules"));
      REQUIRE(engine.ok());
      engines_.push_back(*engine);
    }
    local_ = *net::Address::Parse(in.address().socket_address().address() + ":" +
                                  std::to_string(in.address().socket_address().port_value()));
  }

  bool Allows(const std::string& spiffe, const std::string& method, const std::string& path,
              const std::string& host = "stock", const std::string& from = "127.0.1.1:5000") {
    http::RequestHead head;
    head.SetMethod(method);
    head.SetAuthority(host);
    head.SetPath(path);
    const net::PeerInfo peer = Peer(spiffe);
    const net::Address remote = *net::Address::Parse(from);
    const filter::rbac::Facts facts{.request = &head,
                                    .remote = &remote,
                                    .direct_remote = &remote,
                                    .local = &local_,
                                    .peer = &peer,
                                    .metadata = nullptr};
    for (const auto& engine : engines_)
      if (!engine->Decide(facts).allowed) return false;
    return true;
  }

 private:
  std::vector<std::shared_ptr<const filter::rbac::Engine>> engines_;
  net::Address local_;
};

std::string Policy(const std::string& name, const std::string& spec) {
  return "---\napiVersion: heddle.dev/v1\nkind: AuthorizationPolicy\nmetadata: {name: " + name +
         ", namespace: bookshop}\nspec: " + spec + "\n";
}

SCENARIO("without a policy everybody passes; with one only those it names") {
  Guard open("", "stock-a", "inbound_9090");
  REQUIRE(open.Allows("", "POST", "/x"));
  Guard guard(Policy("p", "{rules: [{from: [{serviceAccounts: [catalog]}]}]}"), "stock-a",
              "inbound_9090");
  REQUIRE(guard.Allows(Account("catalog"), "POST", "/bookshop.Stock/Get"));
  REQUIRE_FALSE(guard.Allows(Account("web"), "POST", "/bookshop.Stock/Get"));
  REQUIRE_FALSE(guard.Allows(Account("catalog2"), "POST", "/bookshop.Stock/Get"));
  REQUIRE_FALSE(
      guard.Allows("spiffe://other/ns/bookshop/sa/catalog", "POST", "/bookshop.Stock/Get"));
  REQUIRE_FALSE(guard.Allows("", "POST", "/bookshop.Stock/Get"));
}

SCENARIO("a denial beats a permission, and an empty permission is none") {
  Guard guard(Policy("allow", "{rules: [{}]}") +
                  Policy("deny", "{action: DENY, rules: [{from: [{serviceAccounts: [web]}]}]}"),
              "stock-a", "inbound_9090");
  REQUIRE(guard.Allows(Account("catalog"), "POST", "/"));
  REQUIRE(guard.Allows("", "POST", "/"));
  REQUIRE_FALSE(guard.Allows(Account("web"), "POST", "/"));
  Guard nobody(Policy("p", "{}"), "stock-a", "inbound_9090");
  REQUIRE_FALSE(nobody.Allows(Account("catalog"), "POST", "/"));
}

SCENARIO("every part of a rule counts") {
  struct Case {
    const char* rule;
    bool allowed[4];
  };
  // GET /a/b of web; POST /a/b of web; GET /c of web; GET /a/b of another namespace.
  const Case cases[] = {
      {"{}", {true, true, true, true}},
      {"{from: [{principals: ['*']}]}", {true, true, true, true}},
      {"{from: [{namespaces: [bookshop]}]}", {true, true, true, false}},
      {"{from: [{notNamespaces: [bookshop]}]}", {false, false, false, true}},
      {"{from: [{namespaces: ['book*']}]}", {true, true, true, false}},
      {"{from: [{namespaces: ['*shop']}]}", {true, true, true, false}},
      {"{from: [{namespaces: ['*']}]}", {true, true, true, true}},
      {"{from: [{principals: ['*/sa/web']}]}", {true, true, true, true}},
      {"{from: [{ipBlocks: [127.0.1.0/24]}]}", {true, true, true, false}},
      {"{from: [{notIpBlocks: [127.0.1.1]}]}", {false, false, false, true}},
      {"{to: [{methods: [GET]}]}", {true, false, true, true}},
      {"{to: [{notMethods: [GET]}]}", {false, true, false, false}},
      {"{to: [{paths: ['/a/*']}]}", {true, true, false, true}},
      {"{to: [{paths: [/a/b]}]}", {true, true, false, true}},
      {"{to: [{notPaths: ['*b']}]}", {false, false, true, false}},
      {"{to: [{ports: [9090]}]}", {true, true, true, true}},
      {"{to: [{ports: [9091]}]}", {false, false, false, false}},
      {"{to: [{hosts: [stock.bookshop]}]}", {true, true, true, true}},
      {"{to: [{hosts: [STOCK.Bookshop]}]}", {true, true, true, true}},
      {"{to: [{hosts: ['stock.bookshop:80']}]}", {false, false, false, false}},
      {"{to: [{hosts: ['*.bookshop']}]}", {true, true, true, true}},
      {"{to: [{hosts: ['stock*']}]}", {true, true, true, true}},
      {"{to: [{notHosts: [stock.bookshop]}]}", {false, false, false, false}},
      {"{to: [{headers: [{name: x}]}]}", {false, false, false, false}},
      {"{to: [{methods: [GET], paths: [/c]}]}", {false, false, true, false}},
      {"{to: [{methods: [POST]}, {paths: [/c]}]}", {false, true, true, false}},
      {"{from: [{namespaces: [bookshop]}], to: [{methods: [GET]}]}", {true, false, true, false}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.rule);
    Guard guard(Policy("p", "{rules: [" + std::string(c.rule) + "]}"), "stock-a", "inbound_9090");
    const std::string host = "stock.bookshop:9090";
    REQUIRE(guard.Allows(Account("web"), "GET", "/a/b?x=/c", host) == c.allowed[0]);
    REQUIRE(guard.Allows(Account("web"), "POST", "/a/b", host) == c.allowed[1]);
    REQUIRE(guard.Allows(Account("web"), "GET", "/c", host) == c.allowed[2]);
    REQUIRE(guard.Allows("spiffe://cluster.local/ns/other/sa/web", "GET", "/a/b", host,
                         "127.0.2.1:5000") == c.allowed[3]);
  }
}

SCENARIO("connections to a TCP port are guarded too") {
  const ResourceRef resource =
      SnapshotOf(Policy("p", "{rules: [{from: [{serviceAccounts: [catalog]}]}]}"), "redis-a")
          ->Find(ResourceType::kListener, "inbound_6379");
  decode::Context context(filter::AllFilters());
  const auto listener = decode::ListenerFromBytes(resource->body, context);
  REQUIRE(listener.ok());
  for (const config::FilterChain& chain : (*listener)->chains) {
    REQUIRE(chain.policies.size() == 1);
    const auto policy =
        std::static_pointer_cast<const filter::NetworkPolicy>(chain.policies[0].policy);
    const net::Address address = *net::Address::Parse("127.0.1.7:6379");
    const auto allows = [&](const std::string& spiffe) {
      const net::PeerInfo peer = Peer(spiffe);
      return policy
          ->Decide({.remote = address, .direct_remote = address, .local = address, .peer = peer})
          .allow;
    };
    REQUIRE(allows(Account("catalog")));
    REQUIRE_FALSE(allows(Account("web")));
    REQUIRE_FALSE(allows(""));
  }
}

// ---- which way a connection takes

std::string Chain(const std::string& more, const std::string& listener,
                  const std::string& destination, absl::string_view transport) {
  const ResourceRef resource =
      SnapshotOf(more, "web-a", true)->Find(ResourceType::kListener, listener);
  decode::Context context(filter::AllFilters());
  const auto in = decode::ListenerFromBytes(resource->body, context);
  REQUIRE(in.ok());
  std::vector<const config::FilterChainMatch*> matches;
  for (const config::FilterChain& one : (*in)->chains) matches.push_back(&one.match);
  proxy::ChainFacts facts;
  facts.destination = *net::Address::Parse(destination);
  facts.source = facts.direct_source = *net::Address::Parse("127.0.0.1:4000");
  facts.transport = transport;
  const int chosen = proxy::ChooseChain(matches, facts);
  if (chosen >= 0) return (*in)->chains[static_cast<size_t>(chosen)].name;
  return (*in)->default_chain ? (*in)->default_chain->name : "closed";
}

SCENARIO("an intercepted connection takes the way of its destination") {
  REQUIRE(Chain("", "outbound", "10.96.0.8:6379", "raw_buffer") ==
          "outbound_tcp_redis.bookshop_6379");
  REQUIRE(Chain("", "outbound", "10.96.0.9:6379", "raw_buffer") == "passthrough");
  REQUIRE(Chain("", "outbound", "10.96.0.9:9080", "raw_buffer") == "outbound_9080");
  REQUIRE(Chain("", "outbound", "93.184.216.34:443", "tls") == "passthrough");
  REQUIRE(Chain("", "inbound", "10.0.0.1:9000", "tls") == "inbound_9000_tls");
  REQUIRE(Chain("", "inbound", "10.0.0.1:9000", "raw_buffer") == "inbound_9000_plain");
  REQUIRE(Chain("", "inbound", "10.0.0.1:22", "raw_buffer") == "closed");
  const std::string strict =
      "apiVersion: heddle.dev/v1\nkind: MeshConfig\nmetadata: {name: m}\nspec: {mtls: {mode: "
      "STRICT}}\n";
  REQUIRE(Chain(strict, "inbound", "10.0.0.1:9000", "tls") == "inbound_9000_tls");
  REQUIRE(Chain(strict, "inbound", "10.0.0.1:9000", "raw_buffer") == "closed");
}

}  // namespace
}  // namespace heddle
