// How requests and connections come to an end before or after their time: timeouts, early replies,
// drains, half-closes, windows that never open.
#include <catch2/catch.hpp>

#include "test/proxy/wire_fixture.h"

namespace heddle::test {
namespace {

using http::Protocol;
using observe::Flag;

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

config::RouteAction& Action(Wire& wire) { return wire.routes->virtual_hosts[0].routes[0].forward; }

void AddDirect(Wire& wire) {
  auto direct = ForwardTo("", "/direct");
  direct.kind = config::Route::Kind::kDirect;
  direct.direct = {.status = 200, .body = "direct!"};
  auto& routes = wire.routes->virtual_hosts[0].routes;
  routes.insert(routes.begin(), direct);
}

SCENARIO("a reply before the end of its request ends an HTTP/1 connection") {
  Wire wire;
  AddDirect(wire);
  wire.Start();
  // Even where the body has come already: that was not known when the reply was made.
  for (const char* body : {"", "hello"}) {
    net::Fd fd = wire.Dial();
    const std::string answer = wire.Raw(
        fd.get(),
        std::string("POST /direct HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n") + body);
    CHECK(Has(answer, "\r\nconnection: close\r\n"));
    CHECK(Has(answer, "direct!"));
  }
  net::Fd whole = wire.Dial();
  const std::string answer = wire.Raw(
      whole.get(), "POST /direct HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n", "direct!");
  CHECK_FALSE(Has(answer, "connection: close"));
}

SCENARIO("a reply before the end of its request ends only the stream of HTTP/2") {
  Wire wire({.downstream = Protocol::kHttp2});
  AddDirect(wire);
  wire.Start();
  Client& client = wire.NewClient();
  Call& call = client.Send({.method = "POST", .path = "/direct"}, "some", false);
  REQUIRE(wire.Run([&] { return call.done(); }));
  CHECK(call.body == "direct!");
  CHECK_FALSE(client.closed());
  CHECK_FALSE(client.draining());
}

SCENARIO("an upstream's connection: close is its own affair") {
  Wire wire;
  wire.upstream().handle = [](Exchange& x) {
    x.Reply(200, "ok");
    x.CloseConnection();
  };
  wire.Start();
  for (int i = 0; i < 2; ++i) {
    Call& call = wire.Do();
    if (call.reset) continue;
    CHECK(call.Field("connection") == "-");
  }
}

SCENARIO("a request that does not end in time is answered 408") {
  for (const Protocol down : {Protocol::kHttp11, Protocol::kHttp2}) {
    Wire wire({.downstream = down});
    wire.hcm->request_timeout = absl::Milliseconds(30);
    bool slow = false;
    wire.upstream().handle = [&](Exchange& x) {
      if (x.ended) slow = true;
    };
    wire.Start();
    Client& client = wire.NewClient();
    Call& half = client.Send({.method = "POST", .fields = {{"content-length", "10"}}}, "x", false);
    REQUIRE(wire.Run([&] { return half.status != 0; }));
    CHECK(half.status == 408);
    CHECK(half.body == "request timeout");
    CHECK(wire.records.at(0).details == "request_overall_timeout");
    // It is the request that has to end, not the response.
    Client& other = wire.NewClient();
    Call& whole = other.Send({.method = "POST"}, "all");
    REQUIRE(wire.Run([&] { return slow; }));
    wire.Idle(absl::Milliseconds(60));
    CHECK_FALSE(whole.done());
    wire.upstream().exchanges.back()->Reply(200, "late");
    REQUIRE(wire.Run([&] { return whole.done(); }));
    CHECK(whole.status == 200);
  }
}

SCENARIO("an attempt that stays silent is given up, and made again while that is possible") {
  Wire wire;
  auto policy = std::make_shared<config::RetryPolicy>();
  policy->on = config::RetryPolicy::k5xx;
  policy->num_retries = 1;
  policy->backoff_base = absl::Milliseconds(1);
  policy->backoff_max = absl::Milliseconds(1);
  policy->per_try_idle_timeout = absl::Milliseconds(40);
  Action(wire).retry = policy;
  int seen = 0;
  wire.upstream().handle = [&](Exchange& x) {
    if (++seen == 1) return;  // silent
    x.SendHead(200, {});
    if (seen == 2) return x.SendBody("all of it", true);
    x.SendBody("some");
  };
  wire.Start();
  Call& again = wire.Do();
  CHECK(again.status == 200);
  CHECK(again.body == "all of it");
  CHECK(wire.records.at(0).attempts == 2);
  // In the middle of a response there is nothing to be made again.
  Call& broken = wire.Do();
  CHECK(broken.status == 200);
  CHECK(broken.reset);
  CHECK(wire.records.at(1).details == "upstream_per_try_idle_timeout");
  CHECK(wire.records.at(1).Has(Flag::kUpstreamTimeout));
}

SCENARIO(
    "a request that has arrived when its connection is to be closed for idleness is answered") {
  Wire wire;
  wire.Start();
  net::Fd fd = wire.Dial();
  wire.Raw(fd.get(), "GET / HTTP/1.1\r\nhost: a\r\n\r\n", "ok");
  const absl::string_view next = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
  REQUIRE(send(fd.get(), next.data(), next.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(next.size()));
  // Loopback delivers at once: the request waits in the socket, unread.
  wire.context->sessions.ForEach([](proxy::Session& s) {
    s.Drain();
    s.CloseIdle();
  });
  const std::string answer = wire.Raw(fd.get(), "");
  CHECK(answer.rfind("HTTP/1.1 200 OK\r\n", 0) == 0);
  CHECK(Has(answer, "\r\nconnection: close\r\n"));
}

SCENARIO("an idle connection of a drained proxy is closed") {
  Wire wire;
  wire.Start();
  net::Fd fd = wire.Dial();
  wire.Raw(fd.get(), "GET / HTTP/1.1\r\nhost: a\r\n\r\n", "ok");
  wire.context->sessions.ForEach([](proxy::Session& s) {
    s.Drain();
    s.CloseIdle();
  });
  CHECK(wire.Raw(fd.get(), "").empty());
  CHECK(wire.Run([&] { return wire.context->sessions.size() == 0; }));
}

SCENARIO("a response whose last bytes wait for a window that never opens is dropped") {
  Wire wire({.downstream = Protocol::kHttp2});
  wire.hcm->stream_idle_timeout = absl::Milliseconds(300);
  // More than the client's window of 16 MiB, by less than what the proxy would hold back for.
  const std::string big(16 * 1024 * 1024 + 300 * 1024, 'x');
  wire.upstream().handle = [&](Exchange& x) { x.Reply(200, big); };
  wire.Start();
  Client& client = wire.NewClient();
  Call& call = client.Send({});
  call.hold_credit = true;
  call.keep_body = false;
  REQUIRE(wire.Run([&] { return wire.records.size() == 1; }));
  CHECK(wire.records.at(0).status == 200);
  REQUIRE(wire.Run([&] { return call.done(); }));
  CHECK(call.reset);
  CHECK_FALSE(client.closed());
}

SCENARIO("what came before a broken end reaches the client of HTTP/2") {
  Wire wire({.downstream = Protocol::kHttp2});
  wire.upstream().handle = [](Exchange& x) {
    x.SendHead(200, {{"content-length", "10"}});
    x.SendBody("half");
    x.CloseConnection(net::Connection::How::kFlush);
  };
  wire.Start();
  Client& client = wire.NewClient();
  Call& call = client.Send({});
  REQUIRE(wire.Run([&] { return call.done(); }));
  CHECK(call.reset);
  CHECK(call.body == "half");
}

SCENARIO("the original host and path are kept, unless the router is to stay silent") {
  for (const bool suppress : {false, true}) {
    Wire wire;
    Action(wire).host_rewrite = "other";
    Action(wire).prefix_rewrite = "/new/";
    wire.upstream().handle = [&](Exchange& x) {
      CHECK(x.head.authority == "other");
      CHECK(x.head.path == "/new/a");
      CHECK(x.Field("x-envoy-original-host") == (suppress ? "-" : "shop"));
      CHECK(x.Field("x-envoy-original-path") == (suppress ? "-" : "/a"));
      CHECK((x.Field("x-envoy-expected-rq-timeout-ms") == "-") == suppress);
      x.Reply(200, "ok");
    };
    wire.Start();
    wire.hcm->filters.back().suppress_envoy_headers = suppress;  // the router's
    Call& call = wire.Do({.path = "/a"});
    CHECK(call.status == 200);
    CHECK((call.Field("x-envoy-upstream-service-time") == "-") == suppress);
  }
}

}  // namespace
}  // namespace heddle::test
