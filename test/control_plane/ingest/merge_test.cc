#include "control_plane/ingest/merge.h"

#include <catch2/catch.hpp>

#include "test/control_plane/support/bookshop.h"

namespace heddle::ingest {
namespace {

constexpr char kRoute[] = R"(
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: reviews, namespace: bookshop}
spec:
  parentRefs: [{kind: Service, name: reviews}]
  rules: [{backendRefs: [{name: reviews-v1}]}]
)";

Merge Bookshop() {
  Merge merge({});
  merge.Put(ParseFile("services.yaml", test::kServices));
  merge.Put(ParseFile("workloads.yaml", test::kWorkloads));
  REQUIRE(merge.Apply());
  REQUIRE(merge.problems().empty());
  return merge;
}

size_t RoutesOfReviews(const Merge& merge) {
  return merge.world()->FindService({"bookshop", "reviews"})->routes.size();
}

SCENARIO("nothing is a world too") {
  Merge merge({});
  REQUIRE(merge.Apply());
  REQUIRE(merge.world()->services.empty());
  REQUIRE_FALSE(merge.Apply());
}

SCENARIO("a bad edit keeps what that file said before, and others' edits go on") {
  Merge merge = Bookshop();
  merge.Put(ParseFile("route.yaml", kRoute));
  REQUIRE(merge.Apply());
  REQUIRE(RoutesOfReviews(merge) == 1);

  merge.Put(ParseFile("route.yaml", "kind: HTTPRoute\nspec: [}\n"));
  merge.Put(ParseFile("mesh.yaml",
                      "apiVersion: heddle.dev/v1\nkind: MeshConfig\nmetadata: {name: m}\n"
                      "spec: {clusterDomain: example.org}\n"));
  REQUIRE(merge.Apply());
  REQUIRE(merge.world()->mesh.cluster_domain == "example.org");
  REQUIRE(RoutesOfReviews(merge) == 1);
  REQUIRE(merge.problems().size() == 1);
  REQUIRE(merge.problems()[0].file == "route.yaml");

  merge.Put(ParseFile("route.yaml", ""));
  REQUIRE(merge.Apply());
  REQUIRE(RoutesOfReviews(merge) == 0);
  REQUIRE(merge.problems().empty());
}

SCENARIO("a file with one bad document changes nothing with the good ones") {
  Merge merge = Bookshop();
  merge.Put(ParseFile("more.yaml", std::string(kRoute) + "---\nkind: Nope\n"));
  REQUIRE(merge.Apply());
  REQUIRE(RoutesOfReviews(merge) == 0);
  REQUIRE(merge.problems().size() == 1);
}

SCENARIO("removing what another file needs is reported and not done until that file agrees") {
  Merge merge = Bookshop();
  merge.Put(ParseFile("route.yaml", kRoute));
  REQUIRE(merge.Apply());
  merge.Remove("services.yaml");
  REQUIRE(merge.Apply());
  REQUIRE(merge.world()->FindService({"bookshop", "reviews"}) != nullptr);
  REQUIRE(merge.problems().at(0).ToString() ==
          "route.yaml:6: HTTPRoute bookshop/reviews: spec.parentRefs[0].name: no such Service: "
          "bookshop/reviews (since services.yaml is gone; what it said before is still served)");
  merge.Remove("route.yaml");
  REQUIRE(merge.Apply());
  REQUIRE(merge.world()->services.empty());
  REQUIRE(merge.problems().empty());
}

SCENARIO("files that need each other are adopted together, in whichever order they come") {
  Merge merge({});
  merge.Put(ParseFile("a-route.yaml", kRoute));
  REQUIRE(merge.Apply());
  REQUIRE(merge.problems().at(0).file == "a-route.yaml");
  REQUIRE(merge.world()->services.empty());
  merge.Put(ParseFile("services.yaml", test::kServices));
  merge.Put(ParseFile("workloads.yaml", test::kWorkloads));
  REQUIRE(merge.Apply());
  REQUIRE(merge.problems().empty());
  REQUIRE(RoutesOfReviews(merge) == 1);
}

SCENARIO("a harmless edit is adopted beside one that would break another file") {
  Merge merge = Bookshop();
  merge.Put(ParseFile("route.yaml", kRoute));
  REQUIRE(merge.Apply());
  merge.Remove("services.yaml");
  merge.Put(ParseFile("mesh.yaml",
                      "apiVersion: heddle.dev/v1\nkind: MeshConfig\nmetadata: {name: m}\n"
                      "spec: {clusterDomain: example.org}\n"));
  REQUIRE(merge.Apply());
  REQUIRE(merge.world()->mesh.cluster_domain == "example.org");
  REQUIRE(merge.world()->services.size() == 7);
}

SCENARIO("the same text again changes nothing") {
  Merge merge = Bookshop();
  merge.Put(ParseFile("services.yaml", test::kServices));
  REQUIRE_FALSE(merge.Apply());
}

SCENARIO("an object that moves from one file to another is never defined twice") {
  Merge merge = Bookshop();
  merge.Put(ParseFile("services.yaml", ""));
  merge.Put(ParseFile("new.yaml", test::kServices));
  REQUIRE_FALSE(merge.Apply());  // the same world, and no problems
  REQUIRE(merge.problems().empty());
  REQUIRE(merge.world()->services.size() == 7);
}

}  // namespace
}  // namespace heddle::ingest
