#include "control_plane/kube/config.h"

#include <stdlib.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "control_plane/kube/answer.h"

namespace heddle::kube {
namespace {

// A folder of the test's own.
struct Folder {
  Folder() {
    std::string name = absl::StrCat(::getenv("TEST_TMPDIR"), "/XXXXXX");
    path = ::mkdtemp(name.data());
  }
  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(path + "/" + name) << text;
    return path + "/" + name;
  }
  std::string path;
};

constexpr char kKubeconfig[] = R"(
apiVersion: v1
kind: Config
current-context: home
contexts:
- {name: home, context: {cluster: c1, user: admin, namespace: shop}}
- {name: away, context: {cluster: c2, user: robot}}
- {name: plugin, context: {cluster: c1, user: cloud}}
- {name: torn, context: {cluster: c3, user: admin}}
clusters:
- name: c1
  cluster: {server: "https://127.0.0.1:6443/", certificate-authority-data: Y2Etb25l}
- name: c2
  cluster: {server: "https://10.0.0.1", insecure-skip-tls-verify: true, tls-server-name: kubernetes}
users:
- name: admin
  user: {client-certificate-data: Y2VydA==, client-key: key.pem}
- name: robot
  user: {token: t0, tokenFile: /tmp/token}
- name: cloud
  user: {exec: {command: aws, apiVersion: client.authentication.k8s.io/v1}}
)";

SCENARIO("a kubeconfig's contexts name a cluster and how to prove oneself") {
  const Folder folder;
  const std::string path = folder.Write("config", kKubeconfig);
  folder.Write("key.pem", "the key");
  const auto home = FromKubeconfig(path, "");
  REQUIRE(home.ok());
  REQUIRE(home->server == "https://127.0.0.1:6443");
  REQUIRE(home->ca_pem == "ca-one");
  REQUIRE(home->certificate_pem == "cert");
  REQUIRE(home->key_pem == "the key");
  REQUIRE(home->ns == "shop");
  const auto away = FromKubeconfig(path, "away");
  REQUIRE(away.ok());
  REQUIRE(away->insecure);
  REQUIRE(away->tls_server_name == "kubernetes");
  REQUIRE(away->token == "t0");
  REQUIRE(away->token_file == "/tmp/token");
  REQUIRE(away->ns == "default");
}

SCENARIO("what a kubeconfig cannot mean is said, with where") {
  struct Case {
    const char* context;
    const char* message;
  };
  const Case one = GENERATE(values<Case>({
      {"nowhere", "contexts: none is named \"nowhere\""},
      {"plugin", "users[2].user.exec.command: credential plugins are not run"},
      {"torn", "clusters: none is named \"c3\""},
      {"home", "key.pem: No such file"},
  }));
  const Folder folder;
  const auto found = FromKubeconfig(folder.Write("config", kKubeconfig), one.context);
  REQUIRE_FALSE(found.ok());
  INFO(found.status().message());
  REQUIRE(absl::StrContains(found.status().message(), one.message));
}

SCENARIO("a token is what may stand in a header") {
  REQUIRE(IsToken("eyJhbGciOi.J9.x-y_z"));
  for (const std::string& bad :
       {std::string(), std::string("a b"), std::string("a\r\nX-Remote-User: b"),
        std::string("\xc3\xa4"), std::string((16 << 10) + 1, 'x')})
    REQUIRE_FALSE(IsToken(bad));
  const auto found = ParseKubeconfig(
      R"({"current-context":"a","contexts":[{"name":"a","context":{"cluster":"c","user":"u"}}],
          "clusters":[{"name":"c","cluster":{"server":"https://x"}}],
          "users":[{"name":"u","user":{"token":"a\nb"}}]})",
      "config", "", [](const std::string& path) { return absl::NotFoundError(path); });
  REQUIRE(absl::StrContains(found.status().message(), "users[0].user.token: want visible ASCII"));
}

SCENARIO("inside a pod the service account's files say everything") {
  const Folder folder;
  folder.Write("token", "t1");
  folder.Write("ca.crt", "ca");
  folder.Write("namespace", "heddle-system");
  const auto found = InCluster({.host = "fd00::1", .port = "443", .directory = folder.path});
  REQUIRE(found.ok());
  REQUIRE(found->server == "https://[fd00::1]:443");
  REQUIRE(found->token == "t1");
  REQUIRE(found->ns == "heddle-system");
  REQUIRE(absl::IsFailedPrecondition(InCluster({.host = "", .port = ""}).status()));
}

SCENARIO("refusals of the server become statuses that say what to do next") {
  struct Case {
    int code;
    const char* body;
    absl::StatusCode want;
  };
  const Case one = GENERATE(values<Case>({
      {200, "", absl::StatusCode::kOk},
      {404, R"({"reason":"NotFound"})", absl::StatusCode::kNotFound},
      {409, R"({"reason":"AlreadyExists"})", absl::StatusCode::kAlreadyExists},
      {409, R"({"reason":"Conflict"})", absl::StatusCode::kAborted},
      {410, R"({"reason":"Expired"})", absl::StatusCode::kOutOfRange},
      {401, "", absl::StatusCode::kUnauthenticated},
      {403, "{}", absl::StatusCode::kPermissionDenied},
      {422, "{", absl::StatusCode::kInvalidArgument},
      {429, "[]", absl::StatusCode::kUnavailable},
      {500, "null", absl::StatusCode::kUnavailable},
      {302, "", absl::StatusCode::kUnknown},
  }));
  REQUIRE(StatusOf("GET /x", one.code, one.body, absl::ZeroDuration()).code() == one.want);
  REQUIRE(RetryAfter(StatusOf("GET /x", 429, "", absl::Seconds(3))) == absl::Seconds(3));
  REQUIRE(RetryAfter(StatusOf("GET /x", 429, "", absl::Hours(3))) == absl::Minutes(1));
}

}  // namespace
}  // namespace heddle::kube
