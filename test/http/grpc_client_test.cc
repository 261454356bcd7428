#include <catch2/catch.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "source/http/grpc/client.h"
#include "source/http/grpc/frame.h"
#include "source/http/h2/codec.h"
#include "test/http/grpc_server.h"
#include "test/http/peers.h"
#include "test/support/peer.h"

namespace heddle::http::grpc {
namespace {

using test::RunUntil;

struct Listener : ClientListener {
  void OnConnected() override { ++connected; }
  void OnClosed(absl::string_view text) override { why = std::string(text); }
  int connected = 0;
  std::optional<std::string> why;
};

struct Recorder : CallEvents {
  void OnHead(const ResponseHead& head) override { ++heads, status_code = head.status; }
  void OnMessage(std::string message) override { messages.push_back(std::move(message)); }
  void OnDone(const Status& s, const Trailers& t) override {
    status = s;
    trailers = Describe(t);
    ++done;
  }
  int heads = 0, status_code = 0, done = 0;
  std::vector<std::string> messages;
  std::optional<Status> status;
  std::string trailers;
};

struct Fixture {
  explicit Fixture(const h2::Options& options = {}) : server(loop, options) {}
  std::unique_ptr<Client> Connect(Client::Options options = {}) {
    options.address = server.address();
    return Client::Connect(loop, options, &listener);
  }
  event::Loop loop;
  WireServer server;
  Listener listener;
};

TEST_CASE("a unary call sends one message and gets one") {
  Fixture f;
  f.server.peer.on_event = [&](Served& s) {
    if (s.ended) Answer(s, {"reply"}, "0");
  };
  auto client = f.Connect();
  std::optional<Status> status;
  std::string reply;
  client->Unary(
      {.path = "/p.S/M", .metadata = {{"Authorization", "Bearer x"}}, .timeout = absl::Seconds(3)},
      "request", [&](const Status& s, std::string r) {
        status = s;
        reply = std::move(r);
      });
  CHECK_FALSE(status);
  REQUIRE(RunUntil(f.loop, [&] { return status.has_value(); }));
  CHECK(status->ok());
  CHECK(reply == "reply");
  CHECK(f.server.peer.last().Text() ==
        "POST http://" + f.server.address().ToString() +
            " /p.S/M content-type=application/grpc te=trailers user-agent=heddle grpc-timeout=3000m"
            " authorization=Bearer x body:" +
            Framed("request") + " end");
  CHECK(f.listener.connected == 1);
  CHECK(RunUntil(f.loop, [&] { return client->active_calls() == 0; }));
}

TEST_CASE("a stream carries messages both ways until the server ends it") {
  Fixture f;
  auto client = f.Connect();
  Recorder call;
  Call* handle = client->Start({.path = "/p.S/M"}, &call);
  handle->Send("one");
  handle->Send("two");
  REQUIRE(RunUntil(f.loop, [&] {
    return !f.server.peer.requests.empty() && f.server.peer.last().body.size() == 16;
  }));
  Served& s = f.server.peer.last();
  CHECK(s.body == Framed("one") + Framed("two"));
  s.stream->SendHead(Served::Head(200), false);
  s.SendBody(Framed("first") + Framed("second").substr(0, 4), false);
  f.server.Touch();
  REQUIRE(RunUntil(f.loop, [&] { return call.messages.size() == 1; }));
  CHECK(call.heads == 1);
  s.SendBody(Framed("second").substr(4), false);
  f.server.Touch();
  REQUIRE(RunUntil(f.loop, [&] { return call.messages.size() == 2; }));
  Trailers trailers;
  trailers.Add("grpc-status", "5");
  trailers.Add("grpc-message", "no%0Asuch");
  s.stream->SendTrailers(trailers);
  f.server.Touch();
  REQUIRE(RunUntil(f.loop, [&] { return call.done == 1; }));
  CHECK(call.status->code == Code::kNotFound);
  CHECK(call.status->message == "no\nsuch");
  CHECK(call.messages == std::vector<std::string>{"first", "second"});
  CHECK_FALSE(client->closed());
}

TEST_CASE("a large message passes the windows") {
  Fixture f;
  const std::string big(5'000'000, 'x');
  f.server.peer.on_event = [&](Served& s) {
    if (s.ended) Answer(s, {big}, "0");
  };
  auto client = f.Connect();
  std::string reply;
  client->Unary({.path = "/p.S/M"}, big,
                [&](const Status&, std::string r) { reply = std::move(r); });
  REQUIRE(RunUntil(f.loop, [&] { return !reply.empty(); }));
  CHECK(reply == big);
}

TEST_CASE("calls end with the reason") {
  Fixture f;
  auto client = f.Connect();
  Recorder call;
  SECTION("trailers alone") {
    f.server.peer.on_request = [](Served& s) {
      s.stream->SendHead(Served::Head(200, {{"grpc-status", "12"}, {"grpc-message", "no"}}), true);
    };
    client->Start({.path = "/"}, &call)->HalfClose();
    REQUIRE(RunUntil(f.loop, [&] { return call.done == 1; }));
    CHECK(call.status->code == Code::kUnimplemented);
  }
  SECTION("an HTTP status") {
    f.server.peer.on_request = [](Served& s) { s.Reply(503, "body"); };
    client->Start({.path = "/"}, &call);
    REQUIRE(RunUntil(f.loop, [&] { return call.done == 1; }));
    CHECK(call.status->code == Code::kUnavailable);
  }
  SECTION("a reset") {
    f.server.peer.on_request = [](Served& s) { s.stream->Reset(ResetReason::kRefused); };
    client->Start({.path = "/"}, &call);
    REQUIRE(RunUntil(f.loop, [&] { return call.done == 1; }));
    CHECK(call.status->code == Code::kUnavailable);
  }
  SECTION("a message over the limit") {
    f.server.peer.on_request = [](Served& s) { Answer(s, {std::string(100, 'x')}, "0"); };
    client->Start({.path = "/", .max_message_bytes = 99}, &call);
    REQUIRE(RunUntil(f.loop, [&] { return call.done == 1; }));
    CHECK(call.status->code == Code::kResourceExhausted);
  }
  SECTION("an end inside a message") {
    f.server.peer.on_request = [](Served& s) {
      s.stream->SendHead(Served::Head(200), false);
      s.SendBody(Framed("message").substr(0, 7), false);
      Trailers trailers;
      trailers.Add("grpc-status", "0");
      s.stream->SendTrailers(trailers);
    };
    client->Start({.path = "/"}, &call);
    REQUIRE(RunUntil(f.loop, [&] { return call.done == 1; }));
    CHECK(call.status->code == Code::kInternal);
  }
  SECTION("a deadline") {
    client->Start({.path = "/", .timeout = absl::Milliseconds(20)}, &call);
    REQUIRE(RunUntil(f.loop, [&] { return call.done == 1; }));
    CHECK(call.status->code == Code::kDeadlineExceeded);
    REQUIRE(RunUntil(
        f.loop, [&] { return !f.server.peer.requests.empty() && f.server.peer.last().reset; }));
  }
  SECTION("a lost connection") {
    client->Start({.path = "/"}, &call);
    REQUIRE(RunUntil(f.loop, [&] { return !f.server.peer.requests.empty(); }));
    f.server.Kill();
    REQUIRE(RunUntil(f.loop, [&] { return f.listener.why.has_value(); }));
    CHECK(call.done == 1);
    CHECK(call.status->code == Code::kUnavailable);
    CHECK(client->Start({.path = "/"}, &call) == nullptr);
    std::optional<Status> late;
    client->Unary({.path = "/"}, "", [&](const Status& s, std::string) { late = s; });
    CHECK_FALSE(late);
    REQUIRE(RunUntil(f.loop, [&] { return late.has_value(); }));
    CHECK(late->code == Code::kUnavailable);
  }
  CHECK(call.done == 1);
  CHECK(RunUntil(f.loop, [&] { return client->active_calls() == 0; }));
}

TEST_CASE("a cancelled call is heard of no more") {
  Fixture f;
  auto client = f.Connect();
  Recorder call;
  Call* handle = client->Start({.path = "/"}, &call);
  REQUIRE(RunUntil(f.loop, [&] { return !f.server.peer.requests.empty(); }));
  handle->Cancel();
  REQUIRE(RunUntil(f.loop, [&] { return f.server.peer.last().reset.has_value(); }));
  CHECK(f.server.peer.last().reset == ResetReason::kCancel);
  CHECK(call.done == 0);
}

TEST_CASE("calls beyond the server's limit wait for their place") {
  h2::Options options;
  options.max_concurrent_streams = 1;
  Fixture f(options);
  f.server.peer.on_event = [&](Served& s) {
    if (s.ended) Answer(s, {"r"}, "0");
  };
  auto client = f.Connect();
  int replies = 0;
  client->Unary({.path = "/0"}, "",
                [&](const Status& s, std::string) { replies += s.ok() ? 1 : 0; });
  REQUIRE(RunUntil(f.loop, [&] { return replies == 1; }));
  for (int i = 0; i < 5; ++i) {
    client->Unary({.path = "/n"}, "",
                  [&](const Status& s, std::string) { replies += s.ok() ? 1 : 0; });
  }
  REQUIRE(RunUntil(f.loop, [&] { return replies == 6; }));
}

TEST_CASE("GOAWAY lets running calls finish and takes no new ones") {
  Fixture f;
  auto client = f.Connect();
  Recorder call;
  client->Start({.path = "/"}, &call)->HalfClose();
  REQUIRE(RunUntil(f.loop, [&] { return !f.server.peer.requests.empty(); }));
  f.server.peer.codec->Drain();
  f.server.peer.codec->Drain();
  f.server.Touch();
  REQUIRE(RunUntil(f.loop, [&] { return client->closed(); }));
  CHECK(client->Start({.path = "/"}, &call) == nullptr);
  CHECK(call.done == 0);
  Answer(f.server.peer.last(), {}, "0");
  f.server.Touch();
  REQUIRE(RunUntil(f.loop, [&] { return f.listener.why.has_value(); }));
  CHECK(call.status->ok());
}

TEST_CASE("nobody there is a closed connection, told from the loop") {
  event::Loop loop;
  Listener listener;
  auto fd = net::Listen(*net::Address::FromIp("127.0.0.1", 0));
  const net::Address address = net::LocalAddress(fd->get());
  fd->Reset();
  auto client = Client::Connect(loop, {.address = address}, &listener);
  std::optional<Status> status;
  client->Unary({.path = "/"}, "", [&](const Status& s, std::string) { status = s; });
  CHECK_FALSE(listener.why);
  REQUIRE(RunUntil(loop, [&] { return listener.why.has_value(); }));
  CHECK(status->code == Code::kUnavailable);
  CHECK(status->message == *listener.why);
}

TEST_CASE("a server that answers no ping is given up") {
  Fixture f;
  auto client = f.Connect(
      {.keepalive_interval = absl::Milliseconds(10), .keepalive_timeout = absl::Milliseconds(20)});
  Recorder call;
  client->Start({.path = "/"}, &call);
  REQUIRE(RunUntil(f.loop, [&] { return !f.server.peer.requests.empty(); }));
  REQUIRE(RunUntil(f.loop, [&, n = 0]() mutable { return ++n > 50; }));
  CHECK_FALSE(f.listener.why);
  f.server.deaf = true;
  REQUIRE(RunUntil(f.loop, [&] { return f.listener.why.has_value(); }));
  CHECK(*f.listener.why == "keepalive timeout");
  CHECK(call.status->code == Code::kUnavailable);
}

}  // namespace
}  // namespace heddle::http::grpc
