// The other end of a wire test: blocking loopback sockets with a deadline, and a recorder of
// connection events.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "source/event/loop.h"
#include "source/net/connection.h"
#include "source/net/socket.h"

namespace heddle::test {

// Runs the loop until `done` holds; false after twenty seconds, which only a machine that is
// overrun needs.
inline bool RunUntil(event::Loop& loop, const std::function<bool()>& done) {
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  event::Timer tick(loop, [] {});
  while (!done()) {
    if (absl::Now() > deadline) return false;
    tick.Start(absl::Milliseconds(1));
    loop.RunOnce(true);
  }
  return true;
}

// Two connected TCP sockets on 127.0.0.1, both non-blocking.
inline std::pair<net::Fd, net::Fd> TcpPair() {
  auto listener = net::Listen(*net::Address::FromIp("127.0.0.1", 0));
  net::Fd client = *net::Dial(net::LocalAddress(listener->get()));
  pollfd ready = {listener->get(), POLLIN, 0};
  poll(&ready, 1, 5000);
  net::Fd server(accept4(listener->get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  return {std::move(client), std::move(server)};
}

// Remembers what a connection told.
struct Recorder final : net::ConnectionEvents {
  void OnConnected() override {
    ++connected;
    if (on_connected) on_connected();
  }
  void OnData(base::Buffer& in, bool end) override {
    ++data_calls;
    if (take) {
      data += in.ToString();
      in.Clear();
    }
    eof = eof || end;
    if (on_data) on_data();
  }
  void OnWritable() override { ++writable; }
  void OnClosed(net::CloseReason why) override {
    closed = why;
    if (on_closed) on_closed();
  }

  bool take = true;  // false: leave the bytes where they are
  int connected = 0, data_calls = 0, writable = 0;
  bool eof = false;
  std::string data;
  std::optional<net::CloseReason> closed;
  std::function<void()> on_connected, on_data, on_closed;
};

// Writes all, waiting for room while the loop runs.
inline bool SendAll(event::Loop& loop, int fd, absl::string_view bytes) {
  return RunUntil(loop, [&] {
    const ssize_t n = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n > 0) bytes.remove_prefix(static_cast<size_t>(n));
    return bytes.empty();
  });
}

// What can be read now; `*eof` is set on a FIN.
inline std::string Drain(int fd, bool* eof = nullptr) {
  std::string all;
  char scrap[65536];
  ssize_t n;
  while ((n = recv(fd, scrap, sizeof(scrap), MSG_DONTWAIT)) > 0)
    all.append(scrap, static_cast<size_t>(n));
  if (n == 0 && eof != nullptr) *eof = true;
  return all;
}

}  // namespace heddle::test
