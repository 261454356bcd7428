// The parts of injection: values, settings, decisions, differences and manifests.
#include "control_plane/inject/inject.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <random>

#include "control_plane/inject/decide.h"
#include "control_plane/inject/manifest.h"
#include "control_plane/inject/patch.h"
#include "control_plane/inject/settings.h"

namespace {

using nlohmann::json;
using nlohmann::ordered_json;
namespace inject = heddle::inject;

std::string Annotate(const std::string& name, const std::string& value) {
  inject::PodOptions options;
  std::vector<std::string> warnings;
  const absl::Status status =
      inject::ReadAnnotations({{"heddle.dev/" + name, value}}, &options, &warnings);
  if (!status.ok()) return std::string(status.message());
  for (const inject::OptionSpec& spec : inject::OptionTable())
    if (spec.name == name) return "=" + inject::ValueOf(spec, options);
  return warnings.empty() ? "" : warnings[0];
}

SCENARIO("an annotation has a good value, in its usual spelling, or an error that says so") {
  const std::string ports = "ports (1 to 65535) and ranges such as 8000-8100, separated by commas";
  const std::string ranges =
      "addresses and ranges such as 10.0.0.0/8 or fd00::/8, separated by commas";
  const auto bad = [](const std::string& name, const std::string& found,
                      const std::string& allowed) {
    return "annotation heddle.dev/" + name + ": found \"" + found + "\", allowed " + allowed;
  };
  const std::vector<std::array<std::string, 3>> cases = {
      {"sidecar", "classic", "=classic"},
      {"sidecar", "Native", bad("sidecar", "Native", "native, classic")},
      {"hold-until-ready", " false ", "=false"},
      {"hold-until-ready", "yes", bad("hold-until-ready", "yes", "true, false")},
      {"exclude-inbound-ports", "80, 443 ,8000-8100,9-9", "=80,443,8000-8100,9"},
      {"exclude-inbound-ports", "", "="},
      {"exclude-inbound-ports", "*", bad("exclude-inbound-ports", "*", ports)},
      {"exclude-inbound-ports", "0", bad("exclude-inbound-ports", "0", ports)},
      {"exclude-inbound-ports", "65536", bad("exclude-inbound-ports", "65536", ports)},
      {"exclude-inbound-ports", "90-80", bad("exclude-inbound-ports", "90-80", ports)},
      {"exclude-inbound-ports", "80,", bad("exclude-inbound-ports", "80,", ports)},
      {"exclude-inbound-ports", "+80", bad("exclude-inbound-ports", "+80", ports)},
      {"include-inbound-ports", "*", "=*"},
      {"include-outbound-cidrs", "10.0.0.0/8,192.0.2.1, fd00::/8",
       "=10.0.0.0/8,192.0.2.1/32,fd00::/8"},
      {"exclude-outbound-cidrs", "10.0.0.1/8", bad("exclude-outbound-cidrs", "10.0.0.1/8", ranges)},
      {"exclude-outbound-cidrs", "10.0.0.0/33",
       bad("exclude-outbound-cidrs", "10.0.0.0/33", ranges)},
      {"exclude-outbound-cidrs", "example.org",
       bad("exclude-outbound-cidrs", "example.org", ranges)},
      {"exclude-interfaces", "net1,eth0.5", "=net1,eth0.5"},
      {"exclude-interfaces", "net1; rm -rf /",
       bad("exclude-interfaces", "net1; rm -rf /", "interface names, separated by commas")},
      {"exclude-uids", "0,4294967294,1000-1010", "=0,4294967294,1000-1010"},
      {"exclude-uids", "-1",
       bad("exclude-uids", "-1",
           "numeric user ids and ranges such as 1000-1010, separated by commas")},
      {"proxy-image", "a b", bad("proxy-image", "a b", "an image reference")},
      {"proxy-cpu-request", "0.25", "=0.25"},
      {"proxy-cpu-request", "1e-1", "=1e-1"},
      {"proxy-cpu-request", "0",
       bad("proxy-cpu-request", "0", "a quantity of at least 1m such as 250m or 1.5, or empty")},
      {"proxy-memory-limit", "", "="},
      {"proxy-memory-limit", "1Gi", "=1Gi"},
      {"proxy-memory-limit", "256m",
       bad("proxy-memory-limit", "256m",
           "a quantity of at least 1Mi such as 128Mi or 1Gi, or empty")},
      {"proxy-memory-limit", "256MiB",
       bad("proxy-memory-limit", "256MiB",
           "a quantity of at least 1Mi such as 128Mi or 1Gi, or empty")},
      {"proxy-concurrency", "129", bad("proxy-concurrency", "129", "1 to 128")},
      {"drain-seconds", "0", "=0"},
      {"nosuch", "1", "annotation heddle.dev/nosuch is not known and has no effect"},
      {"status", "anything", ""},
  };
  for (const auto& [name, value, expected] : cases) {
    INFO(name << "=" << value);
    CHECK(Annotate(name, value) == expected);
  }
  CHECK(Annotate("exclude-uids", "x\ny").find("found \"x y\"") != std::string::npos);
}

SCENARIO("every option's default is one of its own good values") {
  for (const inject::OptionSpec& spec : inject::OptionTable()) {
    INFO(spec.name);
    inject::PodOptions options;
    const std::string value = inject::ValueOf(spec, options);
    CHECK(inject::SetOption(spec, value, &options).ok());
    CHECK(inject::ValueOf(spec, options) == value);
    CHECK(inject::SetOption(spec, spec.example, &options).ok());
    CHECK(inject::ValueOf(spec, options) != value);
  }
}

std::string Settings(const std::string& text) {
  const auto settings = inject::ReadSettings(text, "s.yaml");
  return settings.ok() ? "ok" : std::string(settings.status().message());
}

SCENARIO("a settings file is taken whole or refused with the key that is wrong") {
  const auto settings = inject::ReadSettings(
      "systemNamespace: mesh\ntrustDomain: example.org\nimagePullSecrets: [a, b]\n"
      "excludedNamespaces: []\ntokenSeconds: 7200\nproxyCpuRequest: 0.1\nholdUntilReady: false\n"
      "excludeInboundPorts: [9100, 9200]\nproxyMemoryLimit:\n",
      "s.yaml");
  REQUIRE(settings.ok());
  CHECK(settings->ControlAddress() == "heddle-control.mesh.svc:15010");
  CHECK(settings->trust_domain == "example.org");
  CHECK(settings->image_pull_secrets == std::vector<std::string>{"a", "b"});
  CHECK(settings->excluded_namespaces.empty());
  CHECK(settings->token_seconds == 7200);
  CHECK(settings->defaults.proxy_cpu_request == "0.1");
  CHECK(!settings->defaults.hold_until_ready);
  CHECK(settings->defaults.exclude_inbound_ports == "9100,9200");
  CHECK(settings->defaults.proxy_memory_limit.empty());

  CHECK(Settings("") == "ok");
  CHECK(Settings("{}") == "ok");
  CHECK(Settings("[]") == "s.yaml: want one map of settings");
  CHECK(Settings("tokenSeconds: 599") ==
        "s.yaml: tokenSeconds: found \"599\", allowed 600 to 86400");
  CHECK(Settings("controlAddress: $(HOME):1") ==
        "s.yaml: controlAddress: found \"$(HOME):1\", allowed HOST:PORT");
  CHECK(Settings("proxyImage: {repository: x}") ==
        "s.yaml: proxyImage: found a map or a list of them, allowed one value");
  CHECK(Settings("proxyLogLevel: loud")
            .find("s.yaml: proxyLogLevel: found \"loud\", allowed trace") == 0);
  CHECK(Settings("proxyImages: x").find("s.yaml: proxyImages: no such setting; known: ") == 0);
  CHECK(Settings("proxyMemoryRequest: 1Gi").find("s.yaml: annotation") == 0);
}

SCENARIO("whatever a pod looks like, there is a decision and no injection of nonsense") {
  const inject::Settings settings;
  const inject::Namespace ns{.name = "shop", .labels = {{"heddle.dev/inject", "enabled"}}};
  const char* pods[] = {
      "null",
      "[]",
      "1",
      "{}",
      R"({"spec": []})",
      R"({"spec": {}})",
      R"({"spec": {"containers": {}}})",
      R"({"spec": {"containers": [1]}})",
      R"({"spec": {"containers": [{"name": 1}]}})",
      R"({"spec": {"containers": [{"name": "a"}, {"name": "a"}]}})",
      R"({"metadata": [], "spec": {"containers": [{"name": "a"}]}})",
      R"({"metadata": {"annotations": {"x": 1}}, "spec": {"containers": [{"name": "a"}]}})",
      R"({"metadata": {"annotations": []}, "spec": {"containers": [{"name": "a"}]}})",
      R"({"spec": {"containers": [{"name": "a"}], "volumes": {}}})",
      R"({"spec": {"containers": [{"name": "a"}], "initContainers": "x"}})",
  };
  for (const char* text : pods) {
    INFO(text);
    json pod = json::parse(text);
    CHECK(inject::Decide(pod, ns, settings).verdict == inject::Verdict::kInject);
    std::vector<std::string> warnings;
    CHECK(absl::IsInvalidArgument(inject::Inject(settings, &pod, &warnings)));
    CHECK(pod == json::parse(text));
  }
  const char* odd[] = {
      R"({"spec": {"containers": [{"name": "a", "livenessProbe": 1, "lifecycle": [], "ports": 5}]}})",
      R"({"spec": {"containers": [{"name": "a", "livenessProbe": {"httpGet": 1}}]}})",
      R"({"spec": {"containers": [{"name": "a", "livenessProbe": {"httpGet": {"port": -1}}}]}})",
      R"({"spec": {"containers": [{"name": "a", "livenessProbe": {"httpGet": {"port": 1.5}}}]}})",
      R"({"spec": {"containers": [{"name": "a", "livenessProbe": {"tcpSocket": {}}}]}})",
      R"({"spec": {"containers": [{"name": "a", "livenessProbe": {"grpc": {"port": 99999}}}]}})",
      R"({"spec": {"securityContext": 1, "containers": [{"name": "a", "securityContext": []}]}})",
      R"({"spec": {"containers": [{"name": "a"}, {"name": "heddle-proxy", "env": 1, "resources": 2}]}})",
      R"({"spec": {"containers": [{"name": "a"}, {"name": "heddle-proxy", "env": [1, null]}]}})",
  };
  for (const char* text : odd) {
    INFO(text);
    const json before = json::parse(text);
    json pod = before;
    std::vector<std::string> warnings;
    REQUIRE(inject::Inject(settings, &pod, &warnings).ok());
    json again = pod;
    REQUIRE(inject::Inject(settings, &again, &warnings).ok());
    CHECK(again == pod);
    REQUIRE(inject::Remove(&pod).ok());
    CHECK(pod == before);
  }
}

SCENARIO("a status annotation that somebody wrote by hand removes nothing of the pod's own") {
  const inject::Settings settings;
  for (const char* status : {"{}", "[]", "x", R"({"version": 2})"}) {
    json pod = {{"metadata", {{"annotations", {{"heddle.dev/status", status}}}}},
                {"spec", {{"containers", {{{"name", "a"}}}}}}};
    std::vector<std::string> warnings;
    CHECK(
        inject::Inject(settings, &pod, &warnings).message().find("annotation heddle.dev/status") ==
        0);
  }
  json pod =
      json::parse(R"({"spec": {"containers": [{"name": "a"}], "volumes": [{"name": "v"}]}})");
  const json before = pod;
  pod["metadata"]["annotations"]["heddle.dev/status"] =
      R"({"version": 1, "volumes": ["v"], "containers": ["a"], "initContainers": 1,)"
      R"( "annotations": ["x"], "own": [{"list": "volumes", "container": {"name": "heddle-proxy"}, "index": 0}, 1]})";
  REQUIRE(inject::Remove(&pod).ok());
  CHECK(pod["spec"] == before["spec"]);
}

SCENARIO("a newer injection replaces an older one") {
  json pod = json::parse(R"({"spec": {"containers": [{"name": "a"}]}})");
  std::vector<std::string> warnings;
  inject::Settings old_settings;
  old_settings.defaults.sidecar = "classic";
  REQUIRE(inject::Inject(old_settings, &pod, &warnings).ok());
  inject::Settings settings;
  settings.defaults.proxy_image = "heddle-proxy:next";
  json direct = json::parse(R"({"spec": {"containers": [{"name": "a"}]}})");
  REQUIRE(inject::Inject(settings, &pod, &warnings).ok());
  REQUIRE(inject::Inject(settings, &direct, &warnings).ok());
  CHECK(pod == direct);
}

SCENARIO("what others add to our containers after us stays when we are asked again") {
  const json before =
      json::parse(R"({"spec": {"containers": [{"name": "a"}], "volumes": [{"name": "v"}]}})");
  json pod = before;
  std::vector<std::string> warnings;
  REQUIRE(inject::Inject({}, &pod, &warnings).ok());
  json& proxy = pod["spec"]["initContainers"][1];
  proxy["terminationMessagePath"] = "/dev/termination-log";
  proxy["resources"]["limits"]["cpu"] = "1";
  proxy["volumeMounts"].push_back({{"name", "kube-api-access"}, {"mountPath", "/x"}});
  pod["spec"]["volumes"].push_back({{"name", "kube-api-access"}});
  pod["spec"]["volumes"][2]["configMap"]["defaultMode"] = 420;
  const json added = pod;
  REQUIRE(inject::Inject({}, &pod, &warnings).ok());
  CHECK(pod == added);

  // A container that came later has its probes rewritten, and the sidecar is told.
  pod["spec"]["containers"].push_back(
      {{"name", "b"}, {"livenessProbe", {{"tcpSocket", {{"port", 80}}}}}});
  REQUIRE(inject::Inject({}, &pod, &warnings).ok());
  CHECK(pod["spec"]["containers"][1]["livenessProbe"]["httpGet"]["path"] == "/app-health/b/livez");
  CHECK(pod["spec"]["initContainers"][1]["env"].back()["name"] == "HEDDLE_APP_PROBES");

  // Other settings: ours is made anew.
  inject::Settings settings;
  settings.defaults.proxy_image = "next:1";
  pod = added;
  REQUIRE(inject::Inject(settings, &pod, &warnings).ok());
  CHECK(pod["spec"]["initContainers"][1]["image"] == "next:1");
  CHECK(!pod["spec"]["initContainers"][1].contains("terminationMessagePath"));
  REQUIRE(inject::Remove(&pod).ok());
  CHECK(pod["spec"]["containers"] == before["spec"]["containers"]);
}

SCENARIO("a difference is small, and applied gives what it was made from") {
  const auto diff = [](const char* a, const char* b) {
    return inject::Diff(json::parse(a), json::parse(b)).dump();
  };
  CHECK(diff("{}", "{}") == "[]");
  CHECK(diff(R"({"a":1})", R"({"a":2,"b/c~d":3})") ==
        R"([{"op":"replace","path":"/a","value":2},{"op":"add","path":"/b~1c~0d","value":3}])");
  CHECK(
      diff(R"([{"name":"x","v":1},{"name":"y"}])",
           R"([{"name":"new"},{"name":"x","v":2},{"name":"y"}])") ==
      R"([{"op":"add","path":"/0","value":{"name":"new"}},{"op":"replace","path":"/1/v","value":2}])");
  CHECK(
      diff(R"([1,2,3,4])", R"([2,4,5])") ==
      R"([{"op":"remove","path":"/0"},{"op":"remove","path":"/1"},{"op":"add","path":"/2","value":5}])");
  CHECK(diff("1", R"({"a":[]})") == R"([{"op":"replace","path":"","value":{"a":[]}}])");

  std::mt19937 random(7);
  const auto grow = [&](const auto& self, int depth) -> json {
    const auto pick = random() % (depth > 3 ? 2 : 5);
    if (pick == 0) return random() % 3;
    if (pick == 1) return std::string(1, static_cast<char>('a' + random() % 3));
    json out = pick == 2 ? json::object() : json::array();
    for (size_t i = random() % 5; i > 0; --i) {
      json value = self(self, depth + 1);
      if (pick == 2) {
        out[std::string(1, static_cast<char>('k' + random() % 4))] = std::move(value);
      } else if (pick == 3) {
        out.push_back({{"name", std::to_string(random() % 4)}, {"v", std::move(value)}});
      } else {
        out.push_back(std::move(value));
      }
    }
    return out;
  };
  for (int i = 0; i < 500; ++i) {
    const json a = grow(grow, 0);
    const json b = grow(grow, 0);
    const json patch = inject::Diff(a, b);
    INFO(a << " -> " << b << ": " << patch);
    json out = a;
    REQUIRE(inject::Apply(patch, &out).ok());
    REQUIRE(out == b);
  }
}

SCENARIO("a patch that does not fit changes nothing") {
  json document = {{"a", 1}};
  CHECK(!inject::Apply(json::parse(R"([{"op":"remove","path":"/b"}])"), &document).ok());
  CHECK(!inject::Apply(json::parse(R"([{"op":"replace","path":"/a","value":2},{"op":"x"}])"),
                       &document)
             .ok());
  CHECK(!inject::Apply(json::parse("1"), &document).ok());
  CHECK(document == json{{"a", 1}});
}

SCENARIO("what is written as YAML is read back as it was") {
  const char* texts[] = {
      R"({"plain": "text", "port": 80, "s": "80", "t": "true", "y": "yes", "n": "null", "e": ""})",
      R"({"l": [], "m": {}, "x": null, "nested": [[1, [2]], [{"a": {"b": [1]}}]]})",
      R"({"block": "one\n  two\n\nthree\n", "strip": "a\nb", "odd": " a\nb", "end": "a\n\n"})",
      R"({"flags": ["--a", "-b", "---", "--", "- c", "*", "&x", "!t", "#c", "a #b", "a: b", "a:"]})",
      R"({"q": ["'single'", "\"double\"", "{\"json\": 'x'}", "tab\tx", "\u0001", "ä"]})",
      R"({"n": ["1e3", "0x1f", "0o7", "017", "1_0", "12:30", "2024-01-02", ".5", "50m", "1Mi", "5e"]})",
      R"({"a key: odd": 1, "#": 2, "8080": 3, "true": 4, "-": 5, "/x.y/z": 6})",
      R"({"t": ["~", "=", "<<", "%x", "@x", "`x", "a,b", "[x]", "{x}", "x]", "? x", "| x", "> x"]})",
  };
  for (const char* text : texts) {
    const ordered_json document = ordered_json::parse(text);
    const std::string yaml = inject::WriteManifest({document});
    INFO(yaml);
    const auto back = inject::ReadManifest(yaml, "f");
    REQUIRE(back.ok());
    REQUIRE(back->size() == 1);
    CHECK(back->front() == document);
  }
}

SCENARIO("pods are found wherever a kind keeps them") {
  const auto documents = inject::ReadManifest(R"(
kind: Pod
metadata: {name: a, namespace: n}
spec: {}
---
kind: CronJob
metadata: {name: b}
spec: {jobTemplate: {spec: {template: {spec: {}}}}}
---
kind: Service
spec: {template: {spec: {}}}
---
kind: DeploymentList
items:
- {kind: Deployment, metadata: {generateName: c-}, spec: {template: {spec: {}}}}
- {kind: Deployment, metadata: {name: broken}, spec: {}}
- 5
- {kind: List, items: [{kind: Pod, metadata: {name: d}, spec: {}}]}
)",
                                              "f");
  REQUIRE(documents.ok());
  std::string found;
  for (const ordered_json& document : *documents)
    for (const inject::PodPlace& place : inject::FindPods(document))
      found += place.object + " at \"" + place.pointer + "\"; ";
  CHECK(found ==
        "Pod n/a at \"\"; CronJob b at \"/spec/jobTemplate/spec/template\"; "
        "Deployment c- at \"/items/0/spec/template\"; Pod d at \"/items/3/items/0\"; ");
  CHECK(inject::ReadManifest("- 1", "f").status().message() == "f: want Kubernetes objects");
  CHECK(!inject::ReadManifest("a: \"\xff\"", "f").ok());
}

}  // namespace
