#include "source/net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "source/base/log.h"

namespace heddle::net {
namespace {

constexpr absl::Duration kRetry = absl::Milliseconds(100);

Fd OpenReserve() { return Fd(open("/dev/null", O_RDONLY | O_CLOEXEC)); }

// Errors of the connection in front, not of the listening socket (accept(2): treat like EAGAIN and
// go on).
bool OfTheConnection(int error) {
  switch (error) {
    case EINTR:
    case ECONNABORTED:
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
      return true;
    default:
      return false;
  }
}

}  // namespace

Listener::Listener(event::Loop& loop, Fd fd, const ListenerOptions& options, OnAccept on_accept)
    : loop_(loop),
      fd_(std::move(fd)),
      reserve_(OpenReserve()),
      options_(options),
      on_accept_(std::move(on_accept)),
      address_(LocalAddress(fd_.get())),
      retry_(loop, [this] { AcceptSome(options_.accepts_per_turn); }) {
  file_ = std::make_unique<event::FileEvents>(
      loop_, fd_.get(), [this](uint32_t) { AcceptSome(options_.accepts_per_turn); });
}

Listener::~Listener() { file_.reset(); }

void Listener::Resume() {
  if (!std::exchange(paused_, false) || closed()) return;
  file_->Activate(event::FileEvents::kRead);
}

void Listener::Close() {
  if (closed()) return;
  paused_ = false;
  // Bounded by what the backlog can hold.
  AcceptSome(std::numeric_limits<uint16_t>::max());
  file_.reset();
  retry_.Stop();
  fd_.Reset();
  reserve_.Reset();
}

void Listener::AcceptSome(size_t most) {
  for (size_t i = 0; i < most; ++i) {
    // The callee may pause or close this listener.
    if (paused_ || closed()) return;
    sockaddr_storage storage;
    socklen_t length = sizeof(storage);
    auto* raw = reinterpret_cast<sockaddr*>(&storage);
    const int fd = accept4(fd_.get(), raw, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      on_accept_(fd, Address::FromSockaddr(raw, length));
      continue;
    }
    if (OfTheConnection(errno)) continue;
    if (errno == EAGAIN) return;
    if ((errno == EMFILE || errno == ENFILE) && Shed()) continue;
    if (errno == EAGAIN) return;  // nobody was waiting
    HEDDLE_LOG(kWarning, "net") << "accept on " << address_.ToString() << ": "
                                << std::strerror(errno);
    retry_.Start(kRetry);
    return;
  }
  file_->Activate(event::FileEvents::kRead);
}

bool Listener::Shed() {
  if (!reserve_.valid()) {
    reserve_ = OpenReserve();
    if (!reserve_.valid()) return false;
  }
  reserve_.Reset();
  Fd refused(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const bool taken = refused.valid();
  const int error = errno;
  if (taken) {
    ++shed_;
    if ((shed_ & (shed_ - 1)) == 0) {  // the 1st, 2nd, 4th, 8th ...
      HEDDLE_LOG(kWarning, "net") << "no descriptor left: closed " << shed_
                                  << " new connections on " << address_.ToString();
    }
  }
  refused.Reset();
  reserve_ = OpenReserve();
  errno = error;
  return taken;
}

}  // namespace heddle::net
