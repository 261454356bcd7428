// One call over HTTP and what can become of it.
#include "source/probe/http_call.h"

#include <catch2/catch.hpp>
#include <optional>
#include <string>

#include "source/net/listener.h"
#include "test/support/peer.h"

namespace heddle::probe {
namespace {

// A server of one connection that says what it is told to say.
struct Collector {
  explicit Collector(event::Loop& loop)
      : loop(loop),
        listener(loop, *net::Listen(*net::Address::FromIp("127.0.0.1", 0)), {},
                 [this](int accepted, const net::Address&) { fd.Reset(accepted); }) {}
  // Everything up to the end of a body of `content-length`, or what came until nothing more does.
  bool Has(const std::string& text) {
    if (fd.valid()) got += test::Drain(fd.get(), &eof);
    return got.find(text) != std::string::npos;
  }
  event::Loop& loop;
  net::Fd fd;
  net::Listener listener;
  std::string got;
  bool eof = false;
};

struct Bench {
  void Call(HttpCall::Request request) {
    request.timeout = absl::Seconds(20);
    if (request.address.family() == AF_UNSPEC) request.address = collector.listener.address();
    call = HttpCall::Start(loop, std::move(request), [this](absl::StatusOr<HttpCall::Reply> r) {
      reply = std::move(r);
      ++calls;
    });
  }
  void Post() {
    HttpCall::Request request;
    request.method = "POST";
    request.body = "spans";
    Call(std::move(request));
  }
  bool Answered() {
    return test::RunUntil(loop, [&] { return reply.has_value(); });
  }
  event::Loop loop;
  Collector collector{loop};
  std::unique_ptr<HttpCall> call;
  std::optional<absl::StatusOr<HttpCall::Reply>> reply;
  int calls = 0;
};

SCENARIO("a POST carries what it was given, and the answer's status and body come back") {
  Bench bench;
  HttpCall::Request request;
  request.method = "POST";
  request.authority = "collector.test";
  request.path = "/v1/traces";
  request.headers = {{"authorization", "Bearer x"}, {"content-type", "application/x-protobuf"}};
  request.body = std::string("spans\0spans", 11);
  request.max_body = 100;
  bench.Call(std::move(request));
  REQUIRE(test::RunUntil(bench.loop,
                         [&] { return bench.collector.Has(std::string("spans\0spans", 11)); }));
  const std::string& got = bench.collector.got;
  CHECK(got.find("POST /v1/traces HTTP/1.1\r\n") == 0);
  for (const char* line :
       {"host: collector.test\r\n", "content-length: 11\r\n",
        "content-type: application/x-protobuf\r\n", "authorization: Bearer x\r\n"}) {
    INFO(line);
    CHECK(got.find(line) != std::string::npos);
  }
  REQUIRE(test::SendAll(bench.loop, bench.collector.fd.get(),
                        "HTTP/1.1 503 No\r\ncontent-length: 4\r\n\r\nlate"));
  REQUIRE(bench.Answered());
  REQUIRE(bench.reply->ok());
  CHECK((*bench.reply)->status == 503);
  CHECK((*bench.reply)->body == "late");
}

SCENARIO("whatever goes wrong is said once") {
  for (const char* answer : {"SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 200"}) {
    INFO(answer);
    Bench bench;
    bench.Post();
    REQUIRE(test::RunUntil(bench.loop, [&] { return bench.collector.Has("spans"); }));
    REQUIRE(test::SendAll(bench.loop, bench.collector.fd.get(), answer));
    bench.collector.fd.Reset();
    REQUIRE(bench.Answered());
    CHECK_FALSE(bench.reply->ok());
    for (int i = 0; i < 5; ++i) bench.loop.RunOnce(false);
    CHECK(bench.calls == 1);
  }
}

SCENARIO("nobody listens: unavailable") {
  Bench bench;
  HttpCall::Request request;
  request.address = bench.collector.listener.address();
  bench.collector.listener.Close();
  bench.Call(std::move(request));
  REQUIRE(bench.Answered());
  CHECK(absl::IsUnavailable(bench.reply->status()));
}

SCENARIO("a call that is destroyed tells nobody") {
  Bench bench;
  bench.Post();
  REQUIRE(test::RunUntil(bench.loop, [&] { return bench.collector.Has("spans"); }));
  bench.call.reset();
  REQUIRE(test::RunUntil(bench.loop, [&] {
    bench.collector.Has("never");
    return bench.collector.eof;
  }));
  CHECK(bench.calls == 0);
}

}  // namespace
}  // namespace heddle::probe
