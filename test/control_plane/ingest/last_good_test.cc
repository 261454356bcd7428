// Objects that are not valid when heddle-control sees them first: what it remembers of them serves,
// else a guard stands in their place.
#include "control_plane/ingest/last_good.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "control_plane/ingest/kube_object.h"
#include "control_plane/ingest/merge.h"

namespace heddle::ingest {
namespace {

using Action = model::AuthorizationPolicy::Action;
using model::MtlsMode;
using nlohmann::json;

const KubeResource& ResourceOf(KubeKind kind) {
  for (const KubeResource& one : KubeResources())
    if (one.kind == kind) return one;
  return KubeResources().front();
}

std::string Object(const std::string& name, const std::string& spec, const std::string& uid = "u") {
  return R"({"metadata":{"name":")" + name + R"(","namespace":"shop","uid":")" + uid +
         R"("},"spec":)" + spec + "}";
}

ParsedFile Read(KubeKind kind, const std::string& object) {
  return *ReadKubeObject(ResourceOf(kind), json::parse(object), {}).file;
}

constexpr char kPod[] = R"({"metadata":{"name":"web","namespace":"shop","labels":{"app":"web"}},
  "spec":{"containers":[{"name":"heddle-proxy"}]},"status":{"podIP":"10.0.0.1"}})";

// A live cluster with one pod.
struct Cluster {
  Merge merge{[] {
    model::WorldOptions options;
    options.live = true;
    return options;
  }()};
  Cluster() { merge.Put(Read(KubeKind::kPod, kPod)); }
  void Put(KubeKind kind, const std::string& object) { merge.Put(Read(kind, object)); }
  const model::World& world() {
    merge.Apply();
    return *merge.world();
  }
  const model::AuthorizationPolicy* Policy(const std::string& name) {
    return world().authorization.Find({"shop", name});
  }
  MtlsMode Mtls() { return world().FindWorkload({"shop", "web"})->mtls; }
};

constexpr KubeKind kAccess = KubeKind::kAuthorizationPolicy;
constexpr char kGood[] = R"({"rules":[{"from":[{"namespaces":["shop"]}]}]})";
constexpr char kBad[] = R"({"rules":[{"from":[{"ipBlocks":["10.0.0.0/99"]}]}]})";

SCENARIO("an AuthorizationPolicy that never was valid refuses all that it may have refused") {
  struct Case {
    const char* spec;
    Action action;
    size_t rules, labels;
  };
  const Case one = GENERATE(values<Case>({
      {R"({"rules":[{"from":[{"ipBlocks":["x"]}]}]})", Action::kAllow, 0, 0},
      {R"({"selector":{"matchLabels":{"app":"web"}},"rules":7})", Action::kAllow, 0, 1},
      {R"({"action":"DENY","rules":[{"to":[{"ports":[70000]}]}]})", Action::kDeny, 1, 0},
      {R"({"action":"AUDIT"})", Action::kDeny, 1, 0},
      {R"({"action":["ALLOW"]})", Action::kDeny, 1, 0},
      // A selector that cannot be read whole selects everything.
      {R"({"selector":{"matchLabels":{"app":"web"},"matchExpressions":[]}})", Action::kAllow, 0, 0},
      {R"({"selector":{"matchLabels":{"app":7}}})", Action::kAllow, 0, 0},
      {R"({"selector":"web"})", Action::kAllow, 0, 0},
  }));
  Cluster t;
  t.Put(kAccess, Object("x", one.spec));
  const model::AuthorizationPolicy* const policy = t.Policy("x");
  INFO(one.spec);
  REQUIRE(policy != nullptr);
  REQUIRE(policy->action == one.action);
  REQUIRE(policy->rules.size() == one.rules);
  REQUIRE(policy->selector.size() == one.labels);
  for (const model::AuthorizationRule& rule : policy->rules)
    REQUIRE((rule.from.empty() && rule.to.empty()));
  REQUIRE(t.merge.problems().size() == 2);
  REQUIRE(t.merge.problems()[1].message ==
          "until this is valid, everything that it may guard is refused");
  REQUIRE(t.merge.kept().empty());
}

SCENARIO("what guards goes when the object is corrected or deleted, and follows it meanwhile") {
  Cluster t;
  t.Put(kAccess, Object("x", R"({"action":"DENY","rules":7})"));
  REQUIRE(t.Policy("x")->action == Action::kDeny);
  SECTION("corrected") {
    t.Put(kAccess, Object("x", kGood));
    REQUIRE(t.Policy("x")->rules.size() == 1);
    REQUIRE(t.merge.problems().empty());
    AND_THEN("a bad edit from then on keeps what was") {
      t.Put(kAccess, Object("x", kBad));
      REQUIRE(t.Policy("x")->rules.size() == 1);
      REQUIRE(t.merge.kept().size() == 1);
      REQUIRE(t.merge.problems().size() == 1);
    }
  }
  SECTION("deleted") {
    t.merge.Remove("AuthorizationPolicy shop/x");
    REQUIRE(t.Policy("x") == nullptr);
    REQUIRE(t.merge.problems().empty());
  }
  SECTION("otherwise wrong") {
    t.Put(kAccess, Object("x", R"({"action":"ALLOW","rules":7})"));
    REQUIRE(t.Policy("x")->action == Action::kAllow);
    REQUIRE(t.Policy("x")->rules.empty());
  }
}

SCENARIO("a WorkloadPolicy or MeshConfig that never was valid is STRICT unless it says otherwise") {
  struct Case {
    const char* spec;
    MtlsMode workload, mesh;
  };
  const Case one = GENERATE(values<Case>({
      {R"({"mtls":{"mode":"STRICT"},"egress":7})", MtlsMode::kStrict, MtlsMode::kStrict},
      {R"({"mtls":{"mode":"strict"}})", MtlsMode::kStrict, MtlsMode::kStrict},
      {R"({"mtls":{"mode":"DISABLE","ports":{"0":"DISABLE"}}})", MtlsMode::kStrict,
       MtlsMode::kStrict},
      {R"({"mtls":{"mode":"DISABLE","ports":{"80":"STRICT"}},"egress":7})", MtlsMode::kDisable,
       MtlsMode::kStrict},
      {R"({"mtls":{"mode":"DISABLE"},"egress":7})", MtlsMode::kDisable, MtlsMode::kDisable},
      {R"({"mtls":[]})", MtlsMode::kStrict, MtlsMode::kStrict},
      {R"({"mtls":{"mode":"STRICT"},"rootNamespace":"Not a name"})", MtlsMode::kStrict,
       MtlsMode::kStrict},
      {R"({"egress":7})", MtlsMode::kPermissive, MtlsMode::kPermissive},
  }));
  INFO(one.spec);
  Cluster workload, mesh;
  workload.Put(KubeKind::kWorkloadPolicy, Object("x", one.spec));
  REQUIRE(workload.Mtls() == one.workload);
  std::string config = Object("x", one.spec);
  config.replace(config.find(R"("namespace":"shop",)"), 19, "");
  mesh.Put(KubeKind::kMeshConfig, config);
  REQUIRE(mesh.Mtls() == one.mesh);
}

SCENARIO("what is not valid at the start serves as it is remembered") {
  Cluster before;
  before.Put(kAccess, Object("x", kGood));
  before.merge.Apply();
  before.Put(kAccess, Object("x", kBad));
  REQUIRE(before.Policy("x")->rules.size() == 1);
  std::vector<std::string> left_out;
  const std::string text = LastGoodText(before.merge.kept(), kMaxLastGood, &left_out);
  REQUIRE(left_out.empty());

  Cluster after;
  for (ParsedFile& one : ReadLastGood(LastGoodOf(json{{"data", {{kLastGoodKey, text}}}}.dump())))
    after.merge.Remember(std::move(one));
  SECTION("and is remembered on") {
    after.Put(kAccess, Object("x", kBad));
    REQUIRE(after.Policy("x")->rules.size() == 1);
    REQUIRE(after.merge.kept() == before.merge.kept());
    REQUIRE(after.merge.problems().size() == 1);
  }
  SECTION("another object of that name is another object") {
    after.Put(kAccess, Object("x", kBad, "another"));
    REQUIRE(after.Policy("x")->rules.empty());
    REQUIRE(after.merge.kept().empty());
  }
  SECTION("what is valid now is what it says now") {
    after.Put(kAccess, Object("x", R"({"rules":[]})"));
    REQUIRE(after.Policy("x")->rules.empty());
    REQUIRE(after.merge.problems().empty());
  }
}

SCENARIO("what is remembered and does not fit gives way to a guard") {
  Cluster t;
  ParsedFile old = Read(kAccess, Object("x", kBad));
  t.merge.Remember(std::move(old));
  t.Put(kAccess, Object("x", kBad));
  REQUIRE(t.Policy("x") != nullptr);
  REQUIRE(t.Policy("x")->rules.empty());
}

SCENARIO("the record is bounded, and nonsense in it is nothing") {
  std::vector<Kept> kept;
  for (int i = 0; i < 20; ++i)
    kept.push_back({.name = absl::StrCat("AuthorizationPolicy shop/", i),
                    .uid = "u",
                    .text = R"({"apiVersion":"heddle.dev/v1","kind":"AuthorizationPolicy"})"});
  kept.push_back({.name = "a file", .uid = {}, .text = {}});
  std::vector<std::string> left_out;
  const std::string text = LastGoodText(kept, 1000, &left_out);
  REQUIRE(text.size() <= 1000);
  REQUIRE(left_out.size() + json::parse(text).size() == 20);
  for (const char* bad :
       {"", "[", "7", "{}", "[7]", R"([{"object":{"kind":"Secret","apiVersion":"v1"}}])",
        R"([{"object":{"kind":"AuthorizationPolicy","apiVersion":"heddle.dev/v1","spec":7}}])"})
    REQUIRE(ReadLastGood(bad).empty());
  REQUIRE(LastGoodOf(R"({"data":7})").empty());
  REQUIRE(LastGoodOf("nonsense").empty());
}

}  // namespace
}  // namespace heddle::ingest
