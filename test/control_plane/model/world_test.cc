// What a World makes of valid objects.
#include <catch2/catch.hpp>
#include <string>

#include "test/control_plane/support/bookshop.h"

namespace heddle {
namespace {

using model::Key;
using model::MtlsMode;
using model::Protocol;

std::shared_ptr<const model::World> Bookshop(const std::string& more = "") {
  model::BuildResult result = test::BuildBookshop(more);
  for (const model::Problem& one : result.problems) UNSCOPED_INFO(one.ToString());
  REQUIRE(result.world != nullptr);
  return result.world;
}

std::string Addresses(const model::Service& service) {
  std::string out;
  for (const model::Endpoint& one : service.ports.at(0).endpoints)
    out += one.address + ":" + std::to_string(one.port) + " ";
  return out;
}

SCENARIO("the workloads that a service selects are its endpoints") {
  const auto world = Bookshop();
  REQUIRE(Addresses(*world->FindService({"bookshop", "reviews"})) ==
          "127.0.1.3:9080 127.0.1.4:9080 127.0.1.5:9080 ");
  REQUIRE(Addresses(*world->FindService({"bookshop", "reviews-v2"})) == "127.0.1.5:9080 ");
  REQUIRE(world->FindService({"bookshop", "stock"})->ports.at(0).protocol == Protocol::kGrpc);
  REQUIRE(world->FindService({"bookshop", "redis"})->ports.at(0).protocol == Protocol::kTcp);
  REQUIRE(world->FindService({"other", "reviews"}) == nullptr);
}

SCENARIO("a workload of another namespace is not an endpoint") {
  const auto world = Bookshop(R"(
apiVersion: heddle.dev/v1
kind: Workload
metadata: {name: spy, namespace: other, labels: {app: reviews}}
spec: {address: 127.0.2.1, ports: [{name: http, port: 9080}]}
)");
  REQUIRE(Addresses(*world->FindService({"bookshop", "reviews"})) ==
          "127.0.1.3:9080 127.0.1.4:9080 127.0.1.5:9080 ");
}

SCENARIO("a workload without the port is left out, with a warning") {
  const model::BuildResult result = test::BuildBookshop(R"(
apiVersion: heddle.dev/v1
kind: Workload
metadata: {name: reviews-v3-a, namespace: bookshop, labels: {app: reviews}}
spec: {address: 127.0.1.9, ports: [{name: web, port: 80}]}
)");
  REQUIRE(result.world != nullptr);
  REQUIRE(result.problems.at(0).ToString() ==
          "services.yaml:15: warning: Service bookshop/reviews: spec.ports[0]: Workload "
          "bookshop/reviews-v3-a has no port \"http\": it gets no connections to this one");
}

SCENARIO("a service that selects nothing is served, with a warning") {
  const model::BuildResult result = test::BuildBookshop(R"(
apiVersion: v1
kind: Service
metadata: {name: empty, namespace: bookshop}
spec: {selector: {app: none}, ports: [{name: http, port: 80}]}
)");
  REQUIRE(result.world != nullptr);
  REQUIRE(result.problems.at(0).ToString() ==
          "more.yaml:5: warning: Service bookshop/empty: spec.selector: no Workload is behind this "
          "service");
}

SCENARIO("the mode of mutual TLS comes from the nearest level that says it") {
  const auto world = Bookshop(R"(
apiVersion: heddle.dev/v1
kind: MeshConfig
metadata: {name: mesh}
spec: {mtls: {mode: DISABLE}}
---
apiVersion: heddle.dev/v1
kind: WorkloadPolicy
metadata: {name: all, namespace: bookshop}
spec: {mtls: {mode: STRICT, ports: {6379: PERMISSIVE}}}
---
apiVersion: heddle.dev/v1
kind: WorkloadPolicy
metadata: {name: web, namespace: bookshop}
spec: {selector: {matchLabels: {app: web}}, mtls: {mode: PERMISSIVE, ports: {9000: DISABLE}}}
---
apiVersion: heddle.dev/v1
kind: Workload
metadata: {name: lonely, namespace: other}
spec: {address: 127.0.2.1}
)");
  const auto& web = *world->FindWorkload({"bookshop", "web-a"});
  REQUIRE(web.mtls == MtlsMode::kPermissive);
  REQUIRE(web.MtlsOf(9000) == MtlsMode::kDisable);
  REQUIRE(web.MtlsOf(6379) == MtlsMode::kPermissive);
  REQUIRE(world->FindWorkload({"bookshop", "stock-a"})->mtls == MtlsMode::kStrict);
  REQUIRE(world->FindWorkload({"other", "lonely"})->mtls == MtlsMode::kDisable);
  // Callers do not try mutual TLS where it is not spoken.
  REQUIRE_FALSE(world->FindService({"bookshop", "web"})->ports.at(0).endpoints.at(0).mtls);
  REQUIRE(world->FindService({"bookshop", "stock"})->ports.at(0).endpoints.at(0).mtls);
}

SCENARIO("a workload reaches what its policy lists, and everything without one") {
  const auto world = Bookshop(R"(
apiVersion: heddle.dev/v1
kind: WorkloadPolicy
metadata: {name: web, namespace: bookshop}
spec:
  selector: {matchLabels: {app: web}}
  egress: {services: [catalog, bookshop/stock], unlisted: DENY}
---
apiVersion: heddle.dev/v1
kind: WorkloadPolicy
metadata: {name: catalog, namespace: bookshop}
spec:
  selector: {matchLabels: {app: catalog}}
  egress: {services: [./*]}
---
apiVersion: v1
kind: Service
metadata: {name: far, namespace: other}
spec: {selector: {app: far}, ports: [{name: http, port: 80}]}
)");
  const auto& web = *world->FindWorkload({"bookshop", "web-a"})->egress;
  REQUIRE(web.services == std::vector<Key>{{"bookshop", "catalog"}, {"bookshop", "stock"}});
  REQUIRE_FALSE(web.allow_unlisted);
  const auto& catalog = *world->FindWorkload({"bookshop", "catalog-a"})->egress;
  REQUIRE(catalog.services.size() == 7);
  REQUIRE(catalog.allow_unlisted);
  const auto& stock = *world->FindWorkload({"bookshop", "stock-a"})->egress;
  REQUIRE(stock.services.size() == 8);
  // One object for all workloads with the same reach.
  REQUIRE(world->FindWorkload({"bookshop", "stock-a"})->egress ==
          world->FindWorkload({"bookshop", "redis-a"})->egress);
}

SCENARIO(
    "a backend policy replaces the mesh's defaults part by part, and one for a port the other") {
  const auto world = Bookshop(R"(
apiVersion: heddle.dev/v1
kind: MeshConfig
metadata: {name: mesh}
spec: {defaults: {retries: {attempts: 5}, limits: {requests: 7}}}
---
apiVersion: heddle.dev/v1
kind: BackendPolicy
metadata: {name: a, namespace: bookshop}
spec:
  targetRef: {kind: Service, name: two}
  retries: {attempts: 1, on: [reset]}
  timeouts: {request: 3s}
---
apiVersion: heddle.dev/v1
kind: BackendPolicy
metadata: {name: b, namespace: bookshop}
spec:
  targetRef: {kind: Service, name: two, sectionName: http-b}
  outlierDetection: {disabled: true}
---
apiVersion: v1
kind: Service
metadata: {name: two, namespace: bookshop}
spec:
  selector: {app: web}
  ports: [{name: http-a, port: 1, targetPort: 9000}, {name: http-b, port: 2, targetPort: 9000}]
)");
  const auto& two = *world->FindService({"bookshop", "two"});
  REQUIRE(two.ports[0].backend.retries.attempts == 1);
  REQUIRE(two.ports[0].backend.max_requests == 7);
  REQUIRE(two.ports[0].backend.request_timeout == absl::Seconds(3));
  REQUIRE(two.ports[1].backend.retries.attempts == 5);
  REQUIRE_FALSE(two.ports[1].backend.outlier.enabled);
  REQUIRE(two.ports[0].backend.outlier.enabled);
}

SCENARIO("equal objects give equal digests in whichever files and order they stand") {
  const auto one = test::BuildFiles({{"a", test::kServices}, {"b", test::kWorkloads}}).world;
  const auto two =
      test::BuildFiles({{"x", std::string(test::kWorkloads) + "---" + test::kServices}}).world;
  REQUIRE(one->digest == two->digest);
  const auto three = Bookshop(R"(
apiVersion: heddle.dev/v1
kind: BackendPolicy
metadata: {name: a, namespace: bookshop}
spec: {targetRef: {kind: Service, name: reviews}, timeouts: {request: 3s}}
)");
  REQUIRE(one->digest != three->digest);
  const Key reviews{"bookshop", "reviews"}, stock{"bookshop", "stock"};
  REQUIRE(one->FindService(reviews)->digest != three->FindService(reviews)->digest);
  REQUIRE(one->FindService(stock)->digest == three->FindService(stock)->digest);
}

SCENARIO("what kubectl prints is accepted") {
  const auto world = Bookshop(R"(
apiVersion: v1
kind: Service
metadata:
  annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}"}
  creationTimestamp: "2024-05-01T10:00:00Z"
  labels: {a: b}
  managedFields: [{apiVersion: v1, fieldsV1: {"f:spec": {}}, manager: kubectl}]
  name: from-cluster
  namespace: bookshop
  resourceVersion: "123"
  uid: 3a6f
spec:
  allocateLoadBalancerNodePorts: true
  clusterIP: 10.96.1.1
  clusterIPs: [10.96.1.1]
  externalTrafficPolicy: Cluster
  internalTrafficPolicy: Cluster
  ipFamilies: [IPv4]
  ipFamilyPolicy: SingleStack
  ports:
  - {appProtocol: kubernetes.io/h2c, name: web, nodePort: 30001, port: 80, targetPort: 9000}
  selector: {app: web}
  sessionAffinity: None
  type: LoadBalancer
status: {loadBalancer: {}}
)");
  const auto& service = *world->FindService({"bookshop", "from-cluster"});
  REQUIRE(service.ports.at(0).protocol == Protocol::kHttp2);
  REQUIRE(service.cluster_ips == std::vector<std::string>{"10.96.1.1"});
}

}  // namespace
}  // namespace heddle
