// Whole snapshots: what is in them, what changes them, and what is made only once.
#include <catch2/catch.hpp>
#include <set>

#include "control_plane/translate/memo.h"
#include "test/control_plane/translate/snapshots.h"

namespace heddle::translate {
namespace {

// Names of what differs between two snapshots, as a push would carry it.
std::string Changes(const Snapshot& before, const Snapshot& after) {
  std::string out;
  for (size_t type = 0; type < kResourceTypes; ++type) {
    std::set<std::string> names;
    for (const auto* snapshot : {&before, &after})
      for (const ResourceRef& one : snapshot->resources[type]) names.insert(one->name);
    for (const std::string& name : names) {
      const ResourceRef a = before.Find(static_cast<ResourceType>(type), name);
      const ResourceRef b = after.Find(static_cast<ResourceType>(type), name);
      if (a != nullptr && b != nullptr && a->version == b->version) continue;
      out += std::string(a == nullptr   ? "+"
                         : b == nullptr ? "-"
                                        : "~") +
             "CELR"[type] + ":" + name + " ";
    }
  }
  return out;
}

SCENARIO("a sidecar is given its own side, its services and nothing else") {
  const auto snapshot = SnapshotOf(R"(
apiVersion: heddle.dev/v1
kind: WorkloadPolicy
metadata: {name: p, namespace: bookshop}
spec: {selector: {matchLabels: {app: web}}, egress: {services: [catalog]}}
)",
                                   "web-a");
  REQUIRE(Names(*snapshot, ResourceType::kCluster) == "catalog.bookshop:9080 inbound:9000");
  REQUIRE(Names(*snapshot, ResourceType::kEndpoints) == "catalog.bookshop:9080");
  REQUIRE(Names(*snapshot, ResourceType::kListener) == "inbound_9000 outbound");
  REQUIRE(Names(*snapshot, ResourceType::kRoutes) == "outbound");
  REQUIRE(TypeUrl(ResourceType::kEndpoints) ==
          "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment");
}

SCENARIO("every workload's snapshot is consistent, with and without interception") {
  const auto world = WorldOf();
  Translator translator;
  for (const auto& [key, workload] : world->workloads)
    for (const bool intercept : {false, true}) SnapshotOf(translator, *world, key.name, intercept);
}

const std::string kCanary = R"(
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: reviews, namespace: bookshop}
spec:
  parentRefs: [{kind: Service, name: reviews}]
  rules:
  - backendRefs: [{name: reviews-v1, weight: WEIGHT}, {name: reviews-v2, weight: 50}]
)";

std::string Canary(const std::string& weight) {
  std::string out = kCanary;
  out.replace(out.find("WEIGHT"), 6, weight);
  return out;
}

SCENARIO("an edit changes only the resources it is about") {
  Translator translator;
  const std::string scope = R"(
---
apiVersion: heddle.dev/v1
kind: WorkloadPolicy
metadata: {name: p, namespace: bookshop}
spec: {selector: {matchLabels: {app: web}}, egress: {services: [catalog]}}
)";
  const auto before = WorldOf(Canary("95") + scope);
  const auto after = WorldOf(Canary("50") + scope);
  const auto change = [&](const std::string& workload) {
    return Changes(*SnapshotOf(translator, *before, workload),
                   *SnapshotOf(translator, *after, workload));
  };
  REQUIRE(change("catalog-a") == "~R:outbound ");
  REQUIRE(change("web-a") == "");  // it does not call reviews: nothing is pushed to it

  const auto more = WorldOf(Canary("50") + scope + R"(
---
apiVersion: heddle.dev/v1
kind: Workload
metadata: {name: reviews-v2-b, namespace: bookshop, labels: {app: reviews, version: v2}}
spec:
  address: 127.0.1.55
  serviceAccount: reviews
  ports: [{name: http, port: 9080, appPort: 19080}]
)");
  REQUIRE(Changes(*SnapshotOf(translator, *after, "catalog-a"),
                  *SnapshotOf(translator, *more, "catalog-a")) ==
          "~E:reviews-v2.bookshop:9080 ~E:reviews.bookshop:9080 ");

  const auto guarded = WorldOf(Canary("50") + scope + R"(
---
apiVersion: heddle.dev/v1
kind: AuthorizationPolicy
metadata: {name: stock, namespace: bookshop}
spec:
  action: DENY
  selector: {matchLabels: {app: stock}}
  rules: [{from: [{serviceAccounts: [web]}]}]
)");
  REQUIRE(Changes(*SnapshotOf(translator, *after, "stock-a"),
                  *SnapshotOf(translator, *guarded, "stock-a")) == "~L:inbound_9090 ");
  REQUIRE(Changes(*SnapshotOf(translator, *after, "catalog-a"),
                  *SnapshotOf(translator, *guarded, "catalog-a")) == "");
}

SCENARIO("the same world gives the same bytes in every process") {
  Translator one, two;
  const auto a = SnapshotOf(one, *WorldOf(Canary("95")), "catalog-a");
  const auto b = SnapshotOf(two, *WorldOf(Canary("95")), "catalog-a");
  REQUIRE(a->version == b->version);
  REQUIRE(Changes(*a, *b) == "");
  REQUIRE(SnapshotOf(two, *WorldOf(Canary("50")), "catalog-a")->version != a->version);
}

SCENARIO("what two sidecars share is made once and is one object") {
  Translator translator;
  const auto world = WorldOf();
  const auto web = SnapshotOf(translator, *world, "web-a");
  const size_t made = translator.stats().made;
  const auto stock = SnapshotOf(translator, *world, "stock-a");
  // Its own inbound listener and cluster, its outbound listener and that for redis.
  REQUIRE(translator.stats().made == made + 4);
  for (const ResourceType type : {ResourceType::kEndpoints, ResourceType::kRoutes})
    for (const ResourceRef& one : web->Of(type)) REQUIRE(stock->Find(type, one->name) == one);

  // Asked again, nothing is made.
  const size_t again = translator.stats().made;
  SnapshotOf(translator, *world, "web-a");
  REQUIRE(translator.stats().made == again);
}

SCENARIO("a resource made anew with the same content is the same object") {
  Translator translator;
  const auto before = SnapshotOf(translator, *WorldOf(), "web-a");
  // A comment of Kubernetes on a Service: other input, equal output.
  const auto world =
      test::BuildFiles({{"workloads", test::kWorkloads},
                        {"services",
                         [] {
                           std::string text = test::kServices;
                           const std::string name = "{name: reviews, namespace: bookshop}";
                           return text.replace(
                               text.find(name), name.size(),
                               "{name: reviews, namespace: bookshop, resourceVersion: \"7\"}");
                         }()}})
          .world;
  const size_t made = translator.stats().made;
  const auto after = SnapshotOf(translator, *world, "web-a");
  REQUIRE(translator.stats().made > made);
  REQUIRE(after->version == before->version);
  for (size_t type = 0; type < kResourceTypes; ++type)
    REQUIRE(after->resources[type] == before->resources[type]);
}

SCENARIO("the memo forgets what nobody is given any more, and nothing else") {
  Memo memo;
  const auto get = [&](int i) {
    return memo.Get(model::Digest::Builder().Add(i).Done(), [&] {
      auto out = std::make_shared<Resource>();
      out->name = std::to_string(i);
      return out;
    });
  };
  const ResourceRef kept = get(-1);
  for (int i = 0; i < 5000; ++i) get(i);
  REQUIRE(memo.stats().held < 1100);
  REQUIRE(get(-1) == kept);
}

SCENARIO("who has no sidecar, or is not known, is given nothing") {
  const auto world = WorldOf(R"(
apiVersion: heddle.dev/v1
kind: Workload
metadata: {name: legacy, namespace: bookshop}
spec: {address: 127.0.1.77, sidecar: NONE}
)");
  REQUIRE(MakeProxyView(*world, {"bookshop", "nobody"}, {}).status().message() ==
          "no such Workload: bookshop/nobody");
  REQUIRE(MakeProxyView(*world, {"bookshop", "legacy"}, {}).status().code() ==
          absl::StatusCode::kFailedPrecondition);
}

SCENARIO("a reference that leads nowhere is found") {
  const auto whole = SnapshotOf("", "web-a");
  const auto without = [&](ResourceType type, const std::string& name) {
    Snapshot snapshot = *whole;
    auto& list = snapshot.resources[static_cast<size_t>(type)];
    std::erase_if(list, [&](const ResourceRef& one) { return one->name == name; });
    return std::string(CheckConsistent(snapshot).message());
  };
  REQUIRE(without(ResourceType::kRoutes, "outbound") ==
          "listener outbound refers to route configuration \"outbound\", which is not there");
  REQUIRE(without(ResourceType::kEndpoints, "stock.bookshop:9090") ==
          "cluster stock.bookshop:9090 refers to endpoints \"stock.bookshop:9090\", which is not "
          "there");
  REQUIRE(without(ResourceType::kCluster, "inbound:9000") ==
          "listener inbound_9000 refers to cluster \"inbound:9000\", which is not there");
  REQUIRE(without(ResourceType::kCluster, "redis.bookshop:6379") ==
          "listener outbound_tcp_redis.bookshop_6379 refers to cluster \"redis.bookshop:6379\", "
          "which is "
          "not there");
  REQUIRE(without(ResourceType::kListener, "outbound") ==
          "there are route configurations that no listener refers to");
}

}  // namespace
}  // namespace heddle::translate
