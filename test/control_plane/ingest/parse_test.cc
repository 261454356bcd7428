#include "control_plane/ingest/parse.h"

#include <catch2/catch.hpp>

namespace heddle::ingest {
namespace {

std::string Problems(const std::string& text) {
  std::string all;
  for (const model::Problem& one : ParseFile("x.yaml", text).problems) all += one.ToString() + "\n";
  return all;
}

SCENARIO("a file's documents become objects that know their lines") {
  const ParsedFile file = ParseFile("x.yaml", R"(# a comment
kind: Service
metadata: {name: a}
spec:
  ports:
  - port: 80
---
---
kind: Workload
metadata:
  name: b
)");
  REQUIRE(file.problems.empty());
  REQUIRE(file.objects.size() == 2);
  REQUIRE(file.objects[0].kind == model::Kind::kService);
  REQUIRE(file.objects[0].line_of("") == 2);
  REQUIRE(file.objects[0].line_of("spec.ports[0].port") == 6);
  REQUIRE(file.objects[0].line_of("spec.ports[0].name") == 6);  // not there: its parent
  REQUIRE(file.objects[1].line_of("metadata.name") == 11);
  REQUIRE(ParseFile("x.yaml", "").problems.empty());
}

SCENARIO("a file that is not understood is refused with file, line and path") {
  REQUIRE(
      Problems("kind: Deployment\n") ==
      "x.yaml:1: kind: unknown kind \"Deployment\"; known: Service HTTPRoute Workload MeshConfig "
      "BackendPolicy AuthorizationPolicy WorkloadPolicy EndpointSlice GRPCRoute "
      "ReferenceGrant\n");
  REQUIRE_THAT(Problems("a: b\n"), Catch::StartsWith("x.yaml:1: kind: required; known:"));
  REQUIRE_THAT(Problems("kind: Workload\nmetadata: {name: a}\nspec:\n  adress: 1.2.3.4\n"),
               Catch::StartsWith("x.yaml:4: Workload default/a: spec.adress: unknown field"));
  REQUIRE_THAT(Problems("kind: Workload\nmetadata: {name: a}\nspec: {ports: [{port: x}]}\n"),
               Catch::StartsWith("x.yaml:3: Workload default/a: spec.ports[0].port: found x"));
  REQUIRE_THAT(Problems("kind: [\n"), Catch::StartsWith("x.yaml:"));
  REQUIRE_THAT(Problems("just text\n"), Catch::Contains("kind"));
}

SCENARIO("one bad document does not hide the others' problems") {
  const std::string all = Problems("kind: Nope\n---\nkind: Service\nx: y\n");
  REQUIRE_THAT(all, Catch::Contains("x.yaml:1: kind: unknown") && Catch::Contains("x.yaml:4: "));
}

SCENARIO("cutting a file anywhere gives problems or objects, never harm") {
  const std::string text =
      "kind: Service\napiVersion: v1\nmetadata: {name: a}\nspec: {selector: {a: b}, ports: [{port: "
      "80, targetPort: \"x\"}]}\n---\n{\"kind\": \"Workload\", \"spec\": {\"address\": \"::1\"}}\n";
  for (size_t size = 0; size <= text.size(); ++size) {
    const ParsedFile file = ParseFile("x.yaml", text.substr(0, size));
    REQUIRE(file.objects.size() <= 2);
  }
}

}  // namespace
}  // namespace heddle::ingest
