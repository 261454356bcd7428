#include "control_plane/ingest/kube_object.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "control_plane/ingest/merge.h"
#include "control_plane/model/build.h"

namespace heddle::ingest {
namespace {

using nlohmann::json;

const KubeResource& ResourceOf(KubeKind kind) {
  for (const KubeResource& one : KubeResources())
    if (one.kind == kind) return one;
  return KubeResources().front();
}

KubeObject Read(KubeKind kind, const std::string& text) {
  return ReadKubeObject(ResourceOf(kind), json::parse(text),
                        {.region = {}, .zone = "z1", .sub_zone = {}});
}

std::string Pod(const std::string& name, const std::string& address,
                const std::string& more_status = "") {
  return R"({"metadata":{"name":")" + name + R"(","namespace":"shop","labels":{"app":")" + name +
         R"("},"resourceVersion":"7","managedFields":[{}]},
    "spec":{"serviceAccountName":"seller","containers":[
      {"name":"app","ports":[{"name":"http","containerPort":8080},{"containerPort":53,"protocol":"UDP"},
                             {"name":"http","containerPort":8081},{"containerPort":15001}]},
      {"name":"heddle-proxy","ports":[{"containerPort":15021}]}]},
    "status":{"phase":"Running","podIP":")" +
         address + "\"" + more_status + "}}";
}

const char kService[] = R"({"metadata":{"name":"reviews","namespace":"shop"},"spec":{
  "clusterIP":"10.96.0.9","selector":{"app":"reviews"},"sessionAffinity":"ClientIP",
  "ports":[{"name":"http","port":80,"targetPort":"http","appProtocol":"http"},
           {"name":"dns","port":53,"protocol":"UDP"}]}})";

std::string Slice(const std::string& endpoints) {
  return R"({"metadata":{"name":"reviews-x","namespace":"shop","labels":{"kubernetes.io/service-name":"reviews"}},
    "addressType":"IPv4","ports":[{"name":"http","port":8080,"protocol":"TCP"}],"endpoints":[)" +
         endpoints + "]}";
}

std::string Endpoint(const std::string& address, const std::string& conditions,
                     const std::string& pod = "") {
  return R"({"addresses":[")" + address + R"("],"conditions":{)" + conditions + "}" +
         (pod.empty() ? "" : R"(,"targetRef":{"kind":"Pod","name":")" + pod + "\"}") + "}";
}

// Merge of a live cluster, and what it holds.
struct Cluster {
  Merge merge{[] {
    model::WorldOptions options;
    options.live = true;
    return options;
  }()};
  void Put(KubeKind kind, const std::string& text) {
    KubeObject read = Read(kind, text);
    REQUIRE(read.file.has_value());
    merge.Put(*read.file);
  }
  std::vector<std::string> Addresses() {
    merge.Apply();
    std::vector<std::string> out;
    for (const model::Endpoint& one :
         merge.world()->FindService({"shop", "reviews"})->ports[0].endpoints)
      out.push_back(one.address);
    return out;
  }
};

SCENARIO("a pod with a sidecar is a workload, and its status is no news") {
  const KubeObject pod = Read(KubeKind::kPod, Pod("reviews", "10.0.0.1"));
  REQUIRE(pod.file.has_value());
  const model::BuildResult built = model::BuildWorld(pod.file->objects, {});
  REQUIRE(built.world != nullptr);
  const model::Workload& workload = *built.world->FindWorkload({"shop", "reviews"});
  REQUIRE(workload.address == "10.0.0.1");
  REQUIRE(workload.service_account == "seller");
  REQUIRE(workload.locality.zone == "z1");
  REQUIRE(workload.ports.size() == 2);
  REQUIRE(Read(KubeKind::kPod, Pod("reviews", "10.0.0.1", R"(,"conditions":[{"type":"Ready"}])"))
              .digest == pod.digest);
  REQUIRE_FALSE(Read(KubeKind::kPod, Pod("reviews", "10.0.0.2")).digest == pod.digest);
}

SCENARIO("what is not of the mesh is left out") {
  REQUIRE_FALSE(Read(KubeKind::kPod, Pod("reviews", "")).file.has_value());
  std::string done = Pod("reviews", "10.0.0.1");
  done.replace(done.find("Running"), 7, "Failed");
  REQUIRE_FALSE(Read(KubeKind::kPod, done).file.has_value());
  std::string plain = Pod("reviews", "10.0.0.1");
  plain.replace(plain.find("heddle-proxy"), 12, "another-name");
  REQUIRE_FALSE(Read(KubeKind::kPod, plain).file.has_value());
  for (const char* service :
       {R"({"metadata":{"name":"a"},"spec":{"type":"ExternalName","ports":[{"port":80}]}})",
        R"({"metadata":{"name":"a"},"spec":{"ports":[{"port":53,"protocol":"UDP"}]}})",
        R"({"metadata":{"name":"a"},"spec":{}})", R"({"metadata":7,"spec":[]})"})
    REQUIRE_FALSE(Read(KubeKind::kService, service).file.has_value());
  // Of a Gateway: another controller's.
  REQUIRE_FALSE(Read(KubeKind::kHttpRoute,
                     R"({"metadata":{"name":"a","namespace":"shop"},"spec":{"parentRefs":[
                        {"group":"gateway.networking.k8s.io","kind":"Gateway","name":"g"}]}})")
                    .file.has_value());
}

SCENARIO("endpoints are those of the slices, ready before terminating") {
  struct Case {
    std::string endpoints;
    std::vector<std::string> want;
  };
  const Case one = GENERATE(values<Case>({
      {Endpoint("10.0.0.1", "") + "," + Endpoint("10.0.0.2", R"("ready":true)"),
       {"10.0.0.1", "10.0.0.2"}},
      {Endpoint("10.0.0.1", R"("ready":false)") + "," + Endpoint("10.0.0.2", ""), {"10.0.0.2"}},
      {Endpoint("10.0.0.1", R"("ready":false,"serving":true,"terminating":true)"), {"10.0.0.1"}},
      {Endpoint("10.0.0.1", R"("ready":false,"serving":false,"terminating":true)"), {}},
      {Endpoint("10.0.0.1", "") + "," + Endpoint("10.0.0.1", ""), {"10.0.0.1"}},
      {"", {}},
  }));
  Cluster t;
  t.Put(KubeKind::kService, kService);
  t.Put(KubeKind::kEndpointSlice, Slice(one.endpoints));
  REQUIRE(t.Addresses() == one.want);
  REQUIRE(t.merge.problems().empty());
}

SCENARIO("an endpoint's pod gives it its identity, and the Service says what its port speaks") {
  Cluster t;
  t.Put(KubeKind::kService, kService);
  t.Put(KubeKind::kPod, Pod("reviews-1", "10.0.0.1"));
  t.Put(KubeKind::kEndpointSlice, Slice(Endpoint("10.0.0.1", "", "reviews-1")));
  REQUIRE(t.Addresses().size() == 1);
  const model::Endpoint& endpoint =
      t.merge.world()->FindService({"shop", "reviews"})->ports[0].endpoints[0];
  REQUIRE(endpoint.service_account == "seller");
  REQUIRE(endpoint.mtls);
  REQUIRE(t.merge.world()->FindWorkload({"shop", "reviews-1"})->FindPort(8080)->protocol ==
          model::Protocol::kHttp);
  AND_THEN("without the pod it is called in plain text") {
    t.merge.Remove("Pod shop/reviews-1");
    REQUIRE(t.Addresses().size() == 1);
    REQUIRE_FALSE(t.merge.world()->FindService({"shop", "reviews"})->ports[0].endpoints[0].mtls);
  }
}

SCENARIO("two pods with one address for a moment harm nobody") {
  Cluster t;
  t.Put(KubeKind::kPod, Pod("old", "10.0.0.1"));
  t.Put(KubeKind::kPod, Pod("new", "10.0.0.1"));
  t.merge.Apply();
  REQUIRE(t.merge.problems().empty());
  REQUIRE(t.merge.world()->workloads.size() == 2);
}

const char kRoute[] = R"({"metadata":{"name":"r","namespace":"shop","uid":"u","generation":3},
  "spec":{"parentRefs":[{"group":"gateway.networking.k8s.io","kind":"Gateway","name":"g"},
                        {"group":"","kind":"Service","name":"reviews"}],
          "rules":[{"backendRefs":[{"group":"","kind":"Service","name":"gone","port":80,"weight":1}]}]}})";

SCENARIO("a Service that a route needs may go: the route's share is answered 500") {
  Cluster t;
  t.Put(KubeKind::kService, kService);
  t.Put(KubeKind::kHttpRoute, kRoute);
  t.merge.Apply();
  REQUIRE(t.merge.world()->FindService({"shop", "reviews"})->routes.size() == 1);
  REQUIRE(
      t.merge.world()->FindService({"shop", "reviews"})->routes[0]->rules[0].backends[0].invalid);
  REQUIRE(t.merge.problems().size() == 1);
  REQUIRE(t.merge.problems()[0].reason == "BackendNotFound");
  REQUIRE(t.merge.problems()[0].file == "HTTPRoute shop/r");
  t.merge.Remove("Service shop/reviews");
  t.merge.Apply();
  REQUIRE(t.merge.world()->FindService({"shop", "reviews"}) == nullptr);
  REQUIRE(t.merge.problems().size() == 2);
}

SCENARIO("our kinds are read as strictly as from a file, and a bad one keeps what it said") {
  Cluster t;
  t.Put(KubeKind::kService, kService);
  t.Put(KubeKind::kHttpRoute, kRoute);
  t.merge.Apply();
  std::string bad = kRoute;
  bad.replace(bad.find("\"rules\""), 7, "\"ruls\"");
  const KubeObject read = Read(KubeKind::kHttpRoute, bad);
  REQUIRE(read.file->problems.size() == 1);
  REQUIRE(absl::StrContains(read.file->problems[0].message, "unknown field"));
  t.merge.Put(*read.file);
  t.merge.Apply();
  REQUIRE(t.merge.world()->FindService({"shop", "reviews"})->routes.size() == 1);
}

SCENARIO("a GRPCRoute has the ports that speak HTTP/2, an HTTPRoute the others") {
  Cluster t;
  t.Put(KubeKind::kService, R"({"metadata":{"name":"reviews","namespace":"shop"},"spec":{
    "ports":[{"name":"http","port":80},{"name":"grpc","port":7070}]}})");
  const auto route = [](const char* name, const std::string& port) {
    return std::string(R"({"metadata":{"name":")") + name + R"(","namespace":"shop"},
      "spec":{"parentRefs":[{"group":"","kind":"Service","name":"reviews")" +
           port + R"(}],"rules":[{"backendRefs":[{"name":"reviews","port":80}]}]}})";
  };
  const auto holds = [&](const char* name) {
    t.merge.Apply();
    std::set<uint16_t> out;
    for (const auto& one : t.merge.world()->FindService({"shop", "reviews"})->routes)
      for (const model::RouteParent& parent : one->parents)
        if (one->key.name == name) out.insert(parent.port);
    return out;
  };
  t.Put(KubeKind::kHttpRoute, route("all", ""));
  REQUIRE(holds("all") == std::set<uint16_t>{0});
  t.Put(KubeKind::kGrpcRoute, route("calls", ""));
  REQUIRE(holds("all") == std::set<uint16_t>{80});
  REQUIRE(holds("calls") == std::set<uint16_t>{7070});
  REQUIRE(t.merge.problems().empty());
  t.Put(KubeKind::kHttpRoute, route("all", R"(,"port":7070)"));
  REQUIRE(holds("all").empty());
  REQUIRE(t.merge.problems().size() == 1);
  REQUIRE(t.merge.problems()[0].reason == "Conflicted");
}

SCENARIO("a route's status is for its Services, whatever other parents it has") {
  const KubeObject read = Read(KubeKind::kHttpRoute, kRoute);
  REQUIRE(read.status.has_value());
  REQUIRE(read.status->generation == 3);
  REQUIRE(read.status->parents.size() == 1);
  REQUIRE(absl::StrContains(read.status->parents[0], "reviews"));
  REQUIRE(ObjectPath(*read.status->resource, "shop", "r") ==
          "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/r");
}

}  // namespace
}  // namespace heddle::ingest
