// Descriptors with the options this proxy wants; nothing here waits. All are non-blocking and
// close-on-exec.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "source/net/address.h"

namespace heddle::net {

// Owns a descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() { Reset(); }
  Fd(Fd&& other) noexcept : fd_(other.Release()) {}
  Fd& operator=(Fd&& other) noexcept;
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int Release();
  void Reset(int fd = -1);

 private:
  int fd_ = -1;
};

struct Keepalive {
  absl::Duration idle = absl::Seconds(7200);
  absl::Duration interval = absl::Seconds(75);
  int probes = 9;
};

struct ListenOptions {
  bool reuse_port = true;    // one socket per worker; the kernel spreads connections
  bool transparent = false;  // IP_TRANSPARENT: needs CAP_NET_ADMIN
  bool freebind = false;     // an address this machine does not have (yet)
  int backlog = 1024;
  std::optional<Keepalive> keepalive = std::nullopt;  // inherited by accepted connections
};

// A bound, listening socket. TCP_NODELAY is set on it, because accepted sockets inherit that.
absl::StatusOr<Fd> Listen(const Address& address, const ListenOptions& options = {});

struct DialOptions {
  Address source;     // bound before connecting, when specified
  uint32_t mark = 0;  // SO_MARK, 0 = none
  bool transparent = false;
  std::optional<Keepalive> keepalive = std::nullopt;
};

// A socket that is connecting: connect(2) was called and succeeded or is under way.
absl::StatusOr<Fd> Dial(const Address& to, const DialOptions& options = {});

absl::Status SetKeepalive(int fd, const Keepalive& keepalive);
// The error a descriptor holds (SO_ERROR), 0 when none. Reading clears it.
int TakeError(int fd);
Address LocalAddress(int fd);
Address PeerAddress(int fd);
// Where the client wanted to go before iptables REDIRECT: SO_ORIGINAL_DST or IP6T_SO_ORIGINAL_DST.
// Empty when the connection was not redirected (conntrack does not know it, or it names our own
// address and port).
std::optional<Address> OriginalDestination(int fd);

}  // namespace heddle::net
