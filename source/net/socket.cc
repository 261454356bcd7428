#include "source/net/socket.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "source/base/status.h"

namespace heddle::net {
namespace {

// linux/netfilter_ipv4.h and linux/netfilter_ipv6/ip6_tables.h, which do not mix with netinet/in.h.
constexpr int kSoOriginalDst = 80;

absl::Status Failed(absl::string_view what, const Address& address, int error) {
  const std::string text = absl::StrCat(what, " ", address.ToString(), ": ", std::strerror(error));
  switch (error) {
    case EADDRINUSE:
      return absl::AlreadyExistsError(text);
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(text);
    case EMFILE:
    case ENFILE:
      return absl::ResourceExhaustedError(text);
    default:
      return absl::UnavailableError(text);
  }
}

bool Set(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

bool SetTransparent(int fd, int family) {
  return family == AF_INET6 ? Set(fd, SOL_IPV6, IPV6_TRANSPARENT, 1)
                            : Set(fd, SOL_IP, IP_TRANSPARENT, 1);
}

bool SetFreebind(int fd, int family) {
  return family == AF_INET6 ? Set(fd, SOL_IPV6, IPV6_FREEBIND, 1) : Set(fd, SOL_IP, IP_FREEBIND, 1);
}

Fd NewSocket(const Address& address) {
  return Fd(socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

// A socket file left by a process that died would make bind fail for ever.
void RemoveStaleSocketFile(const Address& address) {
  const std::string path = address.ToString();
  struct stat info;
  if (path[0] == '@' || lstat(path.c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) return;
  const Fd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (connect(probe.get(), address.raw(), address.raw_length()) != 0 && errno == ECONNREFUSED) {
    unlink(path.c_str());
  }
}

}  // namespace

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) Reset(other.Release());
  return *this;
}

int Fd::Release() { return std::exchange(fd_, -1); }

void Fd::Reset(int fd) {
  if (fd_ >= 0) close(fd_);
  fd_ = fd;
}

absl::StatusOr<Fd> Listen(const Address& address, const ListenOptions& options) {
  Fd fd = NewSocket(address);
  if (!fd.valid()) return Failed("socket for", address, errno);
  bool ok = true;
  if (address.is_ip()) {
    ok = Set(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1) && Set(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
    if (ok && address.family() == AF_INET6)
      ok = Set(fd.get(), SOL_IPV6, IPV6_V6ONLY, address.any() ? 0 : 1);
    if (ok && options.reuse_port) ok = Set(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1);
    if (ok && options.transparent) ok = SetTransparent(fd.get(), address.family());
    if (ok && options.freebind) ok = SetFreebind(fd.get(), address.family());
    if (ok && options.keepalive.has_value()) {
      HEDDLE_RETURN_IF_ERROR(SetKeepalive(fd.get(), *options.keepalive));
    }
  } else {
    RemoveStaleSocketFile(address);
  }
  if (!ok) return Failed("socket options for", address, errno);
  if (bind(fd.get(), address.raw(), address.raw_length()) != 0)
    return Failed("bind", address, errno);
  if (listen(fd.get(), options.backlog) != 0) return Failed("listen", address, errno);
  return fd;
}

absl::StatusOr<Fd> Dial(const Address& to, const DialOptions& options) {
  Fd fd = NewSocket(to);
  if (!fd.valid()) return Failed("socket for", to, errno);
  if (to.is_ip() && !Set(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1))
    return Failed("socket options for", to, errno);
  if (options.keepalive.has_value())
    HEDDLE_RETURN_IF_ERROR(SetKeepalive(fd.get(), *options.keepalive));
  if (options.mark != 0 && !Set(fd.get(), SOL_SOCKET, SO_MARK, static_cast<int>(options.mark))) {
    return Failed("SO_MARK for", to, errno);
  }
  if (options.transparent && !SetTransparent(fd.get(), to.family())) {
    return Failed("IP_TRANSPARENT for", to, errno);
  }
  if (options.source.family() != AF_UNSPEC) {
    // The port is chosen at connect, when the destination is known: more connections fit.
    if (options.source.port() == 0) Set(fd.get(), SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    if (bind(fd.get(), options.source.raw(), options.source.raw_length()) != 0) {
      return Failed("bind", options.source, errno);
    }
  }
  if (connect(fd.get(), to.raw(), to.raw_length()) != 0 && errno != EINPROGRESS) {
    return Failed("connect to", to, errno);
  }
  return fd;
}

absl::Status SetKeepalive(int fd, const Keepalive& keepalive) {
  const auto seconds = [](absl::Duration d) {
    return std::max(1, static_cast<int>(absl::ToInt64Seconds(d)));
  };
  if (Set(fd, SOL_SOCKET, SO_KEEPALIVE, 1) &&
      Set(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds(keepalive.idle)) &&
      Set(fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds(keepalive.interval)) &&
      Set(fd, IPPROTO_TCP, TCP_KEEPCNT, keepalive.probes)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("TCP keepalive: ", std::strerror(errno)));
}

int TakeError(int fd) {
  int error = 0;
  socklen_t length = sizeof(error);
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

Address LocalAddress(int fd) {
  sockaddr_storage storage;
  socklen_t length = sizeof(storage);
  auto* raw = reinterpret_cast<sockaddr*>(&storage);
  return getsockname(fd, raw, &length) == 0 ? Address::FromSockaddr(raw, length) : Address();
}

Address PeerAddress(int fd) {
  sockaddr_storage storage;
  socklen_t length = sizeof(storage);
  auto* raw = reinterpret_cast<sockaddr*>(&storage);
  return getpeername(fd, raw, &length) == 0 ? Address::FromSockaddr(raw, length) : Address();
}

std::optional<Address> OriginalDestination(int fd) {
  sockaddr_storage storage = {};
  socklen_t length = sizeof(storage);
  // An IPv4 connection to a dual-stack socket is known to the IPv4 table only, so that is asked
  // first.
  if (getsockopt(fd, SOL_IP, kSoOriginalDst, &storage, &length) != 0) {
    length = sizeof(storage);
    if (getsockopt(fd, SOL_IPV6, kSoOriginalDst, &storage, &length) != 0) return std::nullopt;
  }
  Address original = Address::FromSockaddr(reinterpret_cast<sockaddr*>(&storage), length);
  if (!original.is_ip() || original == LocalAddress(fd)) return std::nullopt;
  return original;
}

}  // namespace heddle::net
