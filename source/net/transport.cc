#include "source/net/transport.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstring>

namespace heddle::net {
namespace {

class PlainTransport final : public Transport {
 public:
  IoResult Read(int fd, base::Buffer& in, size_t max) override {
    iovec runs[kMaxReadRuns];
    const int count = in.ReserveSlices(runs, kMaxReadRuns, max);
    size_t room = 0;
    for (int i = 0; i < count; ++i) room += runs[i].iov_len;
    ssize_t n;
    do {
      n = count == 1 ? recv(fd, runs[0].iov_base, runs[0].iov_len, 0) : readv(fd, runs, count);
    } while (n < 0 && errno == EINTR);
    in.Commit(n > 0 ? static_cast<size_t>(n) : 0);
    if (n > 0) {
      return {.outcome = IoOutcome::kProgress,
              .bytes = static_cast<size_t>(n),
              .drained = static_cast<size_t>(n) < room};
    }
    if (n == 0) return {.outcome = IoOutcome::kEof};
    if (errno == EAGAIN) return {.outcome = IoOutcome::kWouldBlock, .drained = true};
    error_ = errno;
    return {.outcome = IoOutcome::kError, .system_error = error_};
  }

  IoResult Write(int fd, base::Buffer& out) override {
    iovec runs[kMaxWriteRuns];
    msghdr message = {};
    message.msg_iov = runs;
    message.msg_iovlen = static_cast<size_t>(out.Slices(runs, kMaxWriteRuns));
    if (message.msg_iovlen == 0) return {};
    size_t wanted = 0;
    for (size_t i = 0; i < message.msg_iovlen; ++i) wanted += runs[i].iov_len;
    ssize_t n;
    do {
      n = sendmsg(fd, &message, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
      if (errno == EAGAIN) return {.outcome = IoOutcome::kWouldBlock};
      error_ = errno;
      return {.outcome = IoOutcome::kError, .system_error = error_};
    }
    out.Consume(static_cast<size_t>(n));
    const bool all = static_cast<size_t>(n) == wanted;
    return {.outcome = all ? IoOutcome::kProgress : IoOutcome::kWouldBlock,
            .bytes = static_cast<size_t>(n)};
  }

  bool ready() const override { return true; }
  void Shutdown(int) override {}
  const PeerInfo& peer() const override {
    static const PeerInfo* const nobody = new PeerInfo;
    return *nobody;
  }
  absl::string_view error() const override {
    return error_ == 0 ? absl::string_view() : absl::string_view(std::strerror(error_));
  }

 private:
  static constexpr int kMaxReadRuns = 5;    // 64 KiB and a started block
  static constexpr int kMaxWriteRuns = 64;  // 1 MiB

  int error_ = 0;
};

class PlainTransportFactory final : public TransportFactory {
 public:
  std::unique_ptr<Transport> Create(const Options&) const override { return MakePlainTransport(); }
  bool secure() const override { return false; }
};

}  // namespace

std::unique_ptr<Transport> MakePlainTransport() { return std::make_unique<PlainTransport>(); }

std::shared_ptr<const TransportFactory> PlainTransports() {
  static const auto* const factory =
      new std::shared_ptr<const TransportFactory>(std::make_shared<PlainTransportFactory>());
  return *factory;
}

}  // namespace heddle::net
