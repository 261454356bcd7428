#include "control_plane/status/conditions.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/match.h"

namespace heddle::status {
namespace {

using ingest::KubeKind;
using model::Problem;
using model::Severity;
using nlohmann::json;

ingest::StatusTarget Target(KubeKind kind) {
  ingest::StatusTarget out{.ns = "shop", .name = "x", .uid = "u", .generation = 4, .parents = {}};
  for (const ingest::KubeResource& one : ingest::KubeResources())
    if (one.kind == kind) out.resource = &one;
  if (kind == KubeKind::kHttpRoute)
    out.parents = {R"({"group":"","kind":"Service","name":"a"})",
                   R"({"group":"","kind":"Service","name":"b"})"};
  return out;
}

Problem Wrong(const std::string& path, const std::string& reason,
              Severity severity = Severity::kWarning) {
  return {.severity = severity,
          .file = "HTTPRoute shop/x",
          .object = {},
          .path = path,
          .message = "why",
          .reason = reason};
}

SCENARIO("each parent of a route has its own conditions") {
  struct Case {
    std::vector<Problem> problems;
    std::string accepted[2], resolved;
  };
  const Case one = GENERATE(values<Case>({
      {{}, {"Accepted", "Accepted"}, "ResolvedRefs"},
      {{Wrong("spec.parentRefs[1].name", "NoMatchingParent")},
       {"Accepted", "NoMatchingParent"},
       "ResolvedRefs"},
      {{Wrong("spec.rules[0].backendRefs[0].name", "BackendNotFound")},
       {"Accepted", "Accepted"},
       "BackendNotFound"},
      {{Wrong("spec.rules[0].backendRefs[0].kind", "InvalidKind")},
       {"Accepted", "Accepted"},
       "InvalidKind"},
      {{Wrong("spec.rules[0].backendRefs[0].port", "UnsupportedProtocol")},
       {"Accepted", "Accepted"},
       "UnsupportedProtocol"},
      {{Wrong("spec.rules[0]", "", Severity::kError)},
       {"UnsupportedValue", "UnsupportedValue"},
       "ResolvedRefs"},
      {{Wrong("spec.hostnames", "")}, {"Accepted", "Accepted"}, "ResolvedRefs"},
  }));
  const auto conditions = ConditionsOf(Target(KubeKind::kHttpRoute), one.problems);
  REQUIRE(conditions.size() == 2);
  for (size_t i = 0; i < 2; ++i) {
    REQUIRE(conditions[i][0].reason == one.accepted[i]);
    REQUIRE(conditions[i][0].status == (one.accepted[i] == "Accepted"));
    REQUIRE(conditions[i][1].reason == one.resolved);
  }
}

const absl::Time kNow = absl::FromUnixSeconds(1767225600);

SCENARIO("a route's patch keeps the entries of others and the times of what did not change") {
  const ingest::StatusTarget target = Target(KubeKind::kHttpRoute);
  const json other = {{"controllerName", "example.com/x"}, {"parentRef", {{"name", "a"}}}};
  json object = {{"metadata", {{"uid", "u"}, {"generation", 4}, {"resourceVersion", "9"}}},
                 {"status", {{"parents", {other}}}}};
  auto conditions = ConditionsOf(target, {});
  const auto first = PatchFor(target, conditions, object.dump(), kNow);
  REQUIRE(first.ok());
  REQUIRE(first->has_value());
  const json patch = json::parse((*first)->body);
  REQUIRE(patch["metadata"]["resourceVersion"] == "9");
  REQUIRE(patch["status"]["parents"].size() == 3);
  REQUIRE(patch["status"]["parents"][0] == other);
  object["status"] = patch["status"];
  THEN("written again it is nothing new") {
    REQUIRE_FALSE(PatchFor(target, conditions, object.dump(), kNow + absl::Hours(1))->has_value());
  }
  THEN("what changes has the new time, the rest the old one") {
    conditions[0][0].status = false;
    const auto next = PatchFor(target, conditions, object.dump(), kNow + absl::Hours(1));
    const json parents = json::parse((**next).body)["status"]["parents"];
    REQUIRE(parents[1]["conditions"][0]["lastTransitionTime"] == "2026-01-01T01:00:00Z");
    REQUIRE(parents[1]["conditions"][1]["lastTransitionTime"] == "2026-01-01T00:00:00Z");
  }
}

SCENARIO("nothing is written about an object that changed meanwhile") {
  const ingest::StatusTarget target = Target(KubeKind::kBackendPolicy);
  const auto conditions = ConditionsOf(target, {});
  for (const char* object :
       {R"({"metadata":{"uid":"u","generation":5}})", R"({"metadata":{"uid":"v","generation":4}})"})
    REQUIRE(absl::IsAborted(PatchFor(target, conditions, object, kNow).status()));
  REQUIRE_FALSE(PatchFor(target, conditions, "[", kNow).ok());
}

SCENARIO("a policy's conditions are applied as ours alone") {
  const ingest::StatusTarget target = Target(KubeKind::kBackendPolicy);
  const auto conditions = ConditionsOf(target, {Wrong("spec.targetRef.name", "TargetNotFound")});
  const json object = {{"metadata", {{"uid", "u"}, {"generation", 4}}},
                       {"status", {{"conditions", {{{"type", "Theirs"}, {"status", "True"}}}}}}};
  const auto patch = PatchFor(target, conditions, object.dump(), kNow);
  REQUIRE(patch->has_value());
  REQUIRE((**patch).content_type == "application/apply-patch+yaml");
  REQUIRE(absl::StrContains((**patch).query, "fieldManager=heddle-control&force=true"));
  const json body = json::parse((**patch).body);
  REQUIRE(body["status"]["conditions"].size() == 2);
  REQUIRE(body["status"]["conditions"][0]["reason"] == "TargetNotFound");
  REQUIRE(body["status"]["observedGeneration"] == 4);
  REQUIRE_FALSE(body["metadata"].contains("resourceVersion"));
}

}  // namespace
}  // namespace heddle::status
