// heddlectl check: one line for each thing looked at, and what to do about it.
#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "control_plane/heddlectl/commands.h"
#include "control_plane/heddlectl/control_pages.h"
#include "control_plane/heddlectl/kubectl.h"
#include "control_plane/heddlectl/table.h"
#include "control_plane/status/version.h"

namespace heddle::heddlectl {
namespace {

constexpr int kOldestMinor = 29;  // native sidecars are on from there
constexpr char kCrds[] = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/";
constexpr char kAdmission[] = "/apis/admissionregistration.k8s.io/v1/";
constexpr std::array<absl::string_view, 5> kPlurals = {
    "meshconfigs", "backendpolicies", "authorizationpolicies", "workloadpolicies", "workloads"};
constexpr absl::Duration kSoon = absl::Hours(24 * 14);

enum class Level { kOk, kWarning, kError };

class Report {
 public:
  explicit Report(Terminal& terminal) : terminal_(terminal) {}

  void Ok(absl::string_view what, const std::string& found) { Line(Level::kOk, what, found, ""); }
  void Warning(absl::string_view what, const std::string& found, const std::string& remedy) {
    ++warnings_;
    Line(Level::kWarning, what, found, remedy);
  }
  void Error(absl::string_view what, const std::string& found, const std::string& remedy) {
    ++errors_;
    Line(Level::kError, what, found, remedy);
  }

  int End() {
    terminal_.out << (errors_ == 0 ? "good" : "not good") << ": " << errors_
                  << (errors_ == 1 ? " error, " : " errors, ") << warnings_
                  << (warnings_ == 1 ? " warning\n" : " warnings\n");
    return errors_ == 0 ? 0 : 1;
  }

 private:
  void Line(Level level, absl::string_view what, const std::string& found,
            const std::string& remedy) {
    const char* const word = level == Level::kOk        ? "ok"
                             : level == Level::kWarning ? "warning"
                                                        : "error";
    const char* const colour = level == Level::kOk        ? "\x1b[32m"
                               : level == Level::kWarning ? "\x1b[33m"
                                                          : "\x1b[31m";
    terminal_.out << (terminal_.colour ? colour : "") << absl::StrFormat("%-8s", word)
                  << (terminal_.colour ? "\x1b[0m" : "") << what << ": " << Printable(found)
                  << (remedy.empty() ? "" : "; ") << remedy << "\n";
  }

  Terminal& terminal_;
  int errors_ = 0, warnings_ = 0;
};

std::string FirstLine(const absl::Status& status) {
  return std::string(status.message().substr(0, status.message().find('\n')));
}

// "a, b, c and 7 more"
std::string Some(const std::vector<std::string>& names) {
  constexpr size_t kShown = 5;
  const std::string shown = absl::StrJoin(
      names.begin(), names.begin() + static_cast<ptrdiff_t>(std::min(kShown, names.size())), ", ");
  return names.size() <= kShown ? shown
                                : absl::StrCat(shown, " and ", names.size() - kShown, " more");
}

class Checks {
 public:
  Checks(const Args& args, Terminal& terminal)
      : args_(args),
        kubectl_(Kubectl::FromArgs(args)),
        ns_(args.Get("namespace")),
        report_(terminal) {}

  int Run() {
    if (!ApiServer()) return report_.End();
    const absl::StatusOr<Json> deployment =
        kubectl_.Get(absl::StrCat("/apis/apps/v1/namespaces/", ns_, "/deployments/heddle-control"));
    if (!deployment.ok() && !absl::IsNotFound(deployment.status())) {
      report_.Error("installation", FirstLine(deployment.status()),
                    "use an account that can read Deployments");
      return report_.End();
    }
    if (!deployment.ok() || args_.Has("pre")) {
      if (!deployment.ok())
        report_.Ok("installation", absl::StrCat("none in namespace ", ns_, " yet"));
      Before(deployment.ok());
    } else {
      After(*deployment);
    }
    return report_.End();
  }

 private:
  bool ApiServer() {
    const absl::StatusOr<Json> version = kubectl_.Get("/version");
    if (!version.ok()) {
      report_.Error("API server", FirstLine(version.status()),
                    "give a kubeconfig and context that kubectl can use");
      return false;
    }
    int minor = 0;
    const std::string text = (*version)["minor"].Text();
    if (!absl::SimpleAtoi(text.substr(0, text.find_first_not_of("0123456789")), &minor) ||
        ((*version)["major"].Text() == "1" && minor < kOldestMinor)) {
      report_.Error("API server", (*version)["gitVersion"].Text(),
                    absl::StrCat("1.", kOldestMinor, " or newer is needed"));
    } else {
      report_.Ok("API server", (*version)["gitVersion"].Text());
    }
    return true;
  }

  // --- before -----------------------------------------------------------------------------------

  void Before(bool installed) {
    Rights();
    GatewayApi();
    OtherMeshes();
    if (!installed) LeftWebhooks();
    PodSecurity();
  }

  bool Can(absl::string_view verb, absl::string_view group, absl::string_view resource,
           const std::string& ns) {
    const absl::StatusOr<Json> answer = kubectl_.Create(
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        absl::StrCat("{\"apiVersion\":\"authorization.k8s.io/v1\",\"kind\":"
                     "\"SelfSubjectAccessReview\",\"spec\":{\"resourceAttributes\":{\"verb\":\"",
                     verb, "\",\"group\":\"", group, "\",\"resource\":\"", resource,
                     "\",\"namespace\":\"", ns, "\"}}}"));
    return answer.ok() && (*answer)["status"]["allowed"].True();
  }

  void Rights() {
    struct Right {
      absl::string_view group, resource;
      bool namespaced;
    };
    constexpr Right kRights[] = {
        {"", "namespaces", false},
        {"apiextensions.k8s.io", "customresourcedefinitions", false},
        {"rbac.authorization.k8s.io", "clusterroles", false},
        {"rbac.authorization.k8s.io", "clusterrolebindings", false},
        {"admissionregistration.k8s.io", "mutatingwebhookconfigurations", false},
        {"admissionregistration.k8s.io", "validatingwebhookconfigurations", false},
        {"", "serviceaccounts", true},
        {"", "configmaps", true},
        {"", "services", true},
        {"apps", "deployments", true},
        {"policy", "poddisruptionbudgets", true},
        {"rbac.authorization.k8s.io", "roles", true},
    };
    std::vector<std::string> missing;
    for (const Right& one : kRights)
      if (!Can("create", one.group, one.resource, one.namespaced ? ns_ : ""))
        missing.push_back(std::string(one.resource));
    if (missing.empty())
      report_.Ok("rights", "everything that an installation makes can be made");
    else
      report_.Error("rights",
                    absl::StrCat("this account cannot create ", absl::StrJoin(missing, ", ")),
                    "install with an account that can, such as one of cluster-admin");
  }

  void GatewayApi() {
    const absl::StatusOr<Json> crd =
        kubectl_.Get(absl::StrCat(kCrds, "httproutes.gateway.networking.k8s.io"));
    constexpr char kWhat[] = "Gateway API";
    if (!crd.ok()) {
      report_.Warning(kWhat, "HTTPRoute is not known to the API server",
                      "without it there are no routes, splits or canaries: kubectl apply the "
                      "standard channel's CRDs");
      return;
    }
    for (const Json& version : (*crd)["spec"]["versions"].Items())
      if (version["name"].Text() == "v1" && version["served"].True())
        return report_.Ok(
            kWhat, absl::StrCat(
                       "HTTPRoute v1, bundle ",
                       (*crd)["metadata"]["annotations"]["gateway.networking.k8s.io/bundle-version"]
                           .Text()));
    report_.Warning(kWhat, "HTTPRoute v1 is not served", "bring its CRDs to 1.0 or newer");
  }

  void OtherMeshes() {
    const absl::StatusOr<Json> list =
        kubectl_.Get(absl::StrCat(kAdmission, "mutatingwebhookconfigurations"));
    if (!list.ok())
      return report_.Warning("other meshes", FirstLine(list.status()),
                             "use an account that can list webhook configurations");
    std::vector<std::string> others;
    for (const Json& one : (*list)["items"].Items()) {
      const std::string name = one["metadata"]["name"].Text();
      for (const char* mark : {"istio-sidecar-injector", "linkerd-proxy-injector", "kuma-admission",
                               "consul-connect-injector", "osm-webhook"})
        if (absl::StrContains(name, mark)) others.push_back(name);
    }
    if (others.empty())
      report_.Ok("other meshes", "none injects sidecars");
    else
      report_.Warning("other meshes", Some(others),
                      "never let two inject into one namespace: label each for one of them");
  }

  // Webhooks without anybody behind them, from an installation that is half gone.
  void LeftWebhooks() {
    for (const char* path : {"mutatingwebhookconfigurations/heddle-injector",
                             "validatingwebhookconfigurations/heddle-validator"})
      if (kubectl_.Get(absl::StrCat(kAdmission, path)).ok())
        report_.Error("webhooks", absl::StrCat(path, " is left of an earlier installation"),
                      "heddlectl uninstall | kubectl delete --ignore-not-found -f -");
  }

  void PodSecurity() {
    const absl::StatusOr<Json> list =
        kubectl_.Get("/api/v1/namespaces?labelSelector=heddle.dev%2Finject%3Denabled");
    if (!list.ok()) return;
    std::vector<std::string> strict;
    for (const Json& one : (*list)["items"].Items()) {
      const std::string level =
          one["metadata"]["labels"]["pod-security.kubernetes.io/enforce"].Text();
      if (level == "restricted" || level == "baseline")
        strict.push_back(one["metadata"]["name"].Text());
    }
    if (strict.empty())
      return report_.Ok("pod security", "no injected namespace forbids heddle-init");
    report_.Warning("pod security",
                    absl::StrCat(Some(strict),
                                 " enforce baseline or restricted, which forbid the "
                                 "NET_ADMIN of heddle-init"),
                    "enforce privileged there, or set injection.interception=cni");
  }

  // --- after ------------------------------------------------------------------------------------

  void After(const Json& deployment) {
    Replicas(deployment);
    Version(deployment);
    CustomResources();
    Webhooks();
    Leader();
    GatewayApi();
    OtherMeshes();
    PodSecurity();
    Namespaces();
    Proxies();
    Policies();
  }

  void Replicas(const Json& deployment) {
    const double want = deployment["spec"]["replicas"].Number();
    const double ready = deployment["status"]["readyReplicas"].Number();
    const std::string found = absl::StrCat(ready, " of ", want, " replicas ready");
    const std::string look = absl::StrCat("kubectl -n ", ns_,
                                          " describe pods -l "
                                          "app.kubernetes.io/name=heddle-control");
    if (ready == 0)
      report_.Error("heddle-control", found, look);
    else if (ready < want)
      report_.Warning("heddle-control", found, look);
    else if (want < 2)
      report_.Warning("heddle-control", found,
                      "2 survive the loss of one: --set control.replicas=2");
    else
      report_.Ok("heddle-control", found);
  }

  void Version(const Json& deployment) {
    const std::string found = deployment["metadata"]["labels"]["app.kubernetes.io/version"].Text();
    if (found == kControlVersion)
      report_.Ok("version", absl::StrCat(found, ", as heddlectl"));
    else
      report_.Warning("version",
                      absl::StrCat("heddle-control ", found.empty() ? "?" : found, ", heddlectl ",
                                   kControlVersion),
                      "heddlectl upgrade, or use the heddlectl of that version");
  }

  void CustomResources() {
    std::vector<std::string> bad;
    for (const absl::string_view plural : kPlurals) {
      const absl::StatusOr<Json> crd = kubectl_.Get(absl::StrCat(kCrds, plural, ".heddle.dev"));
      bool established = false;
      if (crd.ok())
        for (const Json& one : (*crd)["status"]["conditions"].Items())
          established |= one["type"].Text() == "Established" && one["status"].Text() == "True";
      if (!established) bad.push_back(std::string(plural));
    }
    if (bad.empty())
      report_.Ok("custom resources", absl::StrCat(kPlurals.size(), " kinds served"));
    else
      report_.Error("custom resources", absl::StrCat("not served: ", absl::StrJoin(bad, ", ")),
                    "heddlectl install | kubectl apply -f -");
  }

  void Webhooks() {
    for (const char* path : {"mutatingwebhookconfigurations/heddle-injector",
                             "validatingwebhookconfigurations/heddle-validator"}) {
      const std::string name = std::string(path).substr(std::string(path).find('/') + 1);
      const absl::StatusOr<Json> found = kubectl_.Get(absl::StrCat(kAdmission, path));
      if (!found.ok()) {
        report_.Error("webhook", absl::StrCat(name, ": ", FirstLine(found.status())),
                      "heddlectl install | kubectl apply -f -");
        continue;
      }
      size_t without = 0;
      const std::vector<Json> hooks = (*found)["webhooks"].Items();
      for (const Json& hook : hooks) without += hook["clientConfig"]["caBundle"].Text().empty();
      if (without > 0)
        report_.Error("webhook", absl::StrCat(name, " has no caBundle"),
                      "heddle-control writes it: look at its log");
      else
        report_.Ok("webhook", absl::StrCat(name, ", failurePolicy ",
                                           hooks.empty() ? "?" : hooks[0]["failurePolicy"].Text()));
    }
    const absl::StatusOr<Json> slices = kubectl_.Get(absl::StrCat(
        "/apis/discovery.k8s.io/v1/namespaces/", ns_,
        "/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Dheddle-control"));
    size_t ready = 0;
    if (slices.ok())
      for (const Json& slice : (*slices)["items"].Items())
        for (const Json& endpoint : slice["endpoints"].Items())
          ready += endpoint["conditions"]["ready"].True();
    if (ready == 0)
      report_.Error("service",
                    "heddle-control has no ready endpoint: no pod can be injected and no "
                    "sidecar can connect",
                    absl::StrCat("kubectl -n ", ns_, " get endpointslices,pods"));
    else
      report_.Ok("service", absl::StrCat(ready, " ready endpoints"));
  }

  void Leader() {
    const absl::StatusOr<Json> lease = kubectl_.Get(
        absl::StrCat("/apis/coordination.k8s.io/v1/namespaces/", ns_, "/leases/heddle-control"));
    if (!lease.ok())
      return report_.Error("leader", FirstLine(lease.status()),
                           "nobody writes status: look at heddle-control's log");
    const Json spec = (*lease)["spec"];
    absl::Time renewed;
    const bool known =
        absl::ParseTime(absl::RFC3339_full, spec["renewTime"].Text(), &renewed, nullptr);
    const absl::Duration age = absl::Now() - renewed;
    if (!known || age > 2 * absl::Seconds(std::max(15.0, spec["leaseDurationSeconds"].Number())))
      report_.Error("leader",
                    absl::StrCat(spec["holderIdentity"].Text(), " has not renewed its lease",
                                 known ? absl::StrCat(" for ", absl::FormatDuration(absl::Trunc(
                                                                   age, absl::Seconds(1))))
                                       : ""),
                    "nobody writes status: look at heddle-control's log");
    else
      report_.Ok("leader", spec["holderIdentity"].Text());
  }

  // Pods that should have a sidecar and have none: made before the label, or while injection
  // failed.
  void Namespaces() {
    const absl::StatusOr<Json> list =
        kubectl_.Get("/api/v1/namespaces?labelSelector=heddle.dev%2Finject%3Denabled");
    if (!list.ok())
      return report_.Warning("namespaces", FirstLine(list.status()),
                             "use an account that can list namespaces");
    const std::vector<Json> items = (*list)["items"].Items();
    if (items.empty())
      return report_.Warning("namespaces", "none is injected",
                             "kubectl label namespace NAME heddle.dev/inject=enabled");
    for (const Json& one : items) CheckNamespace(one["metadata"]["name"].Text());
  }

  void CheckNamespace(const std::string& ns) {
    const std::string what = absl::StrCat("namespace ", ns);
    if (!kubectl_.Get(absl::StrCat("/api/v1/namespaces/", ns, "/configmaps/heddle-root")).ok())
      report_.Error(what, "has no ConfigMap heddle-root: its pods wait for it",
                    "heddle-control's leader writes it: look at its log");
    const absl::StatusOr<Json> pods =
        kubectl_.Get(absl::StrCat("/api/v1/namespaces/", ns, "/pods?limit=5000"));
    if (!pods.ok())
      return report_.Warning(what, FirstLine(pods.status()), "use an account that can list pods");
    std::vector<std::string> outside;
    size_t inside = 0;
    for (const Json& pod : (*pods)["items"].Items()) {
      const std::string phase = pod["status"]["phase"].Text();
      if (phase == "Succeeded" || phase == "Failed" || pod["spec"]["hostNetwork"].True()) continue;
      if (HasProxy(pod["spec"]))
        ++inside;
      else if (pod["metadata"]["labels"]["heddle.dev/inject"].Text() != "false")
        outside.push_back(pod["metadata"]["name"].Text());
    }
    if (outside.empty())
      report_.Ok(what, absl::StrCat(inside, " pods with a sidecar"));
    else
      report_.Warning(what,
                      absl::StrCat(outside.size(), " pods without a sidecar: ", Some(outside)),
                      absl::StrCat("kubectl -n ", ns,
                                   " rollout restart deployment; their Events say "
                                   "why when it stays so"));
  }

  static bool HasProxy(const Json& spec) {
    for (const char* list : {"initContainers", "containers"})
      for (const Json& one : spec[list].Items())
        if (one["name"].Text() == "heddle-proxy") return true;
    return false;
  }

  // What only heddle-control knows, through a forwarded port.
  void Proxies() {
    const absl::StatusOr<ControlPages> control = ControlPages::OpenCluster(kubectl_, ns_);
    if (!control.ok())
      return report_.Warning("sidecars", FirstLine(control.status()),
                             "the rest of this check needs kubectl port-forward to heddle-control");
    const absl::StatusOr<std::vector<std::string>> pages = control->GetAll("/status");
    if (!pages.ok())
      return report_.Error("sidecars", FirstLine(pages.status()), "look at heddle-control's log");
    const absl::StatusOr<std::string> merged = MergeStatus(*pages);
    const absl::StatusOr<Json> status =
        merged.ok() ? Json::Parse(*merged) : absl::StatusOr<Json>(merged.status());
    if (!status.ok())
      return report_.Error("sidecars", FirstLine(status.status()), "look at heddle-control's log");
    ConnectedProxies(*status);
    Certificates(*control);
  }

  void ConnectedProxies(const Json& status) {
    std::vector<std::string> away, refused, other_version;
    size_t synced = 0;
    for (const Json& proxy : status["proxies"].Items()) {
      // Of a pod that is gone: heddle-control remembers it for a while.
      if (!proxy["in_configuration"].True()) continue;
      const std::string node = proxy["node"].Text();
      const std::string state = proxy["state"].Text();
      synced += state == "synced";
      if (state == "rejecting") refused.push_back(node);
      if (state == "disconnected" || state == "never seen") away.push_back(node);
      std::string agent = proxy["agent"].Text();
      absl::string_view version = agent;
      if (absl::ConsumePrefix(&version, "heddle-proxy/") && version != status["version"].Text())
        other_version.push_back(absl::StrCat(node, " (", version, ")"));
    }
    if (!refused.empty())
      report_.Error("sidecars",
                    absl::StrCat(refused.size(), " refuse their configuration: ", Some(refused)),
                    "heddlectl status says why");
    if (!away.empty())
      report_.Warning("sidecars", absl::StrCat(away.size(), " are not connected: ", Some(away)),
                      "kubectl logs POD -c heddle-proxy");
    if (refused.empty() && away.empty())
      report_.Ok("sidecars", absl::StrCat(synced, " connected and up to date"));
    if (!other_version.empty())
      report_.Warning("sidecar versions",
                      absl::StrCat("not ", status["version"].Text(), ": ", Some(other_version)),
                      "restart their Deployments");
    size_t problems = 0;
    for (const Json& one : status["problems"].Items())
      problems += one["severity"].Text() == "error";
    if (problems > 0)
      report_.Error("policies", absl::StrCat(problems, " problems in the configuration"),
                    "heddlectl status lists them");
  }

  // heddle_control_certificate_expiry_seconds{name="..."} 1.7e9
  void Certificates(const ControlPages& control) {
    constexpr absl::string_view kMetric = "heddle_control_certificate_expiry_seconds{name=\"";
    const absl::StatusOr<std::vector<std::string>> pages = control.GetAll("/metrics");
    if (!pages.ok()) return;
    std::map<std::string, absl::Time> ends;
    for (const std::string& page : *pages)
      for (absl::string_view line : absl::StrSplit(page, '\n')) {
        double seconds = 0;
        const size_t quote = line.rfind('"');
        if (!absl::ConsumePrefix(&line, kMetric) ||
            !absl::SimpleAtod(line.substr(line.rfind(' ') + 1), &seconds))
          continue;
        const std::string name(line.substr(0, quote - kMetric.size()));
        const absl::Time end = absl::FromUnixSeconds(static_cast<int64_t>(seconds));
        const auto [it, fresh] = ends.try_emplace(name, end);
        it->second = std::min(it->second, end);
      }
    for (const auto& [name, end] : ends) {
      const absl::Duration left = end - absl::Now();
      const std::string found = absl::StrCat(
          name, " ends ", absl::FormatTime("%Y-%m-%d %H:%MZ", end, absl::UTCTimeZone()));
      if (left <= absl::ZeroDuration())
        report_.Error("certificate", found, "it is over: look at heddle-control's log");
      else if (left < kSoon && name != "serving")
        report_.Warning("certificate", found, "rotate the root: heddlectl rotate --help");
      else
        report_.Ok("certificate", found);
    }
  }

  void Policies() {
    std::vector<std::string> bad;
    for (const absl::string_view plural : kPlurals) {
      const absl::StatusOr<Json> list =
          kubectl_.Get(absl::StrCat("/apis/heddle.dev/v1/", plural, "?limit=2000"));
      if (!list.ok()) continue;
      for (const Json& item : (*list)["items"].Items())
        for (const Json& one : item["status"]["conditions"].Items())
          if (one["status"].Text() == "False")
            bad.push_back(absl::StrCat(plural, " ", item["metadata"]["namespace"].Text(), "/",
                                       item["metadata"]["name"].Text(), " is not ",
                                       one["type"].Text(), " (", one["message"].Text(), ")"));
    }
    if (bad.empty()) return report_.Ok("policies", "none is refused");
    for (const std::string& one : bad) report_.Error("policy", one, "kubectl describe it");
  }

  const Args& args_;
  const Kubectl kubectl_;
  const std::string ns_;
  Report report_;
};

}  // namespace

int Check(const Args& args, Terminal& terminal) {
  if (!args.rest().empty())
    return Misused(terminal, "check takes no arguments; see heddlectl check --help");
  return Checks(args, terminal).Run();
}

}  // namespace heddle::heddlectl
