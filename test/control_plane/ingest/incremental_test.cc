// A World that grew by edits is the World that would be built from nothing.
#include <algorithm>
#include <catch2/catch.hpp>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "control_plane/ingest/merge.h"
#include "control_plane/translate/translate.h"

namespace heddle::ingest {
namespace {

class Edits {
 public:
  Edits(uint32_t seed, bool live) : random_(seed), live_(live) {}

  // Another text for some file, or that it is gone (empty).
  std::pair<std::string, std::string> Next() {
    const std::string ns = Of({"a", "b"});
    const int n = Number(4);
    switch (Number(live_ ? 12 : 10)) {
      case 0:
        return {absl::StrCat("Service ", ns, "/s", n), Service(ns, n)};
      case 1:
      case 2:
        return {absl::StrCat("Workload ", ns, "/w", n), Workload(ns, n)};
      case 3:
        return {absl::StrCat("HTTPRoute ", ns, "/r", n), Route(ns, n, "HTTPRoute")};
      case 4:
        return {absl::StrCat("GRPCRoute ", ns, "/g", n), Route(ns, n, "GRPCRoute")};
      case 5:
        return {absl::StrCat("BackendPolicy ", ns, "/p", n), Backend(ns, n)};
      case 6:
        return {absl::StrCat("WorkloadPolicy ", ns, "/p", n), Reach(ns, n)};
      case 7:
        return {"MeshConfig", Mesh()};
      case 8:
        return {absl::StrCat("AuthorizationPolicy ", ns, "/p", n), Authorization(ns, n)};
      case 9:
        return {absl::StrCat("ReferenceGrant ", ns, "/g"), Grant(ns)};
      default: {
        const int part = Number(2);
        return {absl::StrCat("EndpointSlice ", ns, "/s", n, "-", part), Slice(ns, n, part)};
      }
    }
  }

 private:
  int Number(int below) { return static_cast<int>(random_() % static_cast<uint32_t>(below)); }
  bool Gone() { return Number(4) == 0; }
  std::string Of(std::vector<std::string> all) {
    return all[static_cast<size_t>(Number(static_cast<int>(all.size())))];
  }
  std::string Head(const std::string& version, const std::string& kind, const std::string& ns,
                   const std::string& name, const std::string& more = "") {
    return absl::StrCat("apiVersion: ", version, "\nkind: ", kind, "\nmetadata: {name: ", name,
                        ", namespace: ", ns, more, "}\n");
  }
  std::string Service(const std::string& ns, int n) {
    if (Gone()) return "";
    return absl::StrCat(
        Head("v1", "Service", ns, absl::StrCat("s", n)), "spec: {clusterIP: 10.0.0.", Number(6) + 1,
        Of({"", ", clusterIPs: ['fd00::1']", ", sessionAffinity: ClientIP",
            ", internalTrafficPolicy: Local"}),
        ", selector: {app: ", Of({"x", "y"}), "}, ports: [{name: ", Of({"http", "grpc", "tcp"}),
        ", port: 80, targetPort: 8080}, {name: ", Of({"http-b", "tcp-b"}),
        ", port: ", Of({"81", "82"}), ", targetPort: 8080}]}\n");
  }
  std::string Workload(const std::string& ns, int n) {
    if (Gone()) return "";
    // Now and then the address of another one.
    return absl::StrCat(Head("heddle.dev/v1", "Workload", ns, absl::StrCat("w", n),
                             absl::StrCat(", labels: {app: ", Of({"x", "y"}), "}")),
                        "spec: {address: 10.1.", ns == "a" ? 0 : 1, ".", live_ ? Number(5) : n,
                        ", serviceAccount: ", Of({"one", "two"}), ", weight: ", Number(2) + 1,
                        ", sidecar: ", Of({"PROXY", "PROXY", "NONE"}), ", node: ", Of({"n1", "n2"}),
                        ", locality: {zone: ", Of({"z1", "''"}),
                        "}, ports: [{name: ", Of({"http", "tcp"}),
                        ", port: 8080, appPort: 18080}]}\n");
  }
  std::string Slice(const std::string& ns, int n, int part) {
    if (Gone()) return "";
    std::string endpoints;
    for (int i = Number(4); i > 0; --i)
      absl::StrAppend(
          &endpoints, "{addresses: [10.1.", ns == "a" ? 0 : 1, ".", Number(5), "]",
          Number(2) == 0 ? absl::StrCat(", targetRef: {kind: Pod, name: w", Number(5), "}") : "",
          ", zone: ", Of({"z1", "z2"}), ", nodeName: ", Of({"n1", "n2"}),
          Of({"", ", hints: {forZones: [{name: z1}]}", ", hints: {forZones: [{name: z2}]}"}),
          ", conditions: {ready: ", Of({"true", "false"}),
          ", serving: true, terminating: ", Of({"true", "false"}), "}}, ");
    return absl::StrCat(
        Head("discovery.k8s.io/v1", "EndpointSlice", ns, absl::StrCat("s", n, "-", part),
             absl::StrCat(", labels: {kubernetes.io/service-name: s", n, "}")),
        "addressType: IPv4\nports: [{name: ", Of({"http", "grpc"}),
        ", port: ", Of({"8080", "8081"}), "}]\nendpoints: [", endpoints, "]\n");
  }
  std::string Route(const std::string& ns, int n, const std::string& kind) {
    if (Gone()) return "";
    return absl::StrCat(Head("gateway.networking.k8s.io/v1", kind, ns,
                             absl::StrCat(kind == "HTTPRoute" ? "r" : "g", n)),
                        "spec: {parentRefs: [{group: '', kind: Service, name: s", Number(4),
                        "}, {group: '', kind: "
                        "Service, name: s",
                        Number(4), ", namespace: ", Of({"a", "b"}), Of({"", ", port: 80"}),
                        "}], rules: [{backendRefs: [{name: s", Number(4),
                        ", port: ", Of({"80", "81"}), "}, {name: s", Number(4),
                        ", namespace: ", Of({"a", "b"}), ", port: 80, weight: 2}]}]}\n");
  }
  std::string Backend(const std::string& ns, int n) {
    if (Gone()) return "";
    return absl::StrCat(Head("heddle.dev/v1", "BackendPolicy", ns, absl::StrCat("p", n)),
                        "spec: {targetRef: {kind: Service, name: s", Number(4),
                        Of({"", ", sectionName: http", ", sectionName: http-b"}),
                        "}, timeouts: {connect: ", Number(3) + 1, "s}}\n");
  }
  std::string Reach(const std::string& ns, int n) {
    if (Gone()) return "";
    return absl::StrCat(
        Head("heddle.dev/v1", "WorkloadPolicy", ns, absl::StrCat("p", n)), "spec: {",
        Of({"", "selector: {matchLabels: {app: x}}, "}),
        Of({"mtls: {mode: STRICT}", "mtls: {mode: DISABLE}", "egress: {services: [s1, 'b/*']}",
            "egress: {services: ['*/*'], unlisted: DENY}"}),
        "}\n");
  }
  std::string Mesh() {
    if (Gone()) return "";
    return absl::StrCat(
        "apiVersion: heddle.dev/v1\nkind: MeshConfig\nmetadata: {name: mesh}\n"
        "spec: {clusterDomain: ",
        Of({"cluster.local", "example.org"}), "}\n");
  }
  std::string Authorization(const std::string& ns, int n) {
    if (Gone()) return "";
    return absl::StrCat(Head("heddle.dev/v1", "AuthorizationPolicy", ns, absl::StrCat("p", n)),
                        "spec: {action: ", Of({"ALLOW", "DENY"}),
                        ", rules: [{from: [{source: {namespaces: [", Of({"a", "b"}), "]}}]}]}\n");
  }
  std::string Grant(const std::string& ns) {
    if (Gone()) return "";
    return absl::StrCat(
        Head("gateway.networking.k8s.io/v1beta1", "ReferenceGrant", ns, "g"),
        "spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: ",
        Of({"a", "b"}), "}], to: [{group: '', kind: Service}]}\n");
  }

  std::mt19937 random_;
  const bool live_;
};

// Everything that a World gives its sidecars.
std::string Given(const model::World& world, translate::Translator* translator) {
  std::string out = world.digest.ToString();
  for (const auto& [key, service] : world.services) {
    absl::StrAppend(&out, "\n", key.ToString(), " ", service.digest.ToString(), " ",
                    absl::StrJoin(service.cluster_ips, ","), " routes ", service.routes.size());
    for (const model::ServicePort& port : service.ports) {
      absl::StrAppend(&out, " ", port.port, " ", port.endpoints_digest.ToString());
      for (const model::Endpoint& one : port.endpoints)
        absl::StrAppend(&out, " ", one.address, "=", one.workload.ToString());
    }
  }
  for (const auto& [key, workload] : world.workloads) {
    absl::StrAppend(&out, "\n", key.ToString(), " ", workload.egress->digest.ToString(), " ",
                    static_cast<int>(workload.mtls));
    for (const model::WorkloadPort& port : workload.ports)
      absl::StrAppend(&out, " ", port.port, "=", static_cast<int>(port.protocol));
    for (const bool intercept : {false, true}) {
      const auto view = translate::MakeProxyView(world, key, {.intercept = intercept});
      if (!view.ok()) continue;
      const auto snapshot = translator->Translate(world, *view);
      absl::StrAppend(&out, "\n  ", snapshot->version);
      for (const std::string& notice : snapshot->notices) absl::StrAppend(&out, "\n  ", notice);
      REQUIRE(translate::CheckConsistent(*snapshot).ok());
    }
  }
  return out;
}

std::string Warnings(const std::vector<model::Problem>& problems) {
  std::set<std::string> lines;
  for (const model::Problem& one : problems)
    if (one.severity == model::Severity::kWarning)
      lines.insert(absl::StrCat(one.ToString(), " (", one.reason, ")"));
  return absl::StrJoin(lines, "\n");
}

void Follow(uint32_t seed, bool live) {
  model::WorldOptions options;
  options.live = live;
  Edits edits(seed, live);
  Merge merge(options);
  translate::Translator translator;
  size_t services = 0, unlike = 0;
  for (int step = 0; step < 150; ++step) {
    for (int burst = step % 3; burst >= 0; --burst) {
      const auto [name, text] = edits.Next();
      if (text.empty()) {
        merge.Remove(name);
      } else {
        merge.Put(ParseFile(name, text));
      }
    }
    const auto before = merge.world();
    merge.Apply();
    const model::BuildResult nothing = model::BuildWorld(merge.adopted(), options, nullptr);
    CAPTURE(seed, live, step);
    translate::Translator fresh;
    REQUIRE(nothing.world != nullptr);
    REQUIRE(Given(*merge.world(), &translator) == Given(*nothing.world, &fresh));
    REQUIRE(Warnings(merge.problems()) == Warnings(nothing.problems));
    services = std::max(services, merge.world()->services.size());
    unlike += before != nullptr && before->digest != merge.world()->digest;
  }
  // The edits are of use.
  REQUIRE(services >= 3);
  REQUIRE(unlike > 50);
}

SCENARIO("after any edits the World of a cluster is the one built from nothing") {
  for (uint32_t seed = 1; seed <= 4; ++seed) Follow(seed, true);
}

SCENARIO("after any edits the World of a directory is the one built from nothing") {
  for (uint32_t seed = 1; seed <= 3; ++seed) Follow(seed, false);
}

}  // namespace
}  // namespace heddle::ingest
