// heddlectl inject, as it is called.
#include <stdlib.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>

#include "control_plane/heddlectl/commands.h"

namespace {

std::string TempFile(const std::string& name, const std::string& text) {
  const char* folder = getenv("TEST_TMPDIR");
  const std::string path = std::string(folder == nullptr ? "/tmp" : folder) + "/" + name;
  std::ofstream(path) << text;
  return path;
}

struct Result {
  int code = 0;
  std::string out;
  std::string err;
};

Result Call(std::vector<std::string> words) {
  std::ostringstream out;
  std::ostringstream err;
  heddle::heddlectl::Terminal terminal{.out = out, .err = err};
  words.insert(words.begin(), "inject");
  Result result;
  result.code = heddle::heddlectl::Run(words, terminal);
  result.out = out.str();
  result.err = err.str();
  return result;
}

constexpr char kPods[] = R"(
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {template: {spec: {containers: [{name: web, image: "web:1"}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: own, labels: {heddle.dev/inject: "false"}}
spec: {containers: [{name: own, image: "own:1"}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
)";

SCENARIO("manifests get the sidecar, say what was done, and lose it again") {
  const std::string file = TempFile("pods.yaml", kPods);
  const Result injected = Call({"-f", file, "--set", "proxyImage=mine:1"});
  INFO(injected.err);
  REQUIRE(injected.code == 0);
  CHECK(injected.err ==
        "Deployment shop/web: injected\n"
        "Pod own: not injected: pod label heddle.dev/inject is false\n");
  CHECK(injected.out.find("image: mine:1") != std::string::npos);

  const std::string second = TempFile("injected.yaml", injected.out);
  const Result again = Call({second, "--set", "proxyImage=mine:1", "--quiet"});
  CHECK(again.code == 0);
  CHECK(again.err.empty());
  CHECK(again.out == injected.out);

  const Result removed = Call({"-f", second, "--remove"});
  CHECK(removed.code == 0);
  CHECK(removed.out.find("heddle-proxy") == std::string::npos);
  CHECK(removed.err == "Deployment shop/web: sidecar removed\nPod own: has no sidecar\n");
}

SCENARIO("when one pod is wrong nothing is printed, and the error says which") {
  const std::string file = TempFile("bad.yaml", std::string(kPods) + R"(
---
apiVersion: v1
kind: Pod
metadata: {name: bad, annotations: {heddle.dev/sidecar: both}}
spec: {containers: [{name: bad, image: "bad:1"}]}
)");
  const Result result = Call({"-f", file, "--quiet"});
  CHECK(result.code == 1);
  CHECK(result.out.empty());
  CHECK(result.err == "heddlectl: " + file +
                          ": Pod bad: annotation heddle.dev/sidecar: found \"both\", allowed "
                          "native, classic\n");
}

SCENARIO("settings come from a file and from flags") {
  const std::string pods = TempFile("pods.yaml", kPods);
  const std::string values =
      TempFile("values.yaml", "trustDomain: example.org\nsidecar: classic\n");
  const Result result = Call({"-f", pods, "--values", values, "--set", "sidecar=native"});
  CHECK(result.code == 0);
  CHECK(result.out.find("example.org") != std::string::npos);
  CHECK(result.out.find("restartPolicy: Always") != std::string::npos);

  CHECK(Call({"-f", pods, "--set", "sidecar"}).err ==
        "heddlectl: --set \"sidecar\": want KEY=VALUE\n");
  CHECK(Call({"-f", pods, "--values", TempFile("v.yaml", "nosuch: 1")})
            .err.find("v.yaml: nosuch: no such setting; known: systemNamespace, ") !=
        std::string::npos);
  CHECK(Call({"-f", "/nowhere"}).err == "heddlectl: /nowhere: cannot be read\n");
  CHECK(Call({}).code == 2);
  CHECK(Call({"--annotations"}).out.find("| `heddle.dev/sidecar` |") != std::string::npos);
}

}  // namespace
