// What a Service says of who is given which endpoints, and by which addresses it is called.
#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "test/control_plane/translate/snapshots.h"

namespace heddle::translate {
namespace {

// A Service with these endpoints, and callers "at-<zone>-<node>".
std::string Objects(const std::string& service, const std::string& endpoints) {
  std::string out = absl::StrCat(R"(
apiVersion: v1
kind: Service
metadata: {name: near, namespace: bookshop}
spec: {ports: [{name: http, port: 80}, {name: tcp, port: 90}], )",
                                 service, R"(}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: near-1, namespace: bookshop, labels: {kubernetes.io/service-name: near}}
addressType: IPv4
ports: [{name: http, port: 8080}, {name: tcp, port: 9090}]
endpoints: [)",
                                 endpoints, "]\n");
  int address = 0;
  for (const char* zone : {"z1", "z2", "z3", ""})
    for (const char* node : {"n1", "n2", ""})
      absl::StrAppend(&out, R"(---
apiVersion: heddle.dev/v1
kind: Workload
metadata: {name: at-)",
                      zone, "-", node, R"(-x, namespace: bookshop}
spec: {address: 10.2.0.)",
                      ++address, ", node: '", node, "', locality: {zone: '", zone, "'}}\n");
  return out;
}

std::string AddressesAt(const model::World& world, Translator& translator, const std::string& zone,
                        const std::string& node) {
  const auto snapshot =
      SnapshotOf(translator, world, absl::StrCat("at-", zone, "-", node, "-x"), true);
  std::string out;
  const auto all =
      Get<ClusterLoadAssignment>(*snapshot, ResourceType::kEndpoints, "near.bookshop:80");
  for (const auto& group : all.endpoints())
    for (const auto& one : group.lb_endpoints())
      absl::StrAppend(&out, out.empty() ? "" : " ",
                      one.endpoint().address().socket_address().address());
  return out;
}

std::string Endpoint(int n, const std::string& zones, const std::string& conditions = "") {
  return absl::StrCat("{addresses: [10.3.0.", n, "], ", conditions,
                      zones.empty() ? "" : absl::StrCat("hints: {forZones: [", zones, "]}"), "}");
}

SCENARIO("hints tell which zones an endpoint is for, as kube-proxy reads them") {
  const std::string z1 = "{name: z1}", z2 = "{name: z2}", both = z1 + ", " + z2;
  struct Case {
    std::string endpoints, zone, expected;
  };
  const std::string two = Endpoint(1, z1) + ", " + Endpoint(2, z2);
  const Case one = GENERATE_COPY(values<Case>({
      {two, "z1", "10.3.0.1"},
      {two, "z2", "10.3.0.2"},
      {two, "z3", "10.3.0.1 10.3.0.2"},  // nothing is for it
      {two, "", "10.3.0.1 10.3.0.2"},    // the caller's zone is not known
      {Endpoint(1, both) + ", " + Endpoint(2, z2), "z1", "10.3.0.1"},
      {Endpoint(1, both) + ", " + Endpoint(2, z2), "z2", "10.3.0.1 10.3.0.2"},
      {Endpoint(1, z1) + ", " + Endpoint(2, ""), "z1", "10.3.0.1 10.3.0.2"},  // one says nothing
      // One that is not ready does not count.
      {Endpoint(1, z1) + ", " + Endpoint(2, "", "conditions: {ready: false}, "), "z1", "10.3.0.1"},
      {Endpoint(1, z1) + ", " + Endpoint(2, z2, "conditions: {ready: false}, "), "z2", "10.3.0.1"},
  }));
  CAPTURE(one.endpoints, one.zone);
  const auto world = WorldOf(Objects("clusterIP: 10.96.0.1", one.endpoints));
  Translator translator;
  REQUIRE(AddressesAt(*world, translator, one.zone, "n1") == one.expected);
}

SCENARIO("hints of none but terminating endpoints do not count") {
  const std::string ending = "conditions: {ready: false, serving: true, terminating: true}, ";
  const auto world =
      WorldOf(Objects("clusterIP: 10.96.0.1", Endpoint(1, "{name: z1}", ending) + ", " +
                                                  Endpoint(2, "{name: z2}", ending)));
  Translator translator;
  REQUIRE(AddressesAt(*world, translator, "z1", "n1") == "10.3.0.1 10.3.0.2");
}

SCENARIO("internalTrafficPolicy: Local keeps a caller on its node") {
  const std::string endpoints = R"(
{addresses: [10.3.0.1], nodeName: n1, hints: {forZones: [{name: z9}]}},
{addresses: [10.3.0.2], nodeName: n1, conditions: {ready: false, serving: true, terminating: true}},
{addresses: [10.3.0.3], nodeName: n2, conditions: {ready: false, serving: true, terminating: true}},
{addresses: [10.3.0.4]})";
  Translator translator;
  const auto local =
      WorldOf(Objects("clusterIP: 10.96.0.1, internalTrafficPolicy: Local", endpoints));
  REQUIRE(AddressesAt(*local, translator, "z1", "n1") == "10.3.0.1");
  // The last one there still serves.
  REQUIRE(AddressesAt(*local, translator, "z1", "n2") == "10.3.0.3");
  REQUIRE(AddressesAt(*local, translator, "z1", "") == "");
  const auto headless =
      WorldOf(Objects("clusterIP: None, internalTrafficPolicy: Local", endpoints));
  REQUIRE(AddressesAt(*headless, translator, "z1", "n2") == "10.3.0.1 10.3.0.4");
}

SCENARIO("only what depends on the place is made for it") {
  const auto world = WorldOf(Objects("clusterIP: 10.96.0.1",
                                     Endpoint(1, "{name: z1}") + ", " + Endpoint(2, "{name: z2}")));
  Translator translator;
  const auto a = SnapshotOf(translator, *world, "at-z1-n1-x", true);
  const auto b = SnapshotOf(translator, *world, "at-z2-n1-x", true);
  const auto c = SnapshotOf(translator, *world, "at-z1-n2-x", true);
  for (const ResourceType type : {ResourceType::kCluster, ResourceType::kRoutes})
    for (const ResourceRef& one : a->Of(type)) REQUIRE(b->Find(type, one->name) == one);
  for (const ResourceRef& one : a->Of(ResourceType::kEndpoints)) {
    CAPTURE(one->name);
    const bool near = one->name == "near.bookshop:80" || one->name == "near.bookshop:90";
    REQUIRE((b->Find(ResourceType::kEndpoints, one->name) == one) == !near);
  }
  // The node is not what it depends on.
  const auto kEndpoints = static_cast<size_t>(ResourceType::kEndpoints);
  REQUIRE(a->versions[kEndpoints] == c->versions[kEndpoints]);
  REQUIRE(a->versions[kEndpoints] != b->versions[kEndpoints]);
}

std::vector<std::string> RangesOf(const Snapshot& snapshot, const std::string& chain) {
  std::vector<std::string> out;
  const auto listener = Get<Listener>(snapshot, ResourceType::kListener, "outbound");
  for (const auto& one : listener.filter_chains())
    if (one.name() == chain)
      for (const auto& range : one.filter_chain_match().prefix_ranges())
        out.push_back(absl::StrCat(range.address_prefix(), "/", range.prefix_len().value()));
  return out;
}

// The pod's other address.
constexpr const char* kOtherFamily = R"(---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: near-6, namespace: bookshop, labels: {kubernetes.io/service-name: near}}
addressType: IPv6
ports: [{name: http, port: 8080}, {name: tcp, port: 9090}]
endpoints: [{addresses: ['fd00:1::1']}]
)";

SCENARIO("each address of a Service of two families means it") {
  const auto world =
      WorldOf(Objects("clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1, 'fd00:0::1'], ipFamilies: "
                      "[IPv4, IPv6]",
                      Endpoint(1, "")) +
              kOtherFamily);
  Translator translator;
  const auto snapshot = SnapshotOf(translator, *world, "at-z1-n1-x", true);
  REQUIRE(RangesOf(*snapshot, "outbound_tcp_near.bookshop_90") ==
          std::vector<std::string>{"10.96.0.1/32", "fd00::1/128"});
  const VirtualHost host = HostOf(*snapshot, "near.bookshop:80", "outbound_80");
  const std::vector<std::string> domains(host.domains().begin(), host.domains().end());
  for (const char* domain : {"10.96.0.1", "10.96.0.1:80", "[fd00::1]", "[fd00::1]:80"})
    REQUIRE(std::count(domains.begin(), domains.end(), domain) == 1);
  // Both families are the same pods: they are called by that of the clusterIP.
  REQUIRE(AddressesAt(*world, translator, "z1", "n1") == "10.3.0.1");
}

SCENARIO("a pod of a headless Service is known by both of its addresses") {
  const auto world = WorldOf(Objects("clusterIP: None", Endpoint(1, "")) + kOtherFamily);
  Translator translator;
  const auto snapshot = SnapshotOf(translator, *world, "at-z1-n1-x", true);
  REQUIRE(RangesOf(*snapshot, "outbound_tcp_near.bookshop_90") ==
          std::vector<std::string>{"10.3.0.1/32", "fd00:1::1/128"});
}

SCENARIO("two Services with one of their addresses in common: the first by name has it") {
  model::WorldOptions options;
  options.live = true;
  const model::BuildResult built = test::BuildBookshop(R"(
apiVersion: v1
kind: Service
metadata: {name: a, namespace: bookshop}
spec: {ports: [{port: 90}], clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1, 'fd00::1']}
---
apiVersion: v1
kind: Service
metadata: {name: b, namespace: bookshop}
spec: {ports: [{port: 90}], clusterIP: 10.96.0.2, clusterIPs: [10.96.0.2, 'fd00::1']}
)",
                                                       options);
  REQUIRE(built.world != nullptr);
  REQUIRE(built.problems.at(0).ToString() ==
          "more.yaml:10: warning: Service bookshop/b: spec.clusterIPs: fd00::1 is the address of "
          "Service bookshop/a");
  REQUIRE(built.world->FindService({"bookshop", "a"})->cluster_ips.size() == 2);
  REQUIRE(built.world->FindService({"bookshop", "b"})->cluster_ips ==
          std::vector<std::string>{"10.96.0.2"});
}

SCENARIO("sessionAffinity: ClientIP is consistent hashing of the caller's address") {
  const std::string route = R"(---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: to-near, namespace: bookshop}
spec:
  parentRefs: [{kind: Service, name: reviews}]
  rules: [{backendRefs: [{name: near, port: 80}]}]
)";
  const auto world =
      WorldOf(Objects("clusterIP: 10.96.0.1, sessionAffinity: ClientIP", Endpoint(1, "")) + route);
  Translator translator;
  const auto snapshot = SnapshotOf(translator, *world, "at-z1-n1-x", true);
  const auto lb = [&](const char* name) {
    return Get<Cluster>(*snapshot, ResourceType::kCluster, name).lb_policy();
  };
  REQUIRE(lb("near.bookshop:80") == Cluster::MAGLEV);
  REQUIRE(lb("near.bookshop:90") == Cluster::LEAST_REQUEST);  // TCP
  REQUIRE(lb("reviews.bookshop:9080") == Cluster::LEAST_REQUEST);
  const auto hashes = [&](const Snapshot& of, const char* host, const char* table) {
    int out = 0;
    const VirtualHost there = HostOf(of, host, table);
    for (const Route& one : there.routes())
      for (const auto& policy : one.route().hash_policy())
        out += policy.connection_properties().source_ip();
    return out;
  };
  REQUIRE(hashes(*snapshot, "near.bookshop:80", "outbound_80") > 0);
  REQUIRE(hashes(*snapshot, "reviews.bookshop:9080", "outbound_9080") > 0);
  REQUIRE(hashes(*snapshot, "catalog.bookshop:9080", "outbound_9080") == 0);
  // Without interception every application calls from loopback or its own address: no hash.
  const auto plain = SnapshotOf(translator, *world, "at-z1-n1-x", false);
  REQUIRE(hashes(*plain, "near.bookshop:80", "outbound") == 0);
}

SCENARIO("a backend that is no Service is answered 500, and its kind is what is wrong") {
  struct Case {
    const char *ref, *problem;
  };
  const Case one = GENERATE(values<Case>({
      {"{group: example.com, kind: Bucket, name: b}",
       "spec.rules[0].backendRefs[0].group: \"example.com\" is not \"\""},
      {"{kind: Bucket, name: b, port: 1}",
       "spec.rules[0].backendRefs[0].kind: \"Bucket\" is not \"Service\""},
  }));
  model::WorldOptions options;
  options.live = true;
  const model::BuildResult built = test::BuildBookshop(absl::StrCat(R"(
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: odd, namespace: bookshop}
spec:
  parentRefs: [{kind: Service, name: reviews}]
  rules: [{backendRefs: [)",
                                                                    one.ref, R"(,
                         {name: catalog, port: 9080}]}]
)"),
                                                       options);
  REQUIRE(built.world != nullptr);
  REQUIRE(built.problems.size() == 1);
  REQUIRE(built.problems[0].reason == "InvalidKind");
  REQUIRE(built.problems[0].path + ": " + built.problems[0].message == one.problem);
  Translator translator;
  const auto snapshot = SnapshotOf(translator, *built.world, "web-a");
  const VirtualHost host = HostOf(*snapshot, "reviews.bookshop:9080");
  const auto& shares = host.routes(0).route();
  REQUIRE(shares.weighted_clusters().clusters(0).name() == "no_backend");
  REQUIRE(shares.weighted_clusters().clusters(1).name() == "catalog.bookshop:9080");
}

SCENARIO("a backend that speaks no HTTP is not one that is not there") {
  model::WorldOptions options;
  options.live = true;
  const model::BuildResult built = test::BuildBookshop(R"(
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: odd, namespace: bookshop}
spec:
  parentRefs: [{kind: Service, name: reviews}]
  rules: [{backendRefs: [{name: redis, port: 6379}, {name: redis, port: 1}]}]
)",
                                                       options);
  REQUIRE(built.problems.size() == 2);
  REQUIRE(built.problems[0].reason == "UnsupportedProtocol");
  REQUIRE(built.problems[1].reason == "BackendNotFound");
}

}  // namespace
}  // namespace heddle::translate
