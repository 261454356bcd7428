// TCP relaying through a real proxy on loopback.
#include <catch2/catch.hpp>

#include "test/proxy/wire_fixture.h"

namespace heddle::test {
namespace {

// An upstream of bytes.
struct Plain {
  explicit Plain(event::Loop& loop)
      : listener(loop, *net::Listen(*net::Address::FromIp("127.0.0.1", 0)), {},
                 [this](int fd, const net::Address&) { accepted.emplace_back(fd); }) {}
  net::Listener listener;
  std::vector<net::Fd> accepted;
};

struct TcpWire {
  TcpWire() : plain(wire.loop) {
    wire.tcp = std::make_shared<config::TcpProxy>();
    wire.tcp->cluster = "c";
    wire.cluster->assignment.localities[0].endpoints[0].address = plain.listener.address();
  }
  Wire wire;
  Plain plain;
};

SCENARIO("bytes go both ways and half-closes are kept") {
  TcpWire t;
  t.wire.Start();
  net::Fd client = t.wire.Dial();
  REQUIRE(t.wire.Run([&] { return t.plain.accepted.size() == 1; }));
  const int server = t.plain.accepted[0].get();
  SendAll(t.wire.loop, client.get(), "hello");
  std::string got;
  bool eof = false;
  REQUIRE(t.wire.Run([&] { return (got += Drain(server, &eof)) == "hello"; }));
  shutdown(client.get(), SHUT_WR);
  REQUIRE(t.wire.Run([&] { return Drain(server, &eof).empty() && eof; }));
  SendAll(t.wire.loop, server, "late answer");
  std::string back;
  bool back_eof = false;
  REQUIRE(t.wire.Run([&] { return (back += Drain(client.get(), &back_eof)) == "late answer"; }));
  t.plain.accepted.clear();
  REQUIRE(t.wire.Run([&] { return Drain(client.get(), &back_eof).empty() && back_eof; }));
  CHECK(t.wire.Run([&] { return t.wire.context->sessions.size() == 0; }));
  const proxy::TcpStats& stats = t.wire.listener_spec->chains[0].tcp->stats;
  CHECK(t.wire.Count(stats.rx_bytes) == 5);
  CHECK(t.wire.Count(stats.tx_bytes) == 11);
}

SCENARIO("a server that speaks first is heard") {
  TcpWire t;
  t.wire.Start();
  net::Fd client = t.wire.Dial();
  REQUIRE(t.wire.Run([&] { return t.plain.accepted.size() == 1; }));
  SendAll(t.wire.loop, t.plain.accepted[0].get(), "220 ready");
  std::string got;
  CHECK(t.wire.Run([&] { return (got += Drain(client.get())) == "220 ready"; }));
}

SCENARIO("megabytes pass unchanged while one side is slow") {
  TcpWire t;
  t.wire.listener_config->buffer_limit = 64 * 1024;
  t.wire.Start();
  net::Fd client = t.wire.Dial();
  REQUIRE(t.wire.Run([&] { return t.plain.accepted.size() == 1; }));
  std::string big(8 * 1024 * 1024, 'a');
  for (size_t i = 0; i < big.size(); ++i) big[i] = static_cast<char>(i * 31 >> 3);
  absl::string_view rest = big;
  std::string got;
  int turn = 0;
  REQUIRE(t.wire.Run([&] {
    const ssize_t n = send(client.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (n > 0) rest.remove_prefix(static_cast<size_t>(n));
    if (++turn % 3 == 0) got += Drain(t.plain.accepted[0].get());
    return got.size() == big.size();
  }));
  CHECK(got == big);
}

SCENARIO("an unreachable upstream closes the client, after the attempts allowed") {
  TcpWire t;
  t.wire.tcp->max_connect_attempts = 3;
  t.plain.listener.Close();
  t.wire.Start();
  net::Fd client = t.wire.Dial();
  CHECK(t.wire.Raw(client.get(), "").empty());
  CHECK(t.wire.Run([&] { return t.wire.context->sessions.size() == 0; }));
  CHECK(t.wire.Count(t.wire.cluster_stats().cx_connect_fail) == 3);
}

SCENARIO("weighted clusters share the connections") {
  TcpWire t;
  t.wire.tcp->cluster.clear();
  t.wire.tcp->weighted = {{.name = "c", .weight = 3}, {.name = "nowhere", .weight = 1}};
  t.wire.Start();
  const proxy::TcpStats& stats = t.wire.listener_spec->chains[0].tcp->stats;
  constexpr size_t kConnections = 80;
  std::vector<net::Fd> clients;
  for (size_t i = 0; i < kConnections; ++i) clients.push_back(t.wire.Dial());
  REQUIRE(t.wire.Run(
      [&] { return t.plain.accepted.size() + t.wire.Count(stats.cx_no_route) == kConnections; }));
  // Three quarters, give or take; the seed is fixed.
  CHECK(t.plain.accepted.size() > kConnections / 2);
  CHECK(t.plain.accepted.size() < kConnections * 9 / 10);
}

SCENARIO("an idle session is closed") {
  TcpWire t;
  t.wire.tcp->idle_timeout = absl::Milliseconds(30);
  t.wire.Start();
  net::Fd client = t.wire.Dial();
  CHECK(t.wire.Raw(client.get(), "x").empty());
  CHECK(t.wire.Count(t.wire.listener_spec->chains[0].tcp->stats.idle_timeout) == 1);
  CHECK(t.wire.Run([&] { return t.wire.context->sessions.size() == 0; }));
}

SCENARIO("a network policy refuses before a byte is read") {
  struct Never final : filter::NetworkPolicy {
    Decision Decide(const filter::ConnectionFacts&) const override {
      return {.allow = false, .details = "denied"};
    }
  };
  TcpWire t;
  t.wire.policies = {std::make_shared<Never>()};
  t.wire.Start();
  net::Fd client = t.wire.Dial();
  CHECK(t.wire.Raw(client.get(), "").empty());
  CHECK(t.plain.accepted.empty());
  CHECK(t.wire.Count(t.wire.listener_spec->stats.policy_denied) == 1);
}

SCENARIO("a client that leaves while we connect, and one that resets") {
  TcpWire t;
  t.wire.Start();
  net::Fd client = t.wire.Dial();
  REQUIRE(t.wire.Run([&] { return t.plain.accepted.size() == 1; }));
  const linger hard{1, 0};
  setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
  client = net::Fd();
  CHECK(t.wire.Run([&] { return t.wire.context->sessions.size() == 0; }));
}

}  // namespace
}  // namespace heddle::test
