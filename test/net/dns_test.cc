#include "source/net/dns.h"

#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "test/net/hello_bytes.h"
#include "test/support/fake_resolver.h"
#include "test/support/peer.h"

namespace heddle::net {
namespace {

using test::Big;
using test::RunUntil;

// A name server on loopback that knows a few names.
class NameServer {
 public:
  explicit NameServer(event::Loop& loop) : fd_(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)) {
    const Address any = *Address::FromIp("127.0.0.1", 0);
    REQUIRE(bind(fd_.get(), any.raw(), any.raw_length()) == 0);
    events_ = std::make_unique<event::LevelEvents>(loop, fd_.get(), event::FileEvents::kRead,
                                                   [this](uint32_t) { Answer(); });
  }
  Address address() const { return LocalAddress(fd_.get()); }
  int questions = 0;

 private:
  void Answer() {
    char bytes[512];
    sockaddr_storage from;
    socklen_t length = sizeof(from);
    const ssize_t n =
        recvfrom(fd_.get(), bytes, sizeof(bytes), 0, reinterpret_cast<sockaddr*>(&from), &length);
    if (n < 17) return;
    ++questions;
    const std::string query(bytes, static_cast<size_t>(n));
    const size_t name_end = query.find('\0', 12);
    const std::string name = query.substr(13, name_end - 13);
    const int type = static_cast<uint8_t>(query[name_end + 2]);
    std::string answers;
    int count = 0, code = 0;
    const auto add = [&](const std::string& data, int ttl) {
      answers += "\xc0\x0c" + Big(static_cast<size_t>(type), 2) + Big(1, 2) +
                 Big(static_cast<size_t>(ttl), 4) + Big(data.size(), 2) + data;
      ++count;
    };
    if (name.find("silent") == 0) return;
    if (name.find("both") == 0 || name.find("four") == 0) {
      if (type == 1)
        add(std::string("\x0a\x01\x02\x03", 4), 30), add(std::string("\x0a\x01\x02\x04", 4), 17);
      if (type == 28 && name[0] == 'b')
        add(std::string("\x20\x01\x0d\xb8", 4) + std::string(11, '\0') + "\x01", 60);
    } else if (name.find("broken") == 0) {
      code = 2;
    } else {
      code = 3;
    }
    const std::string reply = query.substr(0, 2) +
                              Big(size_t{0x8180} + static_cast<size_t>(code), 2) + Big(1, 2) +
                              Big(static_cast<size_t>(count), 2) + Big(0, 4) +
                              query.substr(12, name_end + 5 - 12) + answers;
    sendto(fd_.get(), reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&from), length);
  }
  Fd fd_;
  std::unique_ptr<event::LevelEvents> events_;
};

struct Asking {
  absl::StatusOr<Resolved> Ask(const char* name, IpFamily family) {
    std::optional<absl::StatusOr<Resolved>> answer;
    auto lookup = resolver->Resolve(name, family,
                                    [&](absl::StatusOr<Resolved> got) { answer = std::move(got); });
    CHECK_FALSE(answer.has_value());  // never from inside Resolve
    REQUIRE(RunUntil(loop, [&] { return answer.has_value(); }));
    return *answer;
  }
  std::string Text(const char* name, IpFamily family) {
    const auto answer = Ask(name, family);
    if (!answer.ok()) return absl::StatusCodeToString(answer.status().code());
    std::string text;
    for (const Address& address : answer->addresses) text += address.ip() + " ";
    return text + absl::FormatDuration(answer->ttl);
  }
  event::Loop loop;
  NameServer server{loop};
  std::unique_ptr<Resolver> resolver =
      *MakeAresResolver(loop, {.servers = {server.address()},
                               .timeout = absl::Milliseconds(300),
                               .try_timeout = absl::Milliseconds(100)});
};

SCENARIO("a name gives the addresses of the families asked for, and the shortest life") {
  Asking at;
  CHECK(at.Text("four.example", IpFamily::kV4Only) == "10.1.2.3 10.1.2.4 17s");
  CHECK(at.Text("both.example", IpFamily::kV4Preferred) == "10.1.2.3 10.1.2.4 17s");
  CHECK(at.Text("both.example", IpFamily::kAuto) == "2001:db8::1 17s");
  CHECK(at.Text("both.example", IpFamily::kV6Only) == "2001:db8::1 1m");
  CHECK(at.Ask("both.example", IpFamily::kAll)->addresses.size() == 3);
  CHECK(at.Text("four.example", IpFamily::kAuto) == "10.1.2.3 10.1.2.4 17s");
}

SCENARIO("what cannot be resolved says how") {
  Asking at;
  CHECK(at.Text("nobody.example", IpFamily::kV4Only) == "NOT_FOUND");
  CHECK(at.Text("four.example", IpFamily::kV6Only) == "NOT_FOUND");
  CHECK(at.Text("broken.example", IpFamily::kV4Only) == "UNAVAILABLE");
  CHECK(at.Text("silent.example", IpFamily::kV4Only) == "DEADLINE_EXCEEDED");
  CHECK(at.Ask("nobody.example", IpFamily::kV4Only).status().message().find("nobody.example") !=
        absl::string_view::npos);
}

SCENARIO("numbers and /etc/hosts need no server") {
  Asking at;
  CHECK(at.Text("10.0.0.1", IpFamily::kAuto) == "10.0.0.1 0");
  CHECK(at.Text("::1", IpFamily::kV4Only) == "NOT_FOUND");
  CHECK(at.Text("localhost", IpFamily::kV4Only) == "127.0.0.1 0");
  CHECK(at.server.questions == 0);
}

SCENARIO("a cancelled lookup is not told, and the resolver may go first") {
  Asking at;
  auto lookup =
      at.resolver->Resolve("silent.example", IpFamily::kV4Only, [](auto) { FAIL("cancelled"); });
  auto other = at.resolver->Resolve("10.0.0.1", IpFamily::kV4Only, [](auto) { FAIL("cancelled"); });
  lookup.reset();
  other.reset();
  auto orphan = at.resolver->Resolve("silent.example", IpFamily::kV4Only, [](auto) {});
  at.resolver.reset();
  for (int i = 0; i < 5; ++i) at.loop.RunOnce(false);
}

SCENARIO("the fake resolver answers from the loop too") {
  event::Loop loop;
  test::FakeResolver fake(loop);
  fake.answers["db"] = Resolved{{*Address::FromIp("10.0.0.9", 0)}, absl::Seconds(5)};
  std::string got;
  auto lookup =
      fake.Resolve("db", IpFamily::kAuto, [&](auto answer) { got = answer->addresses[0].ip(); });
  CHECK(got.empty());
  CHECK(RunUntil(loop, [&] { return got == "10.0.0.9"; }));
  CHECK(fake.asked["db"] == 1);
}

}  // namespace
}  // namespace heddle::net
