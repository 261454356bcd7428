// What the variable HEDDLE_APP_PROBES may hold.
#include <catch2/catch.hpp>

#include "source/probe/probe.h"

namespace heddle::probe {
namespace {

std::string ErrorOf(const std::string& text) {
  return std::string(DecodeProbes(text).status().message());
}

// One probe at the usual path.
std::string One(const std::string& probe) { return "{\"/app-health/web/livez\": " + probe + "}"; }

SCENARIO("a probe of each kind") {
  const auto probes = DecodeProbes(R"({
    "/app-health/web/livez": {"httpGet": {"port": 8443, "path": "/live?full=1", "scheme": "HTTPS",
      "httpHeaders": [{"name": "X-Probe", "value": "a b"}, {"name": "Host", "value": "web.test"}]},
      "timeoutSeconds": 7},
    "/app-health/web/readyz": {"httpGet": {"port": 80, "path": "ready"}},
    "/app-health/db/startupz": {"tcpSocket": {"port": 5432}},
    "/app-health/db/prestop": {"httpGet": {"port": 5433}, "timeoutSeconds": 3600},
    "/app-health/web/prestop": {"httpGet": {"port": 80, "path": "/bye"}},
    "/app-health/api/readyz": {"grpc": {"port": 9000, "service": "books"}, "timeoutSeconds": 0}})");
  REQUIRE(probes.ok());
  REQUIRE(probes->size() == 6);
  const Probe& live = probes->at("/app-health/web/livez");
  CHECK(live.kind == Probe::Kind::kHttp);
  CHECK(live.tls);
  CHECK(live.port == 8443);
  CHECK(live.path == "/live?full=1");
  CHECK(live.host == "web.test");
  CHECK(live.headers == std::vector<std::pair<std::string, std::string>>{{"x-probe", "a b"}});
  CHECK(live.timeout == absl::Seconds(7));
  const Probe& ready = probes->at("/app-health/web/readyz");
  CHECK(ready.path == "/ready");
  CHECK_FALSE(ready.tls);
  CHECK(ready.timeout == absl::Seconds(1));
  CHECK(probes->at("/app-health/web/prestop").timeout == absl::Hours(1));
  CHECK(probes->at("/app-health/db/startupz").kind == Probe::Kind::kTcp);
  CHECK(probes->at("/app-health/api/readyz").kind == Probe::Kind::kGrpc);
  CHECK(probes->at("/app-health/api/readyz").service == "books");
  CHECK(DecodeProbes("")->empty());
  CHECK(DecodeProbes("{}")->empty());
}

SCENARIO("what is wrong is named, with what is allowed") {
  const std::string at = "HEDDLE_APP_PROBES[\"/app-health/web/livez\"]";
  const std::pair<std::string, std::string> cases[] = {
      {One("{}"), at + ": allowed exactly one of httpGet, tcpSocket, grpc"},
      {One(R"({"tcpSocket": {"port": 1}, "grpc": {"port": 1}})"),
       at + ": allowed exactly one of httpGet, tcpSocket, grpc"},
      {One(R"({"tcpSocket": {"port": 0}})"),
       at + ".tcpSocket.port: found \"0\", allowed 1 to 65535"},
      {One(R"({"grpc": {"port": 65536}})"), at + ".grpc.port: found \"65536\", allowed 1 to 65535"},
      {One(R"({"httpGet": {"port": 1, "scheme": "FTP"}})"),
       at + ".httpGet.scheme: found \"FTP\", allowed HTTP, HTTPS"},
      {One(R"({"httpGet": {"port": 1, "path": "/a b"}})"),
       at + ".httpGet.path: found \"/a b\", allowed no spaces and control characters"},
      {One(R"({"httpGet": {"port": 1, "httpHeaders": [{"name": "a:", "value": ""}]}})"),
       at + ".httpGet.httpHeaders[0].name: found \"a:\", allowed the name of a header"},
      {One(R"({"httpGet": {"port": 1, "httpHeaders": [{"name": "a", "value": "b\r\nc"}]}})"),
       at + ".httpGet.httpHeaders[0].value: found \"b\\r\\nc\", allowed no control characters"},
      {One(R"({"tcpSocket": {"port": 1}, "timeoutSeconds": 3601})"),
       at + ".timeoutSeconds: found \"3601\", allowed 1 to 3600"},
      {R"({"/healthz": {"tcpSocket": {"port": 1}}})",
       "HEDDLE_APP_PROBES[\"/healthz\"]: allowed /app-health/<container>/ and one of livez, "
       "readyz, startupz, poststart, prestop"},
      {R"({"/app-health/web/other": {"tcpSocket": {"port": 1}}})",
       "HEDDLE_APP_PROBES[\"/app-health/web/other\"]: allowed /app-health/<container>/ and one of "
       "livez, readyz, startupz, poststart, prestop"},
  };
  for (const auto& [text, error] : cases) CHECK(ErrorOf(text) == error);
  for (const char* text : {"{", "[]", "{\"/app-health/web/livez\": 3}", "nonsense"}) {
    INFO(text);
    CHECK(ErrorOf(text).find("HEDDLE_APP_PROBES") == 0);
  }
  CHECK(ErrorOf(One(R"({"exec": {}})")).find("exec: unknown field") != std::string::npos);
}

}  // namespace
}  // namespace heddle::probe
