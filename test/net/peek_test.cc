#include "source/net/peek.h"

#include <catch2/catch.hpp>
#include <optional>
#include <string>

#include "test/net/hello_bytes.h"
#include "test/support/peer.h"

namespace heddle::net {
namespace {

using test::Drain;
using test::HelloRecord;
using test::RunUntil;

struct Peeking {
  explicit Peeking(const Peek::Options& options) {
    auto [a, b] = test::TcpPair();
    client = std::move(a);
    server = std::move(b);
    peek = std::make_unique<Peek>(loop, server.get(), options,
                                  [this](const Peeked& facts) { seen = facts; });
  }
  void Send(const std::string& bytes) { test::SendAll(loop, client.get(), bytes); }
  bool Done() {
    return RunUntil(loop, [&] { return seen.has_value(); });
  }
  event::Loop loop;
  Fd client, server;
  std::unique_ptr<Peek> peek;
  std::optional<Peeked> seen;
};

SCENARIO("a hello that comes byte by byte is seen and stays to be read") {
  Peeking at({});
  const std::string hello = HelloRecord("reviews", {"h2"});
  for (const char c : hello) {
    CHECK_FALSE(at.seen.has_value());
    at.Send(std::string(1, c));
    at.loop.RunOnce(false);
  }
  REQUIRE(at.Done());
  CHECK(at.seen->end == Peeked::End::kSeen);
  CHECK(at.seen->tls);
  CHECK(at.seen->sni == "reviews");
  CHECK(at.seen->alpn == std::vector<std::string>{"h2"});
  CHECK(Drain(at.server.get()) == hello);
}

SCENARIO("plain text is told at its first byte, and its protocol when asked") {
  Peeking tls({});
  tls.Send("G");
  REQUIRE(tls.Done());
  CHECK_FALSE(tls.seen->tls);
  CHECK(tls.seen->alpn.empty());

  Peeking http({.http = true});
  http.Send("GET / HT");
  for (int i = 0; i < 3; ++i) http.loop.RunOnce(false);
  CHECK_FALSE(http.seen.has_value());
  http.Send("TP/1.1\r\n");
  REQUIRE(http.Done());
  CHECK(http.seen->alpn == std::vector<std::string>{"http/1.1"});
}

SCENARIO("a client that says nothing, or leaves, does not hold the descriptor for ever") {
  Peeking silent({.timeout = absl::Milliseconds(20)});
  REQUIRE(silent.Done());
  CHECK(silent.seen->end == Peeked::End::kTimeout);

  Peeking gone({});
  gone.Send(HelloRecord("x", {}).substr(0, 20));
  gone.client.Reset();
  REQUIRE(gone.Done());
  CHECK(gone.seen->end == Peeked::End::kClosed);
}

SCENARIO("a hello without end is not waited for") {
  Peeking at({});
  std::string endless;
  for (int i = 0; i < 6000; ++i) endless += test::Record("\x01");
  at.Send(endless);
  REQUIRE(at.Done());
  CHECK_FALSE(at.seen->tls);
}

}  // namespace
}  // namespace heddle::net
