// What a client sends that is no request, or stops being one: the answer, the log line, the
// counters.
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "source/observe/access_log.h"
#include "source/observe/tracer.h"
#include "test/http/h2_frames.h"
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
    const config::Tracing tracing;
    spans = std::make_shared<observe::SpanQueue>(tracing.target);
    wire.tracer = std::make_shared<observe::Tracer>(tracing, /*outbound=*/false, spans);
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
  std::shared_ptr<observe::SpanQueue> spans;
  Wire wire;
};

std::string Attribute(const observe::SpanData& span, const std::string& name) {
  for (const auto& [key, value] : span.attributes) {
    if (key == name) return value;
  }
  return "-";
}

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
    const auto spans = t.spans->Take(10);
    REQUIRE(spans.size() == 1);
    CHECK(Attribute(spans[0], "http.status_code") == std::string(c.start + 9, 3));
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

std::string PartialHead(uint32_t stream) {
  return http::Frame(http::kHeaders, 0, stream, http::Hpack({{":method", "GET"}}));
}
std::string Opening() { return std::string(http::kPreface) + http::Frame(http::kSettings, 0, 0); }

SCENARIO("an HTTP/2 head that does not arrive in time is answered, logged and traced as well") {
  LoggedWire t({.downstream = Protocol::kHttp2});
  t.wire.hcm->request_headers_timeout = absl::Milliseconds(30);
  t.wire.Start();
  net::Fd fd = t.wire.Dial();
  const std::string answer = t.wire.Raw(fd.get(), Opening() + PartialHead(1));
  CHECK(Has(answer, "request header timeout"));
  CHECK(t.Log() == "408 - request_header_timeout HTTP/2 - - 22\n");
  CHECK(t.wire.Count(t.stats().rq_header_timeout) == 1);
  const auto spans = t.spans->Take(10);
  REQUIRE(spans.size() == 1);
  CHECK(Attribute(spans[0], "response_code_details") == "request_header_timeout");
}

SCENARIO("a head that does not arrive in time leaves the connection's other streams to finish") {
  LoggedWire t({.downstream = Protocol::kHttp2});
  t.wire.hcm->request_headers_timeout = absl::Milliseconds(30);
  t.wire.upstream().handle = [](Exchange&) {};
  t.wire.Start();
  net::Fd fd = t.wire.Dial();
  const std::string request = http::Frame(
      http::kHeaders, http::kEndHeaders | http::kEndStream, 1,
      http::Hpack(
          {{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", "shop"}}));
  t.wire.Raw(fd.get(), Opening() + request + PartialHead(3), "request header timeout");
  REQUIRE(t.wire.Run([&] { return t.wire.upstream().exchanges.size() == 1; }));
  t.wire.upstream().exchanges.front()->Reply(200, "late and whole");
  const std::string rest = http::Frame(http::kContinuation, http::kEndHeaders, 3,
                                       http::Hpack({{":scheme", "http"}, {":path", "/"}}));
  CHECK(Has(t.wire.Raw(fd.get(), rest), "late and whole"));
  CHECK(t.Log() ==
        "408 - request_header_timeout HTTP/2 - - 22\n200 - via_upstream HTTP/2 GET / 14\n");
}

SCENARIO("request_headers_timeout is no limit on idle HTTP/2 connections") {
  LoggedWire t({.downstream = Protocol::kHttp2});
  t.wire.hcm->request_headers_timeout = absl::Milliseconds(10);
  t.wire.Start();
  Client& client = t.wire.NewClient();
  t.wire.Idle(absl::Milliseconds(60));
  Call& call = client.Send({});
  REQUIRE(t.wire.Run([&] { return call.done(); }));
  CHECK(call.status == 200);
  CHECK(t.wire.Count(t.stats().rq_header_timeout) == 0);
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
