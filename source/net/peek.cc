#include "source/net/peek.h"

#include <errno.h>
#include <sys/socket.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "source/base/buffer.h"

namespace heddle::net {
namespace {

// The facts, or nothing while more bytes could still tell.
std::optional<Peeked> Judge(absl::string_view bytes, const Peek::Options& options) {
  Peeked facts;
  if (options.tls) {
    ClientHello hello;
    switch (ParseClientHello(bytes, &hello)) {
      case HelloOutcome::kNeedMore:
        return std::nullopt;
      case HelloOutcome::kHello:
        facts.tls = true;
        facts.sni = std::move(hello.sni);
        facts.alpn = std::move(hello.alpn);
        return facts;
      case HelloOutcome::kNotTls:
        break;
    }
  }
  if (!options.http) return facts;
  switch (SniffHttp(bytes)) {
    case HttpKind::kNeedMore:
      return std::nullopt;
    case HttpKind::kHttp10:
      facts.alpn = {"http/1.0"};
      break;
    case HttpKind::kHttp11:
      facts.alpn = {"http/1.1"};
      break;
    case HttpKind::kHttp2:
      facts.alpn = {"h2c"};
      break;
    case HttpKind::kNotHttp:
      break;
  }
  return facts;
}

}  // namespace

Peek::Peek(event::Loop& loop, int fd, const Options& options,
           std::function<void(const Peeked&)> done)
    : loop_(loop), fd_(fd), options_(options), done_(std::move(done)), timer_(loop, [this] {
        Finish({.end = Peeked::End::kTimeout});
      }) {
  // The kernel reports what is there already as the first edge.
  file_ = std::make_unique<event::FileEvents>(loop_, fd_, [this](uint32_t ready) { Look(ready); });
  if (options_.timeout > absl::ZeroDuration()) timer_.Start(options_.timeout);
}

void Peek::Look(uint32_t ready) {
  // Borrowed from the pool for the length of this call: a waiting connection holds nothing.
  base::Buffer scratch;
  iovec runs[3];
  constexpr size_t kMost = kMaxHelloBytes + 1024;
  msghdr message = {};
  message.msg_iov = runs;
  message.msg_iovlen = static_cast<size_t>(scratch.ReserveSlices(runs, 3, kMost));
  const ssize_t n = recvmsg(fd_, &message, MSG_PEEK);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) {
    Finish({.end = Peeked::End::kClosed});
    return;
  }
  scratch.Commit(static_cast<size_t>(n));
  if (const auto facts = Judge(scratch.Linearize(scratch.size()), options_); facts.has_value()) {
    Finish(*facts);
  } else if (scratch.size() >= kMost) {
    Finish({});  // more than either protocol needs: plain
  } else if (ready & event::FileEvents::kHangUp) {
    Finish({.end = Peeked::End::kClosed});  // no more will come
  }
}

void Peek::Finish(const Peeked& facts) {
  if (done_ == nullptr) return;
  timer_.Stop();
  // This runs inside the callbacks of both.
  auto done = std::exchange(done_, nullptr);
  file_.reset();
  done(facts);
}

}  // namespace heddle::net
