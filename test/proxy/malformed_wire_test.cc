// What a client sends that is no request, or stops being one: the answer, the log line, the
// counters.
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "source/observe/access_log.h"
#include "test/proxy/wire_fixture.h"

namespace heddle::test {
namespace {

using http::Protocol;

// A wire whose access log can be read.
struct LoggedWire {
  explicit LoggedWire(const WireOptions& options = {}) : wire(options) {
    const char* folder = std::getenv("TEST_TMPDIR");
    static int number = 0;
    path = std::string(folder != nullptr ? folder : "/tmp") + "/malformed_" +
           std::to_string(getpid()) + "_" + std::to_string(++number) + ".log";
    config::AccessLog log;
    log.sink = config::AccessLog::Sink::kFile;
    log.path = path;
    log.format.text =
        "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %PROTOCOL% %REQ(:METHOD)% "
        "%REQ(:PATH)% %BYTES_SENT%\n";
    wire.logs.push_back(*observe::AccessLogger::Create(log, files));
  }
  ~LoggedWire() { std::remove(path.c_str()); }
  std::string Log() {
    files.Flush();
    std::ifstream in(path);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
  }
  const proxy::HttpStats& stats() const { return wire.listener_spec->chains[0].http->stats; }

  std::string path;
  observe::LogFiles files;
  Wire wire;
};

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

SCENARIO("what never was a request is answered like any other, logged and counted") {
  struct Case {
    const char* sent;
    const char* start;
    const char* log;
  };
  const Case cases[] = {
      {"BREW / HTTP/1.1\r\nhost: a\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n",
       "400 DPE http1.codec_error HTTP/1.1 - - 11\n"},
      {"GET / HTTP/1.0\r\nhost: a\r\n\r\n", "HTTP/1.1 426 Upgrade Required\r\n",
       "426 DPE low_version HTTP/1.1 - - 16\n"},
      {"GET /here HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n",
       "400 - missing_host_header HTTP/1.1 GET /here 0\n"},
      {"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n",
       "HTTP/1.1 501 Not Implemented\r\n",
       "501 DPE http1.invalid_transfer_encoding HTTP/1.1 - - 15\n"},
  };
  for (const Case& c : cases) {
    INFO(c.sent);
    LoggedWire t;
    t.wire.hcm->server_name = "us";
    t.wire.hcm->via = "heddle";
    t.wire.Start();
    net::Fd fd = t.wire.Dial();
    const std::string answer = t.wire.Raw(fd.get(), c.sent);
    CHECK(answer.rfind(c.start, 0) == 0);
    CHECK(Has(answer, "\r\nserver: us\r\n"));
    CHECK(Has(answer, "\r\nvia: heddle\r\n"));
    CHECK(Has(answer, "\r\ndate: "));
    CHECK(Has(answer, "\r\nconnection: close\r\n"));
    CHECK(t.Log() == c.log);
    CHECK(t.wire.Count(t.stats().rq_total) == 1);
    CHECK(t.wire.Count(t.stats().rq_completed) == 1);
    CHECK(t.wire.Count(t.stats().rq_xx[static_cast<size_t>(c.start[9] - '0')]) == 1);
    CHECK(t.wire.upstream().exchanges.empty());
  }
}

SCENARIO("a head that does not arrive in time") {
  LoggedWire t;
  t.wire.hcm->request_headers_timeout = absl::Milliseconds(30);
  t.wire.Start();
  net::Fd fd = t.wire.Dial();
  const std::string answer = t.wire.Raw(fd.get(), "GET / HTTP/1.1\r\nhost:");
  CHECK(answer.rfind("HTTP/1.1 408 Request Timeout\r\n", 0) == 0);
  CHECK(Has(answer, "\r\n\r\nrequest header timeout"));
  CHECK(t.Log() == "408 - request_header_timeout HTTP/1.1 - - 22\n");
  CHECK(t.wire.Count(t.stats().rq_header_timeout) == 1);
}

SCENARIO("a body that turns out to be no body is answered while there is no response") {
  LoggedWire t;
  t.wire.upstream().handle = [](Exchange&) {};
  t.wire.Start();
  net::Fd fd = t.wire.Dial();
  const std::string answer = t.wire.Raw(
      fd.get(), "POST /p HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n");
  CHECK(answer.rfind("HTTP/1.1 400 Bad Request\r\n", 0) == 0);
  CHECK(Has(answer, "\r\nserver: envoy\r\n"));
  CHECK(t.Log() == "400 DPE http1.codec_error HTTP/1.1 POST /p 11\n");
  CHECK(t.wire.Count(t.stats().cx_protocol_error) == 1);
}

SCENARIO("a body that turns out to be no body ends a response that has begun") {
  LoggedWire t;
  t.wire.upstream().handle = [](Exchange& x) { x.SendHead(200, {}); };
  t.wire.Start();
  net::Fd fd = t.wire.Dial();
  t.wire.Raw(fd.get(),
             "POST /p HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n",
             "\r\n\r\n");
  CHECK_FALSE(Has(t.wire.Raw(fd.get(), "zz\r\n"), "HTTP/1.1"));
  CHECK(t.Log() == "200 DPE http1.codec_error HTTP/1.1 POST /p 0\n");
}

SCENARIO("an HTTP/2 request that is none is logged; nothing can be answered") {
  LoggedWire t({.downstream = Protocol::kHttp2});
  t.wire.Start();
  Client& client = t.wire.NewClient();
  client.Send({.fields = {{"X-Upper", "1"}}});
  REQUIRE(t.wire.Run([&] { return client.closed(); }));
  CHECK(t.Log() == "0 DPE http2.invalid.header.field HTTP/2 - - 0\n");
}

SCENARIO("an HTTP/2 request against a rule of ours loses its stream alone") {
  LoggedWire t({.downstream = Protocol::kHttp2});
  t.wire.hcm->common.underscores = config::CommonHttp::Underscores::kReject;
  t.wire.Start();
  Client& client = t.wire.NewClient();
  Call& call = client.Send({.fields = {{"x_under", "1"}}});
  REQUIRE(t.wire.Run([&] { return call.done(); }));
  CHECK(call.reset);
  Call& next = client.Send({});
  REQUIRE(t.wire.Run([&] { return next.done(); }));
  CHECK(next.status == 200);
  CHECK(t.Log() ==
        "0 DR http2.unexpected_underscore HTTP/2 - - 0\n200 - via_upstream HTTP/2 GET / 2\n");
}

SCENARIO("a client that resets its stream is told apart from one that goes") {
  LoggedWire t({.downstream = Protocol::kHttp2});
  t.wire.upstream().handle = [](Exchange&) {};
  t.wire.Start();
  Client& client = t.wire.NewClient();
  Call& call = client.Send({});
  REQUIRE(t.wire.Run([&] { return !t.wire.upstream().exchanges.empty(); }));
  call.Cancel();
  REQUIRE(t.wire.Run([&] { return t.wire.records.size() == 1; }));
  client.Send({});
  REQUIRE(t.wire.Run([&] { return t.wire.upstream().exchanges.size() == 2; }));
  client.Close();
  REQUIRE(t.wire.Run([&] { return t.wire.records.size() == 2; }));
  CHECK(t.Log() ==
        "0 DR http2.remote_reset HTTP/2 GET / 0\n0 DC downstream_remote_disconnect HTTP/2 GET / "
        "0\n");
}

}  // namespace
}  // namespace heddle::test
