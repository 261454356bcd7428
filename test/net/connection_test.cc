#include "source/net/connection.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "source/base/buffer.h"
#include "test/support/peer.h"

namespace heddle::net {
namespace {

using test::Drain;
using test::Recorder;
using test::RunUntil;
using test::SendAll;
using test::TcpPair;

// A connection on one end, a bare socket on the other.
struct Wire {
  explicit Wire(const ConnectionOptions& options = {}) {
    auto [client, server] = TcpPair();
    peer = std::move(client);
    connection = Connection::Accepted(loop, server.Release(), MakePlainTransport(), Address(),
                                      options, &events);
    REQUIRE(RunUntil(loop, [&] { return events.connected == 1; }));
  }
  ~Wire() { connection.reset(); }
  bool Until(const std::function<bool()>& done) { return RunUntil(loop, done); }

  event::Loop loop;
  Recorder events;
  Fd peer;
  std::unique_ptr<Connection> connection;
};

std::string Pattern(size_t size) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + (i / 7 + i) % 26);
  return text;
}

SCENARIO("bytes pass both ways") {
  Wire wire;
  SendAll(wire.loop, wire.peer.get(), "ping");
  REQUIRE(wire.Until([&] { return wire.events.data == "ping"; }));
  wire.connection->out().Append("po");
  wire.connection->Flush();
  wire.connection->out().Append("ng");
  wire.connection->Flush();
  std::string got;
  REQUIRE(wire.Until([&] { return (got += Drain(wire.peer.get())) == "pong"; }));
  CHECK(wire.connection->bytes_read() == 4);
  CHECK(wire.connection->bytes_written() == 4);
  CHECK(wire.connection->local_address().ToString().substr(0, 10) == "127.0.0.1:");
}

SCENARIO("megabytes pass both ways unchanged, and leave no block behind") {
  const size_t before = base::Buffer::UsedBlocks();
  {
    Wire wire;
    const std::string text = Pattern(5'000'000);
    SendAll(wire.loop, wire.peer.get(), text);
    REQUIRE(wire.Until([&] { return wire.events.data.size() == text.size(); }));
    CHECK(wire.events.data == text);
    CHECK(base::Buffer::UsedBlocks() == before);

    wire.connection->out().Append(text);
    wire.connection->Flush();
    CHECK(wire.connection->above_limit());
    std::string got;
    REQUIRE(wire.Until([&] { return (got += Drain(wire.peer.get())).size() == text.size(); }));
    CHECK(got == text);
    CHECK(wire.events.writable == 1);
    CHECK(base::Buffer::UsedBlocks() == before);
  }
}

SCENARIO("with reading off nothing is taken, and reading resumes with what waits") {
  Wire wire;
  wire.connection->SetReading(false);
  SendAll(wire.loop, wire.peer.get(), "waits");
  CHECK_FALSE(RunUntil(wire.loop, [&, until = absl::Now() + absl::Milliseconds(30)] {
                REQUIRE(absl::Now() < until + absl::Seconds(1));
                return !wire.events.data.empty() || absl::Now() > until;
              }) == false);
  CHECK(wire.events.data.empty());
  wire.connection->SetReading(true);
  CHECK(wire.events.data.empty());  // never from inside SetReading
  REQUIRE(wire.Until([&] { return wire.events.data == "waits"; }));
}

SCENARIO("bytes that the owner leaves are offered again when reading is turned on") {
  Wire wire;
  wire.events.take = false;
  wire.events.on_data = [&] { wire.connection->SetReading(false); };
  SendAll(wire.loop, wire.peer.get(), "left");
  REQUIRE(wire.Until([&] { return wire.events.data_calls == 1; }));
  wire.events.take = true;
  wire.events.on_data = nullptr;
  wire.connection->SetReading(true);
  REQUIRE(wire.Until([&] { return wire.events.data == "left"; }));
}

SCENARIO("an owner that takes nothing is not filled without bound") {
  Wire wire({.buffer_limit = 100'000});
  wire.events.take = false;
  const std::string text = Pattern(4'000'000);
  size_t sent = 0;
  RunUntil(wire.loop, [&, until = absl::Now() + absl::Milliseconds(200)] {
    const ssize_t n = send(wire.peer.get(), text.data(), text.size(), MSG_NOSIGNAL);
    if (n > 0) sent += static_cast<size_t>(n);
    return absl::Now() > until;
  });
  CHECK(wire.connection->bytes_read() <= 100'000 + 128 * 1024);
}

SCENARIO("an owner that takes a little at a time, pausing in between, gets everything") {
  // Symptom: a paused body of an upgrade stood still once the connection held more than its limit.
  Wire wire({.buffer_limit = 20'000});
  const std::string text = Pattern(300'000);
  struct Sipping final : ConnectionEvents {
    void OnData(base::Buffer& in, bool) override {
      const size_t sip = std::min<size_t>(in.size(), 9'000);
      got += in.ToString().substr(0, sip);
      in.Consume(sip);
      connection->SetReading(false);
      connection->loop().Post([this] { connection->SetReading(true); });
    }
    void OnClosed(CloseReason) override {}
    Connection* connection = nullptr;
    std::string got;
  } sipping;
  sipping.connection = wire.connection.get();
  wire.connection->SetEvents(&sipping);
  SendAll(wire.loop, wire.peer.get(), text);
  CHECK(wire.Until([&] { return sipping.got.size() == text.size(); }));
  CHECK(sipping.got == text);
}

SCENARIO("the peer's FIN ends the connection after its last bytes") {
  Wire wire;
  SendAll(wire.loop, wire.peer.get(), "last words");
  shutdown(wire.peer.get(), SHUT_WR);
  REQUIRE(wire.Until([&] { return wire.events.closed.has_value(); }));
  CHECK(wire.events.data == "last words");
  CHECK(wire.events.eof);
  CHECK(*wire.events.closed == CloseReason::kRemote);
  CHECK(wire.connection->closed());
  CHECK(wire.connection->failure().empty());
}

SCENARIO("with half close each direction ends by itself") {
  Wire wire({.half_close = true});
  SendAll(wire.loop, wire.peer.get(), "question");
  shutdown(wire.peer.get(), SHUT_WR);
  REQUIRE(wire.Until([&] { return wire.events.eof; }));
  CHECK_FALSE(wire.events.closed.has_value());
  wire.connection->out().Append("answer");
  wire.connection->Flush();
  wire.connection->ShutdownWrite();
  REQUIRE(wire.Until([&] { return wire.events.closed.has_value(); }));
  bool eof = false;
  CHECK(Drain(wire.peer.get(), &eof) == "answer");
  CHECK(eof);
}

SCENARIO("our half close comes after what waits, and reading goes on") {
  Wire wire({.half_close = true});
  const std::string text = Pattern(3'000'000);
  wire.connection->out().Append(text);
  wire.connection->ShutdownWrite();
  std::string got;
  bool eof = false;
  REQUIRE(wire.Until([&] {
    got += Drain(wire.peer.get(), &eof);
    return eof;
  }));
  CHECK(got == text);
  CHECK_FALSE(wire.events.closed.has_value());
  SendAll(wire.loop, wire.peer.get(), "thanks");
  wire.peer.Reset();
  REQUIRE(wire.Until([&] { return wire.events.closed.has_value(); }));
  CHECK(wire.events.data == "thanks");
}

SCENARIO("a flushing close writes everything and waits for the peer") {
  Wire wire;
  const std::string text = Pattern(2'000'000);
  wire.connection->out().Append(text);
  wire.connection->Close(Connection::How::kFlush);
  SendAll(wire.loop, wire.peer.get(), "not read any more");
  std::string got;
  bool eof = false;
  REQUIRE(wire.Until([&] {
    got += Drain(wire.peer.get(), &eof);
    return eof;
  }));
  CHECK(got == text);
  CHECK_FALSE(wire.events.closed.has_value());
  wire.peer.Reset();
  REQUIRE(wire.Until([&] { return wire.events.closed.has_value(); }));
  CHECK(*wire.events.closed == CloseReason::kLocal);
  CHECK(wire.events.data.empty());
}

SCENARIO("a flushing close does not wait for ever") {
  Wire wire({.linger = absl::Milliseconds(20)});
  WHEN("the peer reads nothing") {
    wire.connection->out().Append(Pattern(20'000'000));
    wire.connection->Close(Connection::How::kFlush);
    REQUIRE(wire.Until([&] { return wire.events.closed.has_value(); }));
  }
  WHEN("the peer never closes its side") {
    wire.connection->Close(Connection::How::kFlush);
    REQUIRE(wire.Until([&] { return wire.events.closed.has_value(); }));
  }
  CHECK(*wire.events.closed == CloseReason::kLocal);
}

SCENARIO("an abort is told later, never from inside Close") {
  Wire wire;
  wire.connection->Close(Connection::How::kAbort);
  CHECK(wire.connection->closed());
  CHECK_FALSE(wire.events.closed.has_value());
  wire.loop.RunOnce(false);
  CHECK(wire.events.closed == CloseReason::kLocal);
  bool eof = false;
  Drain(wire.peer.get(), &eof);
  CHECK(eof);
}

SCENARIO("a reset reaches the peer as one") {
  Wire wire;
  wire.connection->Close(Connection::How::kReset);
  char byte;
  CHECK(wire.Until([&] { return recv(wire.peer.get(), &byte, 1, 0) < 0 && errno == ECONNRESET; }));
}

SCENARIO("a reset by the peer is told as one") {
  Wire wire;
  const linger now = {1, 0};
  setsockopt(wire.peer.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  wire.peer.Reset();
  REQUIRE(wire.Until([&] { return wire.events.closed.has_value(); }));
  CHECK(*wire.events.closed == CloseReason::kReset);
  CHECK(wire.connection->failure().find("reset") != std::string::npos);
}

SCENARIO("a client that leaves while reading is off is noticed") {
  Wire wire;
  wire.connection->SetReading(false);
  wire.peer.Reset();
  REQUIRE(wire.Until([&] { return wire.events.closed.has_value(); }));
  CHECK(*wire.events.closed == CloseReason::kRemote);
}

SCENARIO("bytes sent before leaving are not lost when reading was off") {
  Wire wire;
  wire.connection->SetReading(false);
  SendAll(wire.loop, wire.peer.get(), "all of it");
  wire.peer.Reset();
  for (int i = 0; i < 5; ++i) wire.loop.RunOnce(false);
  CHECK_FALSE(wire.events.closed.has_value());
  wire.connection->SetReading(true);
  REQUIRE(wire.Until([&] { return wire.events.closed.has_value(); }));
  CHECK(wire.events.data == "all of it");
}

SCENARIO("an owner may go away before the end is told") {
  Wire wire;
  auto owner = std::make_unique<Recorder>();
  wire.connection->SetEvents(owner.get());
  wire.connection->Close(Connection::How::kAbort);
  owner.reset();
  wire.loop.RunOnce(false);
  CHECK_FALSE(wire.events.closed.has_value());
}

SCENARIO("a connection may be given to loop.Destroy from its own events") {
  Wire wire;
  wire.events.on_data = [&] { wire.loop.Destroy(std::move(wire.connection)); };
  SendAll(wire.loop, wire.peer.get(), "x");
  REQUIRE(wire.Until([&] { return wire.connection == nullptr; }));
  bool eof = false;
  CHECK(wire.Until([&] {
    Drain(wire.peer.get(), &eof);
    return eof;
  }));
}

// -------------------------------------------------------------------------------------------------------
// client side

SCENARIO("connecting tells when it is done, and what was queued before is sent") {
  event::Loop loop;
  auto listener = Listen(*Address::FromIp("127.0.0.1", 0));
  Recorder events;
  auto connection = Connection::Connect(loop, LocalAddress(listener->get()), Address(),
                                        MakePlainTransport(), {}, &events);
  connection->out().Append("early");
  connection->Flush();
  CHECK(events.connected == 0);
  REQUIRE(RunUntil(loop, [&] { return events.connected == 1; }));
  const Fd server(accept4(listener->get(), nullptr, nullptr, SOCK_NONBLOCK));
  std::string got;
  CHECK(RunUntil(loop, [&] { return (got += Drain(server.get())) == "early"; }));
}

SCENARIO("a refused connection is told later, with the reason") {
  event::Loop loop;
  uint16_t port;
  {
    auto listener = Listen(*Address::FromIp("127.0.0.1", 0));
    port = LocalAddress(listener->get()).port();
  }
  Recorder events;
  auto connection = Connection::Connect(loop, *Address::FromIp("127.0.0.1", port), Address(),
                                        MakePlainTransport(), {}, &events);
  CHECK_FALSE(events.closed.has_value());
  REQUIRE(RunUntil(loop, [&] { return events.closed.has_value(); }));
  CHECK(*events.closed == CloseReason::kConnectFailed);
  CHECK(connection->failure().find("Connection refused") != std::string::npos);
  CHECK(events.connected == 0);
}

SCENARIO("an address that cannot be bound is a failed connection, not a crash") {
  event::Loop loop;
  Recorder events;
  auto connection =
      Connection::Connect(loop, *Address::FromIp("127.0.0.1", 9),
                          *Address::FromIp("203.0.113.7", 0), MakePlainTransport(), {}, &events);
  REQUIRE(RunUntil(loop, [&] { return events.closed.has_value(); }));
  CHECK(*events.closed == CloseReason::kConnectFailed);
}

SCENARIO("a connection that nobody answers times out") {
  event::Loop loop;
  // A full backlog drops further SYNs.
  auto listener = Listen(*Address::FromIp("127.0.0.1", 0), {.reuse_port = false, .backlog = 0});
  const Address to = LocalAddress(listener->get());
  std::vector<Fd> fill;
  for (int i = 0; i < 4; ++i) fill.push_back(*Dial(to));
  Recorder events;
  auto connection = Connection::Connect(loop, to, Address(), MakePlainTransport(),
                                        {.connect_timeout = absl::Milliseconds(50)}, &events);
  REQUIRE(RunUntil(loop, [&] { return events.closed.has_value(); }));
  CHECK(*events.closed == CloseReason::kConnectTimeout);
}

SCENARIO("unix sockets work alike") {
  event::Loop loop;
  auto listener = Listen(*Address::FromPath("@heddle-connection-test"));
  REQUIRE(listener.ok());
  Recorder events;
  auto connection = Connection::Connect(loop, *Address::FromPath("@heddle-connection-test"),
                                        Address(), MakePlainTransport(), {}, &events);
  REQUIRE(RunUntil(loop, [&] { return events.connected == 1; }));
  const Fd server(accept4(listener->get(), nullptr, nullptr, SOCK_NONBLOCK));
  REQUIRE(SendAll(loop, server.get(), "hi"));
  CHECK(RunUntil(loop, [&] { return events.data == "hi"; }));
}

}  // namespace
}  // namespace heddle::net
