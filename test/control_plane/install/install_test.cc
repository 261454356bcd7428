// What an installation consists of, and which values are refused in which words.
#include <catch2/catch.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "control_plane/inject/options.h"
#include "control_plane/inject/settings.h"
#include "control_plane/install/chart_files.h"
#include "control_plane/install/manifests.h"
#include "control_plane/install/values.h"
#include "control_plane/status/version.h"

namespace heddle::install {
namespace {

using nlohmann::json;

// By "Kind namespace/name". Fails the test when they do not render.
std::map<std::string, json> Render(std::initializer_list<const char*> sets,
                                   const std::string& ns = "heddle-system") {
  auto values = DefaultValues();
  REQUIRE(values.ok());
  for (const char* set : sets) {
    const absl::Status status = SetValue(set, &*values);
    CAPTURE(status.ToString());
    REQUIRE(status.ok());
  }
  const absl::Status allowed = CheckValues(*values);
  CAPTURE(allowed.ToString());
  REQUIRE(allowed.ok());
  const auto manifests = RenderChart({.ns = ns}, *values);
  CAPTURE(manifests.status().ToString());
  REQUIRE(manifests.ok());
  std::map<std::string, json> out;
  for (const Manifest& one : *manifests) {
    const auto object = ParseYamlValue(one.ToString(), one.text);
    CAPTURE(object.status().ToString(), one.text);
    REQUIRE(object.ok());
    REQUIRE(out.emplace(one.ToString(), *object).second);
  }
  return out;
}

SCENARIO("an installation holds everything, in an order in which it can be applied") {
  auto values = DefaultValues();
  REQUIRE(values.ok());
  (*values)["namespace"]["create"] = true;
  (*values)["meshConfig"]["create"] = true;
  const auto manifests = RenderChart({}, *values);
  REQUIRE(manifests.ok());
  std::vector<std::string> names;
  for (const Manifest& one : *manifests) names.push_back(one.ToString());
  const std::vector<std::string> expect = {
      "Namespace heddle-system",
      "CustomResourceDefinition authorizationpolicies.heddle.dev",
      "CustomResourceDefinition backendpolicies.heddle.dev",
      "CustomResourceDefinition meshconfigs.heddle.dev",
      "CustomResourceDefinition workloadpolicies.heddle.dev",
      "CustomResourceDefinition workloads.heddle.dev",
      "ServiceAccount heddle-system/heddle-control",
      "ClusterRole heddle-control",
      "ClusterRole heddle-edit",
      "ClusterRole heddle-view",
      "ClusterRoleBinding heddle-control",
      "Role heddle-system/heddle-control",
      "RoleBinding heddle-system/heddle-control",
      "ConfigMap heddle-system/heddle-injection",
      "Service heddle-system/heddle-control",
      "PodDisruptionBudget heddle-system/heddle-control",
      "Deployment heddle-system/heddle-control",
      "MutatingWebhookConfiguration heddle-injector",
      "ValidatingWebhookConfiguration heddle-validator",
      "MeshConfig mesh",
  };
  REQUIRE(names == expect);
}

SCENARIO("values reach what they are about") {
  auto all = Render({"control.replicas=3", "control.image=registry.example/c:1",
                     "control.nodeSelector.kubernetes\\.io/os=linux", "imagePullSecrets=[one, two]",
                     "control.priorityClassName=system-cluster-critical", "trustDomain=example.org",
                     "injection.proxyImage=registry.example/p:1", "injection.sidecar=classic",
                     "webhooks.failurePolicy=Ignore", "meshConfig.create=true",
                     "meshConfig.spec.mtls.mode=STRICT"},
                    "mesh");
  const json& deployment = all["Deployment mesh/heddle-control"]["spec"];
  REQUIRE(deployment["replicas"] == 3);
  const json& pod = deployment["template"]["spec"];
  REQUIRE(pod["containers"][0]["image"] == "registry.example/c:1");
  REQUIRE(pod["nodeSelector"]["kubernetes.io/os"] == "linux");
  REQUIRE(pod["imagePullSecrets"] == json::parse(R"([{"name":"one"},{"name":"two"}])"));
  REQUIRE(pod["priorityClassName"] == "system-cluster-critical");
  const json args = pod["containers"][0]["args"];
  REQUIRE(args[1] == "--namespace");
  REQUIRE(args[2] == "mesh");
  REQUIRE(args[4] == "example.org");
  const auto settings = ParseYamlValue(
      "settings",
      all["ConfigMap mesh/heddle-injection"]["data"]["settings.yaml"].get<std::string>());
  REQUIRE(settings.ok());
  REQUIRE((*settings)["proxyImage"] == "registry.example/p:1");
  REQUIRE((*settings)["sidecar"] == "classic");
  REQUIRE((*settings)["includeInboundPorts"] == "*");
  REQUIRE((*settings)["systemNamespace"] == "mesh");
  REQUIRE((*settings)["trustDomain"] == "example.org");
  for (const json& hook : all["MutatingWebhookConfiguration heddle-injector"]["webhooks"])
    REQUIRE(hook["failurePolicy"] == "Ignore");
  REQUIRE(all["MeshConfig mesh"]["spec"]["mtls"]["mode"] == "STRICT");
}

SCENARIO("no webhook ever waits for heddle-control in the namespaces that it needs to start") {
  auto all = Render({}, "mesh");
  for (const char* name : {"MutatingWebhookConfiguration heddle-injector",
                           "ValidatingWebhookConfiguration heddle-validator"}) {
    REQUIRE_FALSE(all[name]["webhooks"].empty());
    for (const json& hook : all[name]["webhooks"]) {
      CAPTURE(hook.dump());
      bool excluded = false;
      for (const json& one : hook["namespaceSelector"]["matchExpressions"])
        excluded = excluded ||
                   one == json::parse(R"({"key":"kubernetes.io/metadata.name","operator":"NotIn",
                            "values":["kube-system","kube-public","kube-node-lease","mesh"]})");
      REQUIRE(excluded);
      REQUIRE(hook["timeoutSeconds"] == 10);
      REQUIRE_FALSE(hook["clientConfig"].contains("caBundle"));
    }
  }
}

SCENARIO("heddle-control runs with no right that it does not use") {
  auto all = Render({});
  const json& pod = all["Deployment heddle-system/heddle-control"]["spec"]["template"]["spec"];
  const json& container = pod["containers"][0];
  REQUIRE(pod["securityContext"]["runAsNonRoot"] == true);
  REQUIRE(pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault");
  REQUIRE(container["securityContext"]["readOnlyRootFilesystem"] == true);
  REQUIRE(container["securityContext"]["allowPrivilegeEscalation"] == false);
  REQUIRE(container["securityContext"]["capabilities"] == json::parse(R"({"drop":["ALL"]})"));
  for (const char* role : {"ClusterRole heddle-control", "Role heddle-system/heddle-control"}) {
    for (const json& rule : all[role]["rules"]) {
      CAPTURE(role, rule.dump());
      const std::set<std::string> verbs = rule["verbs"];
      const std::set<std::string> resources = rule["resources"];
      REQUIRE_FALSE(verbs.contains("*"));
      REQUIRE_FALSE(verbs.contains("delete"));
      REQUIRE_FALSE(resources.contains("*"));
      // Secrets, ConfigMaps and webhooks are touched by name only, but for making them.
      for (const char* sensitive : {"secrets", "configmaps", "mutatingwebhookconfigurations",
                                    "validatingwebhookconfigurations"})
        if (resources.contains(sensitive) && verbs != std::set<std::string>{"create"})
          REQUIRE(rule.contains("resourceNames"));
    }
  }
}

SCENARIO("values that cannot be meant are refused by name") {
  struct Case {
    const char* set;
    const char* expect;
  };
  const Case cases[] = {
      {"control.replicass=3", "control.replicass: unknown key; known: image"},
      {"contrl.replicas=3", "contrl: unknown key; known: control"},
      {"control.image.tag=3", "control.image.tag: there is nothing below"},
      {"control.replicas=0", "control.replicas: found 0; allowed: 1 to 32"},
      {"control.replicas=two", "control.replicas: found \"two\"; wants integer"},
      {"control.replicas=", "control.replicas: found null; wants integer"},
      {"control.image=", "control.image: empty"},
      {"control.logLevel=loud",
       "control.logLevel: found \"loud\"; allowed: debug, info, warning, error"},
      {"control.tolerations={}", "control.tolerations: found {}; wants array"},
      {"imagePullSecrets=[A]", "imagePullSecrets[0]: found \"A\"; wants "},
      {"injection.proxyCpuRequest=lots", "injection.proxyCpuRequest: found \"lots\"; wants "},
      {"webhooks.timeoutSeconds=31", "webhooks.timeoutSeconds: found 31; allowed: 1 to 30"},
      {"injection.drainSeconds=86401", "injection.drainSeconds: found 86401; allowed: 0 to 86400"},
      {"control.replicas", "\"control.replicas\": want KEY=VALUE"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.set);
    auto values = DefaultValues();
    REQUIRE(values.ok());
    absl::Status status = SetValue(c.set, &*values);
    if (status.ok()) status = CheckValues(*values);
    CAPTURE(status.ToString());
    REQUIRE(absl::StrContains(status.message(), c.expect));
  }
}

SCENARIO("a values file changes what it names and nothing else") {
  auto values = DefaultValues();
  REQUIRE(values.ok());
  const json before = *values;
  REQUIRE(MergeValuesFile("a.yaml", "control: {replicas: 5}\n", &*values).ok());
  REQUIRE(CheckValues(*values).ok());
  json expect = before;
  expect["control"]["replicas"] = 5;
  REQUIRE(*values == expect);
  REQUIRE(MergeValuesFile("a.yaml", "", &*values).ok());
  REQUIRE(*values == expect);
  REQUIRE(absl::StrContains(MergeValuesFile("b.yaml", "[1]\n", &*values).message(),
                            "b.yaml: not a map"));
  REQUIRE(absl::StrContains(MergeValuesFile("b.yaml", "a: [", &*values).message(), "b.yaml:"));
  REQUIRE(MergeValuesFile("b.yaml", "proxy: {}\nwebhooks: {failurePolicy: 3}", &*values).ok());
  const absl::Status status = CheckValues(*values);
  REQUIRE(absl::StrContains(status.message(), "proxy: unknown key"));
  REQUIRE(absl::StrContains(status.message(), "webhooks.failurePolicy: found 3; wants text"));
}

SCENARIO("a MeshConfig that heddle-control would refuse is refused before it is printed") {
  struct Case {
    const char* set;
    const char* expect;
  };
  const Case cases[] = {
      {"meshConfig.spec.mtls.mod=STRICT", "meshConfig.spec.mtls.mod: unknown field"},
      {"meshConfig.spec.tracing.samplingPercent=101",
       "meshConfig.spec.tracing.samplingPercent: 101 is not between 0 and 100"},
      {"meshConfig.spec.trustDomain=else", "meshConfig.spec.trustDomain: \"else\" is not"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.set);
    auto values = DefaultValues();
    REQUIRE(values.ok());
    REQUIRE(SetValue("meshConfig.create=true", &*values).ok());
    REQUIRE(SetValue(c.set, &*values).ok());
    const auto manifests = RenderChart({}, *values);
    REQUIRE_FALSE(manifests.ok());
    CAPTURE(manifests.status().ToString());
    REQUIRE(absl::StrContains(manifests.status().message(), c.expect));
  }
}

SCENARIO("the chart knows every setting of injection, with the default that heddle-control has") {
  auto values = DefaultValues();
  REQUIRE(values.ok());
  auto all = Render({});
  const auto read = inject::ReadSettings(
      all["ConfigMap heddle-system/heddle-injection"]["data"]["settings.yaml"].get<std::string>(),
      "settings.yaml");
  CAPTURE(read.status().ToString());
  REQUIRE(read.ok());
  const inject::PodOptions defaults;
  for (const inject::OptionSpec& spec : inject::OptionTable()) {
    CAPTURE(inject::SettingName(spec));
    REQUIRE((*values)["injection"].contains(inject::SettingName(spec)));
    if (spec.name == "proxy-image") continue;
    std::visit([&](auto field) { REQUIRE(read->defaults.*field == defaults.*field); }, spec.field);
  }
  for (const auto& [set, expect] : std::map<std::string, std::string>{
           {"injection.excludeInboundPorts=70000", "injection: excludeInboundPorts: "},
           {"injection.includeOutboundCidrs=10.0.0.0/40", "injection: includeOutboundCidrs: "}}) {
    CAPTURE(set);
    auto wrong = *values;
    REQUIRE(SetValue(set, &wrong).ok());
    const auto manifests = RenderChart({}, wrong);
    REQUIRE_FALSE(manifests.ok());
    CAPTURE(manifests.status().ToString());
    REQUIRE(absl::StrContains(manifests.status().message(), expect));
  }
}

SCENARIO("the chart is of the version of the programs") {
  REQUIRE(ChartVersion() == kControlVersion);
  const auto values = DefaultValues();
  REQUIRE(values.ok());
  const std::string tag = absl::StrCat(":", kControlVersion);
  REQUIRE(absl::EndsWith((*values)["control"]["image"].get<std::string>(), tag));
  REQUIRE(absl::EndsWith((*values)["injection"]["proxyImage"].get<std::string>(), tag));
  REQUIRE(CheckValues(*values).ok());
}

}  // namespace
}  // namespace heddle::install
