// heddlectl in a cluster, by a kubectl that answers from files and forwards to a page of ours: what
// is asked, what is said, and which exit code.
#include <stdlib.h>
#include <sys/stat.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <map>
#include <sstream>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "control_plane/heddlectl/commands.h"
#include "control_plane/heddlectl/control_pages.h"
#include "control_plane/heddlectl/kubectl.h"
#include "control_plane/identity/files.h"
#include "control_plane/status/http_server.h"
#include "control_plane/status/version.h"

namespace heddle::heddlectl {
namespace {

// Answers `get --raw PATH` with get/<PATH, marks as _>, `create --raw` with the file `allowed`,
// forwards `pod/NAME` to the port in forward/NAME. Every call is a line of `log`.
constexpr char kScript[] = R"(#!/bin/sh
echo "$*" >>"$FAKE_KUBECTL/log"
while :; do case $1 in --kubeconfig=* | --context=*) shift ;; *) break ;; esac; done
case "$1 $2" in
"get --raw")
  file=$FAKE_KUBECTL/get/$(printf %s "$3" | tr '/?=&%' '_____')
  [ -f "$file" ] && exec cat "$file"
  echo "Error from server (NotFound): the server could not find the requested resource" >&2
  exit 1
  ;;
"create --raw")
  review=$(cat)
  for word in $(cat "$FAKE_KUBECTL/forbidden"); do
    case $review in *"\"resource\":\"$word\""*) echo '{"status":{"allowed":false}}'; exit 0 ;; esac
  done
  echo '{"status":{"allowed":true}}'
  ;;
port-forward*)
  for word; do case $word in pod/*) pod=${word#pod/} ;; esac; done
  if [ ! -f "$FAKE_KUBECTL/forward/$pod" ]; then
    echo "error: unable to forward port because pod is not running" >&2
    exit 1
  fi
  echo "Forwarding from 127.0.0.1:$(cat "$FAKE_KUBECTL/forward/$pod") -> 15014"
  exec sleep 600
  ;;
*) echo "unexpected: $*" >&2; exit 1 ;;
esac
)";

struct Ran {
  int code;
  std::string out, err;
};

Ran Ctl(const std::vector<std::string>& words) {
  std::ostringstream out, err;
  Terminal terminal{.out = out, .err = err};
  const int code = Run(words, terminal);
  return {code, out.str(), err.str()};
}

// A cluster made of files. One at a time: it is found by the environment.
class FakeCluster {
 public:
  FakeCluster() {
    std::string dir = "/tmp/heddle-kubectl-XXXXXX";
    REQUIRE(mkdtemp(dir.data()) != nullptr);
    dir_ = dir;
    for (const char* name : {"/bin", "/get", "/forward"})
      REQUIRE(mkdir((dir_ + name).c_str(), 0755) == 0);
    Write("bin/kubectl", kScript, 0755);
    Write("forbidden", "");
    setenv("FAKE_KUBECTL", dir_.c_str(), 1);
    setenv("PATH", absl::StrCat(dir_, "/bin:/usr/bin:/bin").c_str(), 1);
  }
  ~FakeCluster() {
    setenv("PATH", "/usr/bin:/bin", 1);
    std::error_code ignored;
    std::filesystem::remove_all(dir_, ignored);
  }

  void Write(const std::string& name, const std::string& text, int mode = 0644) {
    REQUIRE(identity::ReplaceFile(dir_ + "/" + name, text, static_cast<mode_t>(mode)).ok());
  }
  void Answer(const std::string& path, const std::string& json) {
    Write("get/" + absl::StrReplaceAll(
                       path, {{"/", "_"}, {"?", "_"}, {"=", "_"}, {"&", "_"}, {"%", "_"}}),
          json);
  }
  void Forget(const std::string& path) {
    const std::string name =
        absl::StrReplaceAll(path, {{"/", "_"}, {"?", "_"}, {"=", "_"}, {"&", "_"}, {"%", "_"}});
    REQUIRE(unlink((dir_ + "/get/" + name).c_str()) == 0);
  }
  std::string log() const {
    const auto text = identity::ReadFile(dir_ + "/log");
    return text.ok() ? *text : "";
  }

 private:
  std::string dir_;
};

std::unique_ptr<status::HttpServer> Serve(std::map<std::string, std::string> pages) {
  auto server = status::HttpServer::Start("127.0.0.1:0", [pages](const status::HttpRequest& in) {
    const auto it = pages.find(in.path);
    return it == pages.end() ? status::HttpReply{.code = 404, .body = "no such page"}
                             : status::HttpReply{.code = 200, .body = it->second};
  });
  REQUIRE(server.ok());
  return *std::move(server);
}

constexpr char kControlPods[] =
    "/api/v1/namespaces/heddle-system/pods?labelSelector=app.kubernetes.io%2Fname%3Dheddle-control";

std::string Pods(const std::vector<std::string>& ready,
                 const std::vector<std::string>& other = {}) {
  std::string items;
  const auto add = [&](const std::string& name, const char* state) {
    absl::StrAppend(&items, items.empty() ? "" : ",", R"({"metadata":{"name":")", name,
                    R"("},"status":{"conditions":[{"type":"Ready","status":")", state, R"("}]}})");
  };
  for (const std::string& name : ready) add(name, "True");
  for (const std::string& name : other) add(name, "False");
  return absl::StrCat(R"({"items":[)", items, "]}");
}

std::string StatusPage(const std::string& proxies) {
  return absl::StrCat(
      R"({"version":")", kControlVersion,
      R"(","trust_domain":"cluster.local","convergence":{"generation":7,"proxies":1,"outstanding":0,"ms":2.5},"problems":[],"proxies":[)",
      proxies, "]}");
}

std::string ProxyLine(const std::string& node, const std::string& state,
                      const std::string& version = kControlVersion) {
  return absl::StrCat(R"({"node":")", node, R"(","state":")", state,
                      R"(","in_configuration":true,"identity":"spiffe://x","agent":"heddle-proxy/)",
                      version, R"(","types":[]})");
}

SCENARIO("status shows the sidecars of every replica, each as its own replica sees it") {
  FakeCluster cluster;
  const auto one = Serve({{"/status", StatusPage(ProxyLine("shop/web", "synced") + "," +
                                                 ProxyLine("shop/db", "disconnected"))}});
  const auto two = Serve({{"/status", StatusPage(R"({"node":"shop/web","state":"never seen"},)" +
                                                 ProxyLine("shop/db", "synced"))}});
  cluster.Answer(kControlPods, Pods({"control-a", "control-b"}, {"control-c"}));
  cluster.Write("forward/control-a", absl::StrCat(one->port()));
  cluster.Write("forward/control-b", absl::StrCat(two->port()));
  const Ran ran = Ctl({"status", "--kubeconfig", "/some/config", "--context=prod"});
  INFO(ran.err << ran.out);
  CHECK(ran.code == 0);
  CHECK_THAT(ran.out, Catch::Contains("answered by all 2 proxies"));
  CHECK_THAT(ran.out, Catch::Matches("(.|\n)*shop/db +synced(.|\n)*shop/web +synced(.|\n)*"));
  CHECK_THAT(
      cluster.log(),
      Catch::Contains("--kubeconfig=/some/config --context=prod port-forward "
                      "--address=127.0.0.1 --namespace=heddle-system pod/control-a :15014\n") &&
          Catch::Contains("pod/control-b :15014") && !Catch::Contains("control-c :15014"));
  CHECK(Ctl({"status", "--kubernetes", "--wait", "1m"}).code == 0);
}

SCENARIO("a replica that cannot be reached is named, and so is a cluster without any") {
  FakeCluster cluster;
  cluster.Answer(kControlPods, Pods({"control-a"}));
  Ran ran = Ctl({"status", "--kubernetes"});
  CHECK(ran.code == 1);
  CHECK_THAT(ran.err, Catch::Contains("port 15014 of pod heddle-system/control-a") &&
                          Catch::Contains("pod is not running"));
  cluster.Answer(kControlPods, Pods({}, {"control-a"}));
  ran = Ctl({"status", "--kubernetes"});
  CHECK(ran.code == 1);
  CHECK_THAT(ran.err,
             Catch::Contains("no pod of heddle-control is ready in namespace heddle-system"));
  setenv("PATH", "/nowhere", 1);
  ran = Ctl({"status", "--kubernetes"});
  CHECK(ran.code == 1);
  CHECK_THAT(ran.err, Catch::Contains("kubectl is not on PATH"));
}

SCENARIO("rotate asks one replica, which does it for all") {
  FakeCluster cluster;
  std::atomic<int> asked = 0;
  const auto answer = [&](const status::HttpRequest& in) -> status::HttpReply {
    if (in.path != "/rotate" || in.method != "POST" || !in.guarded)
      return {.code = 404, .body = ""};
    ++asked;
    if (in.query.count("root") != 0)
      return {.code = 400, .body = "there is no root to " + in.query.at("root") + "\n"};
    return {.body = "every workload was told\n"};
  };
  auto one = status::HttpServer::Start("127.0.0.1:0", answer);
  auto two = status::HttpServer::Start("127.0.0.1:0", answer);
  REQUIRE(one.ok());
  REQUIRE(two.ok());
  cluster.Answer(kControlPods, Pods({"control-a", "control-b"}));
  cluster.Write("forward/control-a", absl::StrCat((*one)->port()));
  cluster.Write("forward/control-b", absl::StrCat((*two)->port()));
  Ran ran = Ctl({"rotate", "--kubernetes"});
  INFO(ran.err);
  CHECK(ran.code == 0);
  CHECK(ran.out == "every workload was told\n");
  CHECK(asked == 1);
  ran = Ctl({"rotate", "--context=prod", "--root", "retire"});
  CHECK(ran.code == 1);
  CHECK(ran.err == "heddlectl: there is no root to retire\n");
  CHECK(asked == 2);
  CHECK(Ctl({"rotate", "--kubernetes", "--root", "forget"}).code == 2);
}

SCENARIO("trace joins the spans that each replica holds") {
  FakeCluster cluster;
  const std::string trace = "0af7651916cd43dd8448eb211c80319c";
  const auto span = [&](const char* id, const char* parent, const char* service) {
    return absl::StrCat(
        R"({"spans":[{"trace_id":")", trace, R"(","span_id":")", id, R"(","parent_id":")", parent,
        R"(","service":")", service, R"(","name":"GET /",)",
        R"("kind":"server","start_ns":"1700000000000000000","duration_ns":"5000000","error":false,"attributes":{}}]})");
  };
  const auto one = Serve({{"/traces", span("00f067aa0ba902b7", "", "web")}});
  const auto two = Serve({{"/traces", span("00f067aa0ba902b8", "00f067aa0ba902b7", "reviews")}});
  cluster.Answer(kControlPods, Pods({"control-a", "control-b"}));
  cluster.Write("forward/control-a", absl::StrCat(one->port()));
  cluster.Write("forward/control-b", absl::StrCat(two->port()));
  const Ran ran = Ctl({"trace", "--kubernetes", trace});
  INFO(ran.err << ran.out);
  CHECK(ran.code == 0);
  CHECK_THAT(ran.out, Catch::Contains("web") && Catch::Contains("reviews"));
}

SCENARIO("proxy looks into the sidecar of a pod") {
  FakeCluster cluster;
  const auto sidecar = Serve({{"/clusters", "the clusters"}});
  cluster.Write("forward/web-1", absl::StrCat(sidecar->port()));
  const Ran ran = Ctl({"proxy", "shop/web-1", "clusters", "--context", "prod"});
  INFO(ran.err);
  CHECK(ran.code == 0);
  CHECK(ran.out == "the clusters\n");
  CHECK_THAT(cluster.log(), Catch::Contains("--context=prod port-forward --address=127.0.0.1 "
                                            "--namespace=shop pod/web-1 :15000\n"));
  CHECK(Ctl({"proxy", "shop/gone", "clusters"}).code == 1);
  CHECK(Ctl({"proxy", "a/b/c", "clusters"}).code == 2);
  CHECK(Ctl({"proxy", absl::StrCat("127.0.0.1:", sidecar->port()), "/clusters"}).code == 0);
}

constexpr char kDeployment[] = "/apis/apps/v1/namespaces/heddle-system/deployments/heddle-control";
constexpr char kInjector[] =
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/heddle-injector";
constexpr char kInjected[] = "/api/v1/namespaces?labelSelector=heddle.dev%2Finject%3Denabled";

std::string Deployment(int replicas, int ready, const std::string& version) {
  return absl::StrCat(R"({"metadata":{"labels":{"app.kubernetes.io/version":")", version,
                      R"("}},"spec":{"replicas":)", replicas, R"(},"status":{"readyReplicas":)",
                      ready, "}}");
}

void AnswerBare(FakeCluster& cluster) {
  cluster.Answer("/version", R"({"major":"1","minor":"34","gitVersion":"v1.34.1"})");
  cluster.Answer("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
                 R"({"items":[]})");
  cluster.Answer(kInjected, R"({"items":[]})");
  cluster.Answer(
      "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"
      "httproutes.gateway.networking.k8s.io",
      R"({"metadata":{"annotations":{"gateway.networking.k8s.io/bundle-version":"v1.4.1"}},
          "spec":{"versions":[{"name":"v1","served":true}]}})");
}

SCENARIO("check before an installation finds what stands against it") {
  FakeCluster cluster;
  AnswerBare(cluster);
  Ran ran = Ctl({"check"});
  INFO(ran.err << ran.out);
  CHECK(ran.code == 0);
  CHECK_THAT(ran.out,
             Catch::Contains("ok      API server: v1.34.1\n") &&
                 Catch::Contains("ok      installation: none in namespace heddle-system yet") &&
                 Catch::Contains("ok      rights: ") &&
                 Catch::Contains("ok      Gateway API: HTTPRoute v1, bundle v1.4.1") &&
                 Catch::Contains("good: 0 errors, 0 warnings\n"));

  cluster.Write("forbidden", "clusterroles deployments");
  cluster.Answer("/version", R"({"major":"1","minor":"28+","gitVersion":"v1.28.3-x"})");
  cluster.Answer("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
                 R"({"items":[{"metadata":{"name":"istio-sidecar-injector-prod"}}]})");
  cluster.Answer(kInjector, "{}");
  cluster.Answer(kInjected, R"({"items":[{"metadata":{"name":"shop","labels":
      {"pod-security.kubernetes.io/enforce":"restricted"}}}]})");
  cluster.Forget(
      "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"
      "httproutes.gateway.networking.k8s.io");
  ran = Ctl({"check"});
  INFO(ran.out);
  CHECK(ran.code == 1);
  CHECK_THAT(ran.out,
             Catch::Contains("error   API server: v1.28.3-x; 1.29 or newer is needed\n") &&
                 Catch::Contains(
                     "error   rights: this account cannot create clusterroles, deployments; ") &&
                 Catch::Contains("warning Gateway API: ") &&
                 Catch::Contains("warning other meshes: istio-sidecar-injector-prod; ") &&
                 Catch::Contains(
                     "error   webhooks: mutatingwebhookconfigurations/heddle-injector is left") &&
                 Catch::Contains("warning pod security: shop enforce ") &&
                 Catch::Contains("not good: 3 errors, 3 warnings\n"));

  cluster.Forget("/version");
  ran = Ctl({"check"});
  CHECK(ran.code == 1);
  CHECK_THAT(ran.out, Catch::StartsWith("error   API server: ") && Catch::Contains("1 error, "));
}

SCENARIO("check after an installation finds what is wrong with it") {
  FakeCluster cluster;
  AnswerBare(cluster);
  const auto control = Serve(
      {{"/status", StatusPage(ProxyLine("shop/web", "synced") + "," +
                              absl::StrReplaceAll(ProxyLine("shop/gone", "disconnected", "0.0.1"),
                                                  {{R"("in_configuration":true)",
                                                    R"("in_configuration":false)"}}))},
       {"/metrics",
        absl::StrFormat("heddle_control_certificate_expiry_seconds{name=\"serving\"} %d\n",
                        absl::ToUnixSeconds(absl::Now() + absl::Hours(12)))}});
  cluster.Write("forward/control-a", absl::StrCat(control->port()));
  cluster.Answer(kControlPods, Pods({"control-a"}));
  cluster.Answer(kDeployment, Deployment(2, 2, kControlVersion));
  for (const char* plural : {"meshconfigs", "backendpolicies", "authorizationpolicies",
                             "workloadpolicies", "workloads"}) {
    cluster.Answer(absl::StrCat("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/", plural,
                                ".heddle.dev"),
                   R"({"status":{"conditions":[{"type":"Established","status":"True"}]}})");
    cluster.Answer(absl::StrCat("/apis/heddle.dev/v1/", plural, "?limit=2000"), R"({"items":[]})");
  }
  const std::string hook =
      R"({"webhooks":[{"failurePolicy":"Fail","clientConfig":{"caBundle":"QQ=="}}]})";
  cluster.Answer(kInjector, hook);
  cluster.Answer(
      "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/heddle-validator",
      hook);
  cluster.Answer(
      "/apis/discovery.k8s.io/v1/namespaces/heddle-system/endpointslices?labelSelector="
      "kubernetes.io%2Fservice-name%3Dheddle-control",
      R"({"items":[{"endpoints":[{"conditions":{"ready":true}}]}]})");
  const std::string lease =
      "/apis/coordination.k8s.io/v1/namespaces/heddle-system/leases/heddle-control";
  const auto held = [](absl::Time renewed) {
    return absl::StrCat(
        R"({"spec":{"holderIdentity":"control-a","leaseDurationSeconds":15,"renewTime":")",
        absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", renewed, absl::UTCTimeZone()), R"("}})");
  };
  cluster.Answer(lease, held(absl::Now()));
  cluster.Answer(kInjected, R"({"items":[{"metadata":{"name":"shop"}}]})");
  cluster.Answer("/api/v1/namespaces/shop/configmaps/heddle-root", "{}");
  const std::string pods = "/api/v1/namespaces/shop/pods?limit=5000";
  const std::string inside =
      R"({"metadata":{"name":"web"},"spec":{"initContainers":[{"name":"heddle-proxy"}]}})";
  cluster.Answer(pods, absl::StrCat(R"({"items":[)", inside, "]}"));
  Ran ran = Ctl({"check"});
  INFO(ran.err << ran.out);
  CHECK(ran.code == 0);
  CHECK_THAT(ran.out,
             Catch::Contains("ok      heddle-control: 2 of 2 replicas ready\n") &&
                 Catch::Contains("ok      webhook: heddle-injector, failurePolicy Fail\n") &&
                 Catch::Contains("ok      leader: control-a\n") &&
                 Catch::Contains("ok      namespace shop: 1 pods with a sidecar\n") &&
                 Catch::Contains("ok      sidecars: 1 connected and up to date\n") &&
                 Catch::Contains("ok      certificate: serving ends ") &&
                 Catch::Contains("good: 0 errors, 0 warnings\n"));

  cluster.Answer(kDeployment, Deployment(2, 1, "0.0.1"));
  cluster.Answer(kInjector, R"({"webhooks":[{"clientConfig":{}}]})");
  cluster.Answer(lease, held(absl::Now() - absl::Minutes(10)));
  cluster.Answer(pods, absl::StrCat(R"({"items":[)", inside, R"(,
      {"metadata":{"name":"old"},"spec":{"containers":[{"name":"app"}]}},
      {"metadata":{"name":"not","labels":{"heddle.dev/inject":"false"}},"spec":{}},
      {"metadata":{"name":"host"},"spec":{"hostNetwork":true}},
      {"metadata":{"name":"done"},"spec":{},"status":{"phase":"Succeeded"}}]})"));
  cluster.Answer("/apis/heddle.dev/v1/backendpolicies?limit=2000",
                 R"({"items":[{"metadata":{"namespace":"shop","name":"b"},"status":{"conditions":
                     [{"type":"Accepted","status":"False","message":"no such Service"}]}}]})");
  cluster.Forget("/api/v1/namespaces/shop/configmaps/heddle-root");
  const auto worse =
      Serve({{"/status", StatusPage(ProxyLine("shop/web", "rejecting", "0.0.1") + "," +
                                    ProxyLine("shop/db", "disconnected"))},
             {"/metrics", "heddle_control_certificate_expiry_seconds{name=\"root\"} 1000\n"}});
  cluster.Write("forward/control-a", absl::StrCat(worse->port()));
  ran = Ctl({"check"});
  INFO(ran.out);
  CHECK(ran.code == 1);
  for (const char* line :
       {"warning heddle-control: 1 of 2 replicas ready; kubectl -n heddle-system describe",
        "warning version: heddle-control 0.0.1, heddlectl ",
        "error   webhook: heddle-injector has no caBundle",
        "error   leader: control-a has not renewed its lease for 10m",
        "error   namespace shop: has no ConfigMap",
        "warning namespace shop: 1 pods without a sidecar: old; ",
        "error   sidecars: 1 refuse their configuration: shop/web; ",
        "warning sidecars: 1 are not connected: shop/db; ", "warning sidecar versions: not ",
        "error   certificate: root ends 1970-01-01 00:16Z; ",
        "error   policy: backendpolicies shop/b is not Accepted (no such Service); "}) {
    INFO(line);
    CHECK_THAT(ran.out, Catch::Contains(line));
  }
}

SCENARIO("validate and explain read a whole cluster as heddle-control would") {
  FakeCluster cluster;
  const auto pod = [](const char* name, const char* ip, int port) {
    return absl::StrFormat(
        R"({"metadata":{"name":"%s-1","namespace":"shop","labels":{"app":"%s"}},
            "spec":{"serviceAccountName":"%s","nodeName":"node-a","initContainers":[{"name":"heddle-proxy"}],
                    "containers":[{"name":"app","ports":[{"name":"http","containerPort":%d}]}]},
            "status":{"phase":"Running","podIP":"%s","podIPs":[{"ip":"%s"}]}})",
        name, name, name, port, ip, ip);
  };
  cluster.Answer("/api/v1/nodes", R"({"items":[{"metadata":{"name":"node-a","labels":
      {"topology.kubernetes.io/region":"north","topology.kubernetes.io/zone":"north-1"}}}]})");
  cluster.Answer("/api/v1/pods", absl::StrCat(R"({"items":[)", pod("web", "10.244.0.5", 8080), ",",
                                              pod("reviews", "10.244.0.6", 9080), "]}"));
  cluster.Answer("/api/v1/services", R"({"items":[{"metadata":{"name":"reviews","namespace":"shop"},
      "spec":{"clusterIP":"10.96.0.7","selector":{"app":"reviews"},
              "ports":[{"name":"http","port":9080,"targetPort":"http","protocol":"TCP"}]}}]})");
  const char* const slices =
      R"({"items":[{"metadata":{"name":"reviews-x","namespace":"shop","labels":{"kubernetes.io/service-name":"reviews"}},
          "addressType":"IPv4","ports":[{"name":"http","port":9080,"protocol":"TCP"}],
          "endpoints":[{"addresses":["10.244.0.6"],"conditions":{"ready":true},
                        "targetRef":{"kind":"Pod","name":"reviews-1","namespace":"shop"}}]}]})";
  cluster.Answer(
      "/apis/discovery.k8s.io/v1/endpointslices?labelSelector=kubernetes.io%2Fservice-name",
      slices);
  const std::string policies = "/apis/heddle.dev/v1/authorizationpolicies";
  cluster.Answer(policies, R"({"items":[{"metadata":{"name":"no-admin","namespace":"shop"},
      "spec":{"selector":{"matchLabels":{"app":"reviews"}},"action":"DENY","rules":[{"to":[{"paths":["/admin*"]}]}]}}]})");
  const Ran good = Ctl({"validate", "--kubernetes"});
  INFO(good.out << good.err);
  CHECK(good.code == 0);
  CHECK_THAT(good.out,
             Catch::Contains(
                 "valid: 1 services, 2 workloads (2 with a sidecar), 1 authorization policies"));
  const Ran allowed =
      Ctl({"explain", "--kubernetes", "--from", "shop/web-1", "http://reviews:9080/list"});
  INFO(allowed.out << allowed.err);
  CHECK(allowed.code == 0);
  CHECK_THAT(allowed.out, Catch::Contains("10.244.0.6:9080 shop/reviews-1, mutual TLS: allowed"));
  CHECK_THAT(
      Ctl({"explain", "--kubernetes", "--from", "shop/web-1", "http://reviews:9080/admin"}).out,
      Catch::Contains("REFUSED by") && Catch::Contains("no-admin"));

  cluster.Answer(policies, R"({"items":[{"metadata":{"name":"bad","namespace":"shop"},
      "spec":{"rules":[{"to":[{"ports":[0]}]}]}}]})");
  const Ran bad = Ctl({"validate", "--kubernetes"});
  CHECK(bad.code == 1);
  CHECK_THAT(bad.out,
             Catch::Contains("AuthorizationPolicy shop/bad") && Catch::Contains("ports[0]"));
  CHECK(Ctl({"validate", "--kubernetes", "/some/directory"}).code == 2);
  CHECK(Ctl({"explain", "--kubernetes", "/some/directory", "http://reviews"}).code == 2);
}

SCENARIO("install and uninstall print what kubectl takes") {
  const Ran install = Ctl({"install", "--set", "control.replicas=4"});
  CHECK(install.code == 0);
  CHECK_THAT(install.out, Catch::StartsWith("---\napiVersion: v1\nkind: Namespace\n") &&
                              Catch::Contains("  replicas: 4\n"));
  CHECK_THAT(Ctl({"install", "--show-values", "--set", "control.replicas=4"}).out,
             Catch::Contains("  replicas: 4\n") && Catch::Contains("trustDomain: cluster.local\n"));
  for (const std::vector<std::string>& bad :
       std::vector<std::vector<std::string>>{{"install", "--set", "control.replicas=0"},
                                             {"install", "--set", "nothing"},
                                             {"install", "-f", "/nowhere"},
                                             {"install", "--namespace", "A b"},
                                             {"install", "extra"}}) {
    const Ran ran = Ctl(bad);
    CHECK(ran.code != 0);
    CHECK(ran.out.empty());
    CHECK_THAT(ran.err, Catch::StartsWith("heddlectl: "));
  }
  const Ran uninstall = Ctl({"uninstall"});
  CHECK_THAT(uninstall.out,
             Catch::StartsWith("---\napiVersion: admissionregistration.k8s.io/v1\n") &&
                 Catch::Contains("kind: Namespace\n") && Catch::Contains("name: heddle-ca\n") &&
                 !Catch::Contains("CustomResourceDefinition"));
  CHECK_THAT(Ctl({"uninstall", "--crds", "--keep-namespace"}).out,
             Catch::Contains("kind: CustomResourceDefinition\n") &&
                 !Catch::Contains("kind: Namespace\n") && !Catch::Contains("heddle-ca"));
}

SCENARIO("upgrade says what changes, and refuses what it must not follow") {
  FakeCluster cluster;
  Ran ran = Ctl({"upgrade"});
  CHECK(ran.code == 1);
  CHECK(ran.out.empty());
  CHECK_THAT(ran.err, Catch::Contains("there is no heddle-control in namespace heddle-system"));

  cluster.Answer(kDeployment, Deployment(2, 2, kControlVersion));
  cluster.Answer("/api/v1/namespaces/heddle-system/serviceaccounts/heddle-control",
                 R"({"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"heddle-control",
                     "namespace":"heddle-system","uid":"1","labels":{"app.kubernetes.io/name":"heddle-control",
                     "app.kubernetes.io/part-of":"heddle","more":"yes"}},"secrets":[]})");
  ran = Ctl({"upgrade", "--set", "control.replicas=3"});
  INFO(ran.err);
  CHECK(ran.code == 0);
  CHECK_THAT(ran.err, Catch::Contains("  Namespace heddle-system: new\n") &&
                          Catch::Contains("  Deployment heddle-system/heddle-control: changes ") &&
                          !Catch::Contains("ServiceAccount"));
  CHECK_THAT(ran.out, Catch::StartsWith("---\n"));
  CHECK(Ctl({"upgrade", "--dry-run"}).out.empty());

  for (const auto& [version, why] :
       std::map<std::string, std::string>{{"1.0.0", "another major version"},
                                          {"0.99.0", "the installed one is newer"},
                                          {"", "no version label"}}) {
    cluster.Answer(kDeployment, Deployment(2, 2, version));
    ran = Ctl({"upgrade"});
    CHECK(ran.code == 1);
    CHECK(ran.out.empty());
    CHECK_THAT(ran.err, Catch::Contains(why));
  }
}

SCENARIO("the port that kubectl chose is found in what it says") {
  CHECK(ForwardedPort("Forwarding from 127.0.0.1:40123 -> 15014\n") == 40123);
  CHECK(ForwardedPort("noise\nForwarding from 127.0.0.1:1 -> 2\nForwarding from [::1]:1 -> 2\n") ==
        1);
  CHECK(ForwardedPort("Forwarding from 127.0.0.1:4012") == 0);
  CHECK(ForwardedPort("") == 0);
}

}  // namespace
}  // namespace heddle::heddlectl
