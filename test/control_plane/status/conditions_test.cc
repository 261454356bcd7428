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
    REQUIRE((conditions[i][0].status == Truth::kTrue) == (one.accepted[i] == "Accepted"));
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
    conditions[0][0].status = Truth::kFalse;
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

SCENARIO("Programmed says how many proxies have a policy, and why some have not") {
  const Condition accepted{"Accepted", Truth::kTrue, "Accepted", ""};
  const serve::Rejection why{.node_id = "shop/web", .type = "LDS", .why = std::string(9999, 'w')};
  struct Case {
    serve::Spread spread;
    Truth status;
    std::string reason, message;
  };
  const Case one = GENERATE_COPY(values<Case>({
      {{}, Truth::kUnknown, "NoProxies", "no sidecar is connected to r1"},
      {{.total = 3, .acked = 2}, Truth::kFalse, "Pending", "not answered yet"},
      {{.total = 3, .acked = 3}, Truth::kTrue, "Programmed", "taken over by all 3 sidecars"},
      {{.total = 3, .acked = 2, .nacked = 1, .rejections = {why}},
       Truth::kFalse,
       "Rejected",
       "rejected by 1 of 3 sidecars connected to r1; shop/web: LDS: www"},
  }));
  const Condition found = ProgrammedOf(accepted, one.spread, "r1");
  REQUIRE(found.status == one.status);
  REQUIRE(found.reason == one.reason);
  REQUIRE(absl::StrContains(found.message, one.message));
  REQUIRE(found.message.size() < 1000);
  REQUIRE(ProgrammedOf({"Accepted", Truth::kFalse, "Invalid", "x"}, one.spread, "r1").reason ==
          "Invalid");
}

SCENARIO("what once was Programmed stays so in its generation") {
  const ingest::StatusTarget target = Target(KubeKind::kBackendPolicy);
  auto conditions = ConditionsOf(target, {});
  const serve::Spread all{.total = 3, .acked = 3};
  const serve::Spread none{.total = 3, .nacked = 3};
  conditions[0].push_back(ProgrammedOf(conditions[0][0], all, "r1"));
  json object = {{"metadata", {{"uid", "u"}, {"generation", 4}}}};
  const auto first = PatchFor(target, conditions, object.dump(), kNow, &all);
  object["status"] = json::parse((**first).body)["status"];
  REQUIRE(object["status"]["proxies"] == json{{"total", 3}, {"acked", 3}, {"nacked", 0}});
  REQUIRE(IsProgrammed(target, object.dump()));
  auto later = ConditionsOf(target, {});
  later[0].push_back(ProgrammedOf(later[0][0], none, "r2"));
  THEN("a new leader that hears of rejections changes nothing") {
    REQUIRE_FALSE(PatchFor(target, later, object.dump(), kNow, &none)->has_value());
  }
  THEN("of the next generation it does not speak") {
    ingest::StatusTarget next = target;
    next.generation = 5;
    object["metadata"]["generation"] = 5;
    REQUIRE_FALSE(IsProgrammed(next, object.dump()));
    const auto patch = PatchFor(next, later, object.dump(), kNow, &none);
    const json status = json::parse((**patch).body)["status"];
    REQUIRE(status["conditions"][2]["reason"] == "Rejected");
    REQUIRE(status["proxies"]["nacked"] == 3);
  }
  THEN("nor when it is not accepted any more") {
    auto refused = ConditionsOf(target, {Wrong("spec.targetRef.name", "TargetNotFound")});
    refused[0].push_back(ProgrammedOf(refused[0][0], none, "r1"));
    const auto patch = PatchFor(target, refused, object.dump(), kNow, &none);
    REQUIRE(json::parse((**patch).body)["status"]["conditions"][2]["reason"] == "Invalid");
  }
}

}  // namespace
}  // namespace heddle::status
