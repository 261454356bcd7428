// Requests through a real proxy on loopback, each in the four combinations of HTTP/1 and HTTP/2.
#include <catch2/catch.hpp>

#include "test/proxy/wire_fixture.h"

namespace heddle::test {
namespace {

using http::Protocol;
using observe::Flag;

const std::pair<Protocol, Protocol> kPairs[] = {{Protocol::kHttp11, Protocol::kHttp11},
                                                {Protocol::kHttp11, Protocol::kHttp2},
                                                {Protocol::kHttp2, Protocol::kHttp11},
                                                {Protocol::kHttp2, Protocol::kHttp2}};

template <typename Body>
void EachPair(Body body) {
  for (const auto& [down, up] : kPairs) {
    CAPTURE(std::string(http::ProtocolName(down)), std::string(http::ProtocolName(up)));
    Wire wire({.downstream = down, .upstream = up});
    body(wire, down, up);
  }
}

SCENARIO("a request is answered, logged and counted") {
  EachPair([](Wire& wire, Protocol down, Protocol) {
    wire.upstream().handle = [](Exchange& x) {
      CHECK(x.head.method == "GET");
      CHECK(x.head.path == "/books?id=1");
      CHECK(x.head.authority == "shop");
      CHECK(x.Field("x-forwarded-proto") == "http");
      CHECK(x.Field("x-request-id").size() == 36);
      CHECK(x.Field("x-envoy-expected-rq-timeout-ms") == "15000");
      CHECK(x.Field("x-mine") == "1");
      x.Reply(200, "hello", {{"x-app", "yes"}});
    };
    wire.Start();
    Call& call = wire.Do({.path = "/books?id=1", .fields = {{"x-mine", "1"}}});
    REQUIRE(call.ended);
    CHECK(call.status == 200);
    CHECK(call.body == "hello");
    CHECK(call.Field("server") == "envoy");
    CHECK(call.Field("x-app") == "yes");
    CHECK(call.Field("date").size() == 29);
    CHECK(call.Field("x-envoy-upstream-service-time") != "-");
    REQUIRE(wire.records.size() == 1);
    const observe::AccessRecord& r = wire.records[0];
    CHECK(r.status == 200);
    CHECK(r.protocol == down);
    CHECK(r.details == "via_upstream");
    CHECK(r.flags == 0);
    CHECK(r.bytes_sent == 5);
    CHECK(r.bytes_received == 0);
    CHECK(r.attempts == 1);
    CHECK(r.upstream_remote == wire.upstream().address());
    CHECK(r.finished >= r.upstream_head);
    CHECK(r.response_sent_last == r.finished);
    CHECK(r.upstream_wire_bytes_sent > 50);
    CHECK(r.upstream_wire_bytes_received > 5);
    const proxy::HttpStats& stats = wire.listener_spec->chains[0].http->stats;
    CHECK(wire.Count(stats.rq_total) == 1);
    CHECK(wire.Count(stats.rq_xx[2]) == 1);
    CHECK(wire.Count(wire.cluster_stats().rq_xx[2]) == 1);
  });
}

SCENARIO("many requests one after the other reuse both connections") {
  EachPair([](Wire& wire, Protocol, Protocol) {
    wire.Start();
    for (int i = 0; i < 20; ++i) REQUIRE(wire.Do({.method = "POST"}, "x").status == 200);
    CHECK(wire.upstream().connections_made == 1);
    CHECK(wire.context->sessions.size() == 1);
    CHECK(wire.records.size() == 20);
  });
}

SCENARIO("bodies and trailers go both ways") {
  EachPair([](Wire& wire, Protocol, Protocol) {
    wire.upstream().handle = [](Exchange& x) {
      if (!x.ended) return;
      CHECK(x.body == "some body");
      CHECK(x.trailers == Fields{{"x-sum", "1"}});
      x.SendHead(200, {{"x-a", "b"}});
      x.SendBody("first ");
      x.SendBody("second");
      x.SendTrailers({{"grpc-status", "0"}});
    };
    wire.Start();
    Client& client = wire.NewClient();
    Call& call = client.Send({.method = "POST"}, "some ", false);
    call.Send("body", false);
    call.SendTrailers({{"x-sum", "1"}});
    REQUIRE(wire.Run([&] { return call.done(); }));
    CHECK(call.status == 200);
    CHECK(call.body == "first second");
    CHECK(call.trailers == Fields{{"grpc-status", "0"}});
  });
}

SCENARIO("bodies of many megabytes pass unchanged in both directions") {
  std::string big(5 * 1024 * 1024 + 17, 'x');
  for (size_t i = 0; i < big.size(); i += 997) big[i] = static_cast<char>('a' + i % 26);
  EachPair([&](Wire& wire, Protocol, Protocol) {
    wire.upstream().handle = [](Exchange& x) {
      if (x.ended) x.Reply(200, x.body);
    };
    wire.Start();
    Call& call = wire.Do({.method = "PUT"}, big);
    REQUIRE(call.ended);
    CHECK(call.status == 200);
    CHECK(call.body == big);
    CHECK(wire.records.at(0).bytes_received == big.size());
    CHECK(wire.records.at(0).bytes_sent == big.size());
  });
}

SCENARIO("HEAD, 204 and 304 have no body") {
  EachPair([](Wire& wire, Protocol, Protocol) {
    wire.upstream().handle = [](Exchange& x) {
      if (x.head.path == "/head") return x.SendHead(200, {{"content-length", "10"}}, true);
      x.SendHead(x.head.path == "/204" ? 204 : 304, {}, true);
    };
    wire.Start();
    Call& head = wire.Do({.method = "HEAD", .path = "/head"});
    CHECK(head.ended);
    CHECK(head.Field("content-length") == "10");
    CHECK(wire.Do({.path = "/204"}).status == 204);
    CHECK(wire.Do({.path = "/304"}).status == 304);
  });
}

SCENARIO("replies of our own are Envoy's") {
  EachPair([](Wire& wire, Protocol, Protocol) {
    wire.routes->virtual_hosts[0].routes.clear();
    auto& routes = wire.routes->virtual_hosts[0].routes;
    routes.push_back(ForwardTo("missing", "/missing"));
    auto direct = ForwardTo("", "/direct");
    direct.kind = config::Route::Kind::kDirect;
    direct.direct = {.status = 418, .body = "teapot"};
    direct.response.add = {{.name = "x-direct", .value = "1"}};
    routes.push_back(direct);
    auto redirect = ForwardTo("", "/old");
    redirect.kind = config::Route::Kind::kRedirect;
    redirect.redirect.path = "/new";
    redirect.redirect.status = 302;
    routes.push_back(redirect);
    wire.Start();
    Call& none = wire.Do({.path = "/nothing"});
    CHECK(none.status == 404);
    CHECK(none.body.empty());
    Call& missing = wire.Do({.path = "/missing"});
    CHECK(missing.status == 503);
    Call& teapot = wire.Do({.path = "/direct"});
    CHECK(teapot.status == 418);
    CHECK(teapot.body == "teapot");
    CHECK(teapot.Field("content-type") == "text/plain");
    CHECK(teapot.Field("x-direct") == "1");
    Call& moved = wire.Do({.path = "/old?q=1"});
    CHECK(moved.status == 302);
    CHECK(moved.Field("location") == "http://shop/new?q=1");
    REQUIRE(wire.records.size() == 4);
    CHECK(wire.records[0].details == "route_not_found");
    CHECK(wire.records[0].Has(Flag::kNoRoute));
    CHECK(wire.records[1].details == "cluster_not_found");
    CHECK(wire.records[1].Has(Flag::kNoCluster));
    CHECK(wire.records[2].details == "direct_response");
    Call& grpc = wire.Do(
        {.method = "POST", .path = "/s/m", .fields = {{"content-type", "application/grpc"}}});
    CHECK(grpc.status == 200);
    CHECK(grpc.Field("grpc-status") == "12");
  });
}

SCENARIO("no endpoint, a refused connection, a reset and a broken upstream") {
  EachPair([](Wire& wire, Protocol, Protocol up) {
    wire.upstream().handle = [](Exchange& x) { x.Reset(); };
    wire.Start();
    Call& reset = wire.Do();
    CHECK(reset.status == 503);
    const std::string reason = up == Protocol::kHttp2 ? "remote reset" : "connection termination";
    CHECK(reset.body ==
          "upstream connect error or disconnect/reset before headers. reset reason: " + reason);
    CHECK(wire.records.back().Has(up == Protocol::kHttp2 ? Flag::kUpstreamRemoteReset
                                                         : Flag::kUpstreamTermination));
    wire.upstream().handle = [](Exchange& x) { x.CloseConnection(); };
    Call& closed = wire.Do();
    CHECK(closed.status == 503);
    CHECK(closed.body ==
          "upstream connect error or disconnect/reset before headers. reset reason: connection "
          "termination");
    wire.upstream().StopListening();
    REQUIRE(wire.Run([&] { return wire.upstream().open_connections() == 0; }));
    Call& refused = wire.Do();
    CHECK(refused.status == 503);
    CHECK(refused.body.find("reset reason: remote connection failure") != std::string::npos);
    CHECK(wire.records.back().Has(Flag::kUpstreamConnectFailure));
    CHECK(wire.records.back().details.rfind(
              "upstream_reset_before_response_started{remote_connection_failure", 0) == 0);
    wire.cluster->assignment.localities.clear();
    wire.Publish();
    Call& empty = wire.Do();
    CHECK(empty.status == 503);
    CHECK(empty.body == "no healthy upstream");
    CHECK(wire.records.back().Has(Flag::kNoHealthyUpstream));
  });
}

SCENARIO("a response that breaks off breaks off for the client too") {
  EachPair([](Wire& wire, Protocol, Protocol up) {
    wire.upstream().handle = [](Exchange& x) {
      x.SendHead(200, {{"content-length", "100"}});
      x.SendBody("part");
    };
    wire.Start();
    Client& client = wire.NewClient();
    Call& call = client.Send({});
    REQUIRE(wire.Run([&] { return call.body == "part"; }));
    wire.upstream().exchanges.back()->CloseConnection();
    REQUIRE(wire.Run([&] { return call.done(); }));
    CHECK(call.reset);
    // HTTP/1 knows that the message was not whole.
    const bool http2 = up == Protocol::kHttp2;
    CHECK(wire.records.at(0).details ==
          std::string("upstream_reset_after_response_started{") +
              (http2 ? "connection_termination}" : "protocol_error}"));
    CHECK(
        wire.records.at(0).Has(http2 ? Flag::kUpstreamTermination : Flag::kUpstreamProtocolError));
    CHECK(wire.records.at(0).status == 200);
  });
}

SCENARIO("a client that goes away resets the upstream") {
  EachPair([](Wire& wire, Protocol, Protocol) {
    wire.upstream().handle = [](Exchange&) {};
    wire.Start();
    Client& client = wire.NewClient();
    client.Send({});
    REQUIRE(wire.Run([&] { return wire.upstream().exchanges.size() == 1; }));
    client.Close();
    REQUIRE(wire.Run([&] { return wire.upstream().exchanges.front()->reset; }));
    REQUIRE(wire.records.size() == 1);
    CHECK(wire.records[0].status == 0);
    CHECK(wire.records[0].details == "downstream_remote_disconnect");
    CHECK(wire.records[0].Has(Flag::kDownstreamTermination));
    CHECK(wire.Run([&] { return wire.context->sessions.size() == 0; }));
  });
}

SCENARIO("an early response ends the request") {
  EachPair([](Wire& wire, Protocol, Protocol) {
    wire.upstream().handle = [](Exchange& x) {
      if (!x.ended) x.Reply(413, "no");
    };
    wire.Start();
    Client& client = wire.NewClient();
    Call& call =
        client.Send({.method = "POST", .fields = {{"content-length", "1000000"}}}, "start", false);
    REQUIRE(wire.Run([&] { return call.status != 0 && call.body == "no"; }));
    CHECK(call.status == 413);
    CHECK(wire.records.size() == 1);
  });
}

SCENARIO("upgrades become tunnels that half-close") {
  EachPair([](Wire& wire, Protocol down, Protocol up) {
    wire.hcm->upgrades["websocket"] = true;
    wire.upstream().half_close = true;
    wire.upstream().handle = [](Exchange& x) {
      if (x.ended) return x.SendBody("", true);
      CHECK(x.head.protocol == "websocket");
      x.SendHead(101, {});
      x.on_body = [&x] {
        if (!x.body.empty() && !x.ended) x.SendBody("echo:" + std::exchange(x.body, ""));
      };
    };
    wire.Start();
    Client& client = wire.NewClient();
    Call& call = client.Send({.path = "/ws", .protocol = "websocket"}, "", false);
    REQUIRE(wire.Run([&] { return call.status != 0; }));
    CHECK(call.status == 101);
    call.Send("one", false);
    REQUIRE(wire.Run([&] { return call.body == "echo:one"; }));
    call.Send("two", false);
    REQUIRE(wire.Run([&] { return call.body == "echo:oneecho:two"; }));
    // The client of HTTP/2 has said all: the upstream hears of it, and has the last word. (HTTP/1:
    // a client that half-closes is gone, as in Envoy.)
    if (down == Protocol::kHttp11) return;
    Exchange& x = *wire.upstream().exchanges.back();
    wire.upstream().handle = [](Exchange& last) {
      if (last.ended) last.SendBody("bye", true);
    };
    call.Send("", true);
    REQUIRE(wire.Run([&] { return x.ended; }));
    REQUIRE(wire.Run([&] { return call.done(); }));
    CHECK(call.body == "echo:oneecho:twobye");
    CHECK(call.ended);
    (void)up;
  });
}

SCENARIO("an upgrade that is not enabled is refused") {
  Wire wire;
  wire.Start();
  net::Fd fd = wire.Dial();
  const std::string answer = wire.Raw(
      fd.get(), "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
      "\r\n\r\n");
  CHECK(answer.rfind("HTTP/1.1 403 Forbidden\r\n", 0) == 0);
  CHECK(wire.upstream().exchanges.empty());
}

SCENARIO("expect: 100-continue is answered by us") {
  EachPair([](Wire& wire, Protocol, Protocol) {
    wire.upstream().handle = [](Exchange& x) {
      CHECK(x.Field("expect") == "-");
      if (x.ended) x.Reply(200, x.body);
    };
    wire.Start();
    Client& client = wire.NewClient();
    Call& call = client.Send(
        {.method = "POST", .fields = {{"expect", "100-continue"}, {"content-length", "4"}}}, "",
        false);
    REQUIRE(wire.Run([&] { return !call.informational.empty(); }));
    CHECK(call.informational == std::vector<int>{100});
    call.Send("data", true);
    REQUIRE(wire.Run([&] { return call.done(); }));
    CHECK(call.body == "data");
  });
}

SCENARIO("pipelined requests are answered in order") {
  Wire wire;
  wire.upstream().handle = [](Exchange& x) { x.Reply(200, std::string(x.head.path)); };
  auto direct = ForwardTo("", "/direct");
  direct.kind = config::Route::Kind::kDirect;
  direct.direct = {.status = 200, .body = "direct!"};
  wire.routes->virtual_hosts[0].routes.insert(wire.routes->virtual_hosts[0].routes.begin(), direct);
  wire.Start();
  net::Fd fd = wire.Dial();
  std::string text, bodies;
  for (const char* path : {"/1", "/direct", "/2", "/direct", "/direct", "/last"})
    text += std::string("GET ") + path + " HTTP/1.1\r\nhost: a\r\n\r\n";
  const std::string all = wire.Raw(fd.get(), text, "/last");
  for (size_t at = 0; (at = all.find("\r\n\r\n", at)) != std::string::npos; at += 4)
    bodies += all.substr(at + 4, all.find("HTTP", at + 4) - at - 4) + " ";
  CHECK(bodies == "/1 direct! /2 direct! direct! /last ");
}

SCENARIO(
    "connection: close ends the connection after the response, drain before the next request") {
  Wire wire;
  wire.Start();
  net::Fd fd = wire.Dial();
  const std::string closed =
      wire.Raw(fd.get(), "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
  CHECK(closed.find("connection: close\r\n") != std::string::npos);
  net::Fd other = wire.Dial();
  CHECK(
      wire.Raw(other.get(), "GET / HTTP/1.1\r\nhost: a\r\n\r\n", "ok").find("connection: close") ==
      std::string::npos);
  wire.context->sessions.ForEach([](proxy::Session& s) { s.Drain(); });
  const std::string drained = wire.Raw(other.get(), "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  CHECK(drained.find("HTTP/1.1 200 OK") == 0);
  CHECK(drained.find("connection: close\r\n") != std::string::npos);
}

SCENARIO("a drained HTTP/2 connection finishes its streams and closes") {
  Wire wire({.downstream = Protocol::kHttp2});
  wire.hcm->drain_timeout = absl::Milliseconds(20);
  wire.upstream().handle = [](Exchange&) {};
  wire.Start();
  Client& client = wire.NewClient();
  Call& call = client.Send({});
  REQUIRE(wire.Run([&] { return wire.upstream().exchanges.size() == 1; }));
  wire.context->sessions.ForEach([](proxy::Session& s) { s.Drain(); });
  REQUIRE(wire.Run([&] { return client.draining(); }));
  wire.Idle(absl::Milliseconds(50));
  CHECK_FALSE(client.closed());
  wire.upstream().exchanges.front()->Reply(200, "late");
  REQUIRE(wire.Run([&] { return call.done(); }));
  CHECK(call.body == "late");
  CHECK(wire.Run([&] { return client.closed(); }));
}

SCENARIO("a new configuration serves new requests; running ones keep theirs") {
  EachPair([](Wire& wire, Protocol, Protocol) {
    wire.upstream().handle = [](Exchange& x) {
      if (x.head.path != "/slow") x.Reply(200, "ok");
    };
    wire.Start();
    Client& client = wire.NewClient();
    Call& slow = client.Send({.path = "/slow"});
    REQUIRE(wire.Run([&] { return wire.upstream().exchanges.size() == 1; }));
    wire.routes->virtual_hosts[0].routes[0].response.add = {{.name = "x-version", .value = "2"}};
    wire.Publish();
    CHECK(wire.context->epochs.retired() == 1);
    CHECK(wire.Do().Field("x-version") == "2");
    wire.upstream().exchanges.front()->Reply(200, "slow");
    REQUIRE(wire.Run([&] { return slow.done(); }));
    CHECK(slow.Field("x-version") == "-");
    CHECK(wire.Run([&] { return wire.context->epochs.retired() == 0; }));
  });
}

SCENARIO("a mirror gets a copy and its answer is dropped") {
  Wire wire;
  wire.routes->virtual_hosts[0].routes[0].forward.mirrors.push_back({.cluster = "c"});
  wire.upstream().handle = [](Exchange& x) {
    if (x.ended) x.Reply(x.head.authority == "shop" ? 200 : 500, x.body);
  };
  wire.Start();
  Call& call = wire.Do({.method = "POST"}, "body");
  CHECK(call.status == 200);
  REQUIRE(wire.Run([&] {
    return wire.upstream().exchanges.size() == 2 && wire.upstream().exchanges.back()->ended &&
           wire.upstream().exchanges.front()->ended;
  }));
  int shadows = 0;
  for (const auto& x : wire.upstream().exchanges) {
    CHECK(x->body == "body");
    shadows += x->head.authority == "shop-shadow" ? 1 : 0;
  }
  CHECK(shadows == 1);
  CHECK(wire.Run([&] { return wire.context->mirrors.size() == 0; }));
}

}  // namespace
}  // namespace heddle::test
