// Admission reviews: what the API server is answered, and what is said of it elsewhere.
#include "control_plane/admit/review.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "control_plane/ingest/parse.h"
#include "control_plane/inject/inject.h"
#include "control_plane/inject/patch.h"

namespace {

using heddle::admit::Answer;
using heddle::admit::Injection;
using heddle::admit::Reviewer;
using nlohmann::json;

json PodReview(json pod) {
  return {{"apiVersion", "admission.k8s.io/v1"},
          {"kind", "AdmissionReview"},
          {"request",
           {{"uid", "u-1"},
            {"kind", {{"group", ""}, {"version", "v1"}, {"kind", "Pod"}}},
            {"namespace", "shop"},
            {"operation", "CREATE"},
            {"object", std::move(pod)}}}};
}

json Pod() {
  return json::parse(R"({"metadata": {"generateName": "web-", "ownerReferences": [
      {"apiVersion": "v1", "kind": "Other", "name": "o", "uid": "1"},
      {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7", "uid": "2", "controller": true}]},
      "spec": {"containers": [{"name": "web"}]}})");
}

json ObjectReview(const std::string& object, const std::string& operation = "CREATE") {
  return {{"apiVersion", "admission.k8s.io/v1"},
          {"kind", "AdmissionReview"},
          {"request", {{"uid", "u-2"}, {"operation", operation}, {"object", json::parse(object)}}}};
}

json Ask(Reviewer& reviewer, const std::string& path, const json& review) {
  const Answer answer = reviewer.Review(path, "application/json", review.dump());
  INFO(answer.body);
  REQUIRE(answer.code == 200);
  const json body = json::parse(answer.body);
  CHECK(body["apiVersion"] == "admission.k8s.io/v1");
  CHECK(body["kind"] == "AdmissionReview");
  CHECK(body["response"]["uid"] == review["request"]["uid"]);
  return body["response"];
}

json Patched(const json& pod, const json& response) {
  CHECK(response["patchType"] == "JSONPatch");
  std::string patch;
  REQUIRE(absl::Base64Unescape(response["patch"].get<std::string>(), &patch));
  json out = pod;
  REQUIRE(heddle::inject::Apply(json::parse(patch), &out).ok());
  return out;
}

SCENARIO("a pod of an enabled namespace is patched into what injection makes of it") {
  std::vector<Injection> said;
  Reviewer reviewer({}, {.on_injection = [&](const Injection& one) { said.push_back(one); }});
  const json response = Ask(reviewer, "/inject/namespace", PodReview(Pod()));
  CHECK(response["allowed"] == true);
  json expected = Pod();
  std::vector<std::string> warnings;
  REQUIRE(heddle::inject::Inject({}, &expected, &warnings).ok());
  CHECK(Patched(Pod(), response) == expected);

  REQUIRE(said.size() == 1);
  CHECK(said[0].EventReason() == "Injected");
  CHECK(said[0].ns == "shop");
  CHECK(said[0].pod == "web-");
  CHECK(said[0].about.kind == "ReplicaSet");
  CHECK(said[0].about.name == "web-7");
  CHECK(said[0].about.uid == "2");

  const json again = Ask(reviewer, "/inject/namespace", PodReview(expected));
  CHECK(again["allowed"] == true);
  CHECK(!again.contains("patch"));
  CHECK(said.size() == 1);
}

SCENARIO("the path, the labels and the pod decide") {
  std::map<std::string, std::string> labels;
  std::vector<Injection> said;
  Reviewer reviewer({}, {.namespace_labels =
                             [&](const std::string& ns) {
                               CHECK(ns == "shop");
                               return std::optional(labels);
                             },
                         .on_injection = [&](const Injection& one) { said.push_back(one); }});
  const auto reason = [&](const std::string& path, const json& pod) {
    said.clear();
    const json response = Ask(reviewer, path, PodReview(pod));
    REQUIRE(said.size() == 1);
    CHECK(response["allowed"] == (said[0].verdict != heddle::inject::Verdict::kRefuse));
    CHECK(response.contains("patch") == (said[0].verdict == heddle::inject::Verdict::kInject));
    return std::string(said[0].EventReason()) + " " + said[0].reason;
  };
  json asks = Pod();
  asks["metadata"]["labels"]["heddle.dev/inject"] = "true";
  json declines = Pod();
  declines["metadata"]["labels"]["heddle.dev/inject"] = "false";
  json host = asks;
  host["spec"]["hostNetwork"] = true;
  json bad = asks;
  bad["metadata"]["annotations"]["heddle.dev/sidecar"] = "x";

  CHECK(reason("/inject", Pod()) == "NotInjected not-enabled");
  CHECK(reason("/inject", asks) == "Injected pod-label");
  labels["heddle.dev/inject"] = "enabled";
  CHECK(reason("/inject", Pod()) == "Injected namespace-label");
  CHECK(reason("/inject", declines) == "NotInjected pod-label");
  labels.clear();
  CHECK(reason("/inject/namespace", Pod()) == "Injected namespace-label");
  CHECK(reason("/inject/namespace", declines) == "NotInjected pod-label");
  CHECK(reason("/inject/pod", asks) == "Injected pod-label");
  CHECK(reason("/inject/pod", Pod()) == "NotInjected not-enabled");
  CHECK(reason("/inject/pod", host) == "NotInjected host-network");
  CHECK(reason("/inject/pod", bad) == "InjectionRefused bad-pod");

  const std::string metrics = reviewer.Metrics();
  CHECK(metrics.find("# TYPE heddle_injections_total counter\n") == 0);
  CHECK(metrics.find("heddle_injections_total{outcome=\"injected\",reason=\"pod-label\"} 2\n") !=
        std::string::npos);
  CHECK(metrics.find("heddle_injections_total{outcome=\"refused\",reason=\"bad-pod\"} 1\n") !=
        std::string::npos);
}

SCENARIO("a refusal names the annotation, and warnings reach the one who applies") {
  Reviewer reviewer({}, {});
  json pod = Pod();
  pod["metadata"]["annotations"] = {{"heddle.dev/drain-seconds", "soon"}};
  json response = Ask(reviewer, "/inject/namespace", PodReview(pod));
  CHECK(response["allowed"] == false);
  CHECK(response["status"]["code"] == 422);
  CHECK(response["status"]["message"] ==
        "annotation heddle.dev/drain-seconds: found \"soon\", allowed 0 to 86400 (heddle.dev: "
        "docs/injection.md)");
  pod["metadata"]["annotations"] = {{"heddle.dev/nosuch", "1"}};
  response = Ask(reviewer, "/inject/namespace", PodReview(pod));
  CHECK(response["allowed"] == true);
  CHECK(response["warnings"] ==
        json::array({"heddle: annotation heddle.dev/nosuch is not known and has no effect"}));
  for (int i = 0; i < 100; ++i)
    pod["metadata"]["annotations"]["heddle.dev/x" + std::to_string(i)] = "1";
  CHECK(Ask(reviewer, "/inject/namespace", PodReview(pod))["warnings"].size() == 20);
}

SCENARIO("a dry run changes the pod and tells nobody") {
  int said = 0;
  Reviewer reviewer({}, {.on_injection = [&](const Injection&) { ++said; }});
  json review = PodReview(Pod());
  review["request"]["dryRun"] = true;
  CHECK(Ask(reviewer, "/inject/namespace", review).contains("patch"));
  CHECK(said == 0);
}

SCENARIO("what is not the making of a pod passes") {
  Reviewer reviewer({}, {});
  const auto unchanged = [&](const json& patch) {
    json review = PodReview(Pod());
    review["request"].merge_patch(patch);
    const json response = Ask(reviewer, "/inject/namespace", review);
    return response["allowed"] == true && !response.contains("patch");
  };
  CHECK(unchanged({{"operation", "UPDATE"}}));
  CHECK(unchanged({{"subResource", "ephemeralcontainers"}}));
  CHECK(unchanged({{"kind", {{"kind", "Deployment"}}}}));
  CHECK(unchanged({{"kind", {{"group", "pods.example"}}}}));
}

SCENARIO("settings are swapped between reviews") {
  Reviewer reviewer({}, {});
  heddle::inject::Settings settings;
  settings.defaults.proxy_image = "next:2";
  reviewer.SetSettings(settings);
  const json pod = Patched(Pod(), Ask(reviewer, "/inject/namespace", PodReview(Pod())));
  CHECK(pod["spec"]["initContainers"][1]["image"] == "next:2");
}

SCENARIO("what is no review is refused with a code that says why") {
  Reviewer reviewer({}, {});
  const std::string good = PodReview(Pod()).dump();
  const auto code = [&](const std::string& path, const std::string& type, const std::string& body) {
    const Answer answer = reviewer.Review(path, type, body);
    return std::to_string(answer.code) + (answer.code == 200 ? "" : " " + answer.body);
  };
  CHECK(code("/inject", "application/json; charset=utf-8", good) == "200");
  CHECK(code("/inject", "Application/JSON", good) == "200");
  CHECK(code("/inject", "text/plain", good) == "415 content-type: want application/json\n");
  CHECK(code("/inject", "", good) == "415 content-type: want application/json\n");
  CHECK(code("/", "application/json", good).substr(0, 3) == "404");
  CHECK(code("/inject", "application/json", "{") == "400 not JSON\n");
  CHECK(code("/inject", "application/json", "") == "400 not JSON\n");
  CHECK(code("/inject", "application/json", "[]") ==
        "400 want an AdmissionReview of admission.k8s.io/v1\n");
  CHECK(code("/inject", "application/json",
             R"({"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview"})") ==
        "400 want an AdmissionReview of admission.k8s.io/v1\n");
  CHECK(code("/inject", "application/json",
             R"({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"})") ==
        "400 request.uid: required\n");
  CHECK(code("/inject", "application/json", std::string(101, '[')) ==
        "400 JSON nested more than 100 deep\n");
  CHECK(code("/inject", "application/json", "\"" + std::string(200, '[') + "\\\"[\"") ==
        "400 want an AdmissionReview of admission.k8s.io/v1\n");
  CHECK(reviewer.Metrics().find("heddle_admission_errors_total{code=\"400\"} 7") !=
        std::string::npos);
}

constexpr char kGood[] = R"({"apiVersion": "heddle.dev/v1", "kind": "BackendPolicy",
    "metadata": {"name": "web", "namespace": "shop", "uid": "x", "generation": 1,
                 "creationTimestamp": "2026-01-01T00:00:00Z",
                 "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}]},
    "spec": {"targetRef": {"group": "", "kind": "Service", "name": "web"},
             "timeouts": {"connect": "1s"}},
    "status": {"conditions": []}})";

SCENARIO("objects of our kinds are checked by the engine that serves them") {
  Reviewer reviewer({}, {});
  json response = Ask(reviewer, "/validate", ObjectReview(kGood));
  INFO(response);
  CHECK(response["allowed"] == true);
  CHECK(!response.contains("warnings"));

  json bad = json::parse(kGood);
  bad["spec"]["timeouts"]["connect"] = "soon";
  bad["spec"]["targetRef"]["kind"] = "Pod";
  response = Ask(reviewer, "/validate", ObjectReview(bad.dump(), "UPDATE"));
  CHECK(response["allowed"] == false);
  const std::string message = response["status"]["message"];
  CHECK(message.find("spec.timeouts.connect: ") != std::string::npos);
  CHECK(message.find("spec.targetRef.kind: ") != std::string::npos);

  bad = json::parse(kGood);
  bad["spec"]["timeout"] = {};
  response = Ask(reviewer, "/validate", ObjectReview(bad.dump()));
  CHECK(response["allowed"] == false);
  CHECK(response["status"]["message"].get<std::string>().find("spec.timeout: unknown field") == 0);

  bad = json::parse(kGood);
  bad["kind"] = "Backend";
  CHECK(Ask(reviewer, "/validate", ObjectReview(bad.dump()))["allowed"] == false);

  json review = ObjectReview("null", "DELETE");
  CHECK(Ask(reviewer, "/validate", review)["allowed"] == true);
  CHECK(Ask(reviewer, "/validate",
            ObjectReview(R"({"apiVersion": "v1", "kind": "Pod"})"))["allowed"] == true);
  CHECK(reviewer.Metrics() ==
        "# TYPE heddle_validations_total counter\n"
        "heddle_validations_total{outcome=\"allowed\"} 1\n"
        "heddle_validations_total{outcome=\"refused\"} 3\n");
}

SCENARIO("a reference that leads nowhere is a warning, not a refusal") {
  std::string others = R"(
apiVersion: v1
kind: Service
metadata: {name: other, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80}]}
)";
  Reviewer reviewer(
      {}, {.objects = [&] { return heddle::ingest::ParseFile("others", others).objects; }});
  const json response = Ask(reviewer, "/validate", ObjectReview(kGood));
  CHECK(response["allowed"] == true);
  CHECK(response["warnings"] ==
        json::array({"heddle: spec.targetRef.name: no such Service: shop/web"}));

  // The same object as it was before is not in its own way.
  others = R"(
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80}]}
---
)" + std::string(kGood);
  CHECK(!Ask(reviewer, "/validate", ObjectReview(kGood, "UPDATE")).contains("warnings"));
}

}  // namespace
