#include "source/net/listener.h"

#include <netinet/tcp.h>
#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "test/support/peer.h"

namespace heddle::net {
namespace {

using test::RunUntil;

struct Accepting {
  explicit Accepting(size_t per_turn = 64)
      : listener(loop, *Listen(*Address::FromIp("127.0.0.1", 0)), {.accepts_per_turn = per_turn},
                 [this](int fd, const Address& peer) {
                   accepted.emplace_back(fd);
                   last_peer = peer;
                 }) {}
  event::Loop loop;
  std::vector<Fd> accepted;
  Address last_peer;
  Listener listener;
};

SCENARIO("connections are accepted with their peer's address and without Nagle's delay") {
  Accepting at;
  const auto client = Dial(at.listener.address());
  REQUIRE(RunUntil(at.loop, [&] { return at.accepted.size() == 1; }));
  CHECK(at.last_peer == LocalAddress(client->get()));
  int nodelay = 0;
  socklen_t length = sizeof(nodelay);
  getsockopt(at.accepted[0].get(), IPPROTO_TCP, TCP_NODELAY, &nodelay, &length);
  CHECK(nodelay != 0);
}

SCENARIO("a burst is accepted over several turns") {
  Accepting at(3);
  std::vector<Fd> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(*Dial(at.listener.address()));
  at.loop.RunOnce(true);
  CHECK(at.accepted.size() <= 3);
  CHECK(RunUntil(at.loop, [&] { return at.accepted.size() == 20; }));
}

SCENARIO("a paused listener accepts what waited once it is resumed") {
  Accepting at;
  at.listener.Pause();
  std::vector<Fd> clients;
  for (int i = 0; i < 5; ++i) clients.push_back(*Dial(at.listener.address()));
  for (int i = 0; i < 5; ++i) at.loop.RunOnce(false);
  CHECK(at.accepted.empty());
  at.listener.Resume();
  CHECK(RunUntil(at.loop, [&] { return at.accepted.size() == 5; }));
}

SCENARIO("closing accepts the backlog first and refuses from then on") {
  Accepting at;
  const Address address = at.listener.address();
  std::vector<Fd> clients;
  for (int i = 0; i < 5; ++i) clients.push_back(*Dial(address));
  at.listener.Close();
  CHECK(at.accepted.size() == 5);
  const auto late = Dial(address);
  if (late.ok()) CHECK(RunUntil(at.loop, [&] { return TakeError(late->get()) == ECONNREFUSED; }));
}

SCENARIO("two sockets share a port with SO_REUSEPORT, and not without") {
  auto one = Listen(*Address::FromIp("127.0.0.1", 0));
  REQUIRE(one.ok());
  const Address address = LocalAddress(one->get());
  CHECK(Listen(address).ok());
  const auto refused = Listen(address, {.reuse_port = false});
  REQUIRE_FALSE(refused.ok());
  CHECK(std::string(refused.status().message()).find(address.ToString()) != std::string::npos);
}

SCENARIO("without descriptors left new connections are closed, not left hanging") {
  Accepting at;
  std::vector<Fd> clients;
  for (int i = 0; i < 4; ++i) clients.push_back(*Dial(at.listener.address()));
  rlimit saved, low;
  getrlimit(RLIMIT_NOFILE, &saved);
  low = saved;
  // The next descriptor would be above the limit.
  const Fd probe(dup(0));
  low.rlim_cur = static_cast<rlim_t>(probe.get());
  setrlimit(RLIMIT_NOFILE, &low);
  const bool shed = RunUntil(at.loop, [&] { return at.listener.shed() == 4; });
  setrlimit(RLIMIT_NOFILE, &saved);
  CHECK(shed);
  CHECK(at.accepted.empty());
  for (const Fd& client : clients) {
    char byte;
    CHECK(recv(client.get(), &byte, 1, 0) <= 0);
  }
  const auto next = Dial(at.listener.address());
  CHECK(RunUntil(at.loop, [&] { return at.accepted.size() == 1; }));
}

SCENARIO("a connection that was not redirected has no original destination") {
  Accepting at;
  const auto client = Dial(at.listener.address());
  REQUIRE(RunUntil(at.loop, [&] { return at.accepted.size() == 1; }));
  CHECK_FALSE(OriginalDestination(at.accepted[0].get()).has_value());
}

}  // namespace
}  // namespace heddle::net
