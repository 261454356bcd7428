#include "source/net/connection.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "source/base/status.h"

namespace heddle::net {
namespace {

// Usual requests and responses fit the first; a peer that fills it gets the second.
constexpr size_t kReadBytes = base::Buffer::kBlockBytes - 64;  // fits one block
constexpr size_t kBigReadBytes = 64 * 1024;
// Per wake-up, so that one busy peer does not keep the others waiting.
constexpr size_t kTurnBytes = 512 * 1024;

std::atomic<uint64_t> g_next_id{1};

// This thread's connections, to see when many of them went: their memory should go back to the
// system.
struct Census {
  size_t alive = 0;
  size_t most = 0;  // since the last release
};
constexpr size_t kBurst = 512;
thread_local Census t_census;

}  // namespace

absl::string_view CloseReasonName(CloseReason reason) {
  switch (reason) {
    case CloseReason::kLocal:
      return "local";
    case CloseReason::kRemote:
      return "remote";
    case CloseReason::kReset:
      return "reset";
    case CloseReason::kConnectFailed:
      return "connect_failed";
    case CloseReason::kConnectTimeout:
      return "connect_timeout";
    case CloseReason::kTransportFailed:
      return "transport_failed";
  }
  return "";
}

ConnectionEvents::~ConnectionEvents() {
  if (connection_ != nullptr) connection_->events_ = nullptr;
}

Connection::Connection(event::Loop& loop, int fd, std::unique_ptr<Transport> transport,
                       const ConnectionOptions& options, ConnectionEvents* events)
    : loop_(loop),
      fd_(fd),
      transport_(std::move(transport)),
      options_(options),
      id_(g_next_id.fetch_add(1, std::memory_order_relaxed)),
      created_(loop.Now()) {
  SetEvents(events);
  t_census.most = std::max(t_census.most, ++t_census.alive);
}

Connection::~Connection() {
  SetEvents(nullptr);
  file_.reset();  // before the descriptor
  --t_census.alive;
  if (t_census.most < kBurst || t_census.alive > t_census.most / 4) return;
  t_census.most = t_census.alive;
  loop_.ReleaseMemorySoon();
}

std::unique_ptr<Connection> Connection::Accepted(event::Loop& loop, int fd,
                                                 std::unique_ptr<Transport> transport,
                                                 const Address& peer,
                                                 const ConnectionOptions& options,
                                                 ConnectionEvents* events) {
  std::unique_ptr<Connection> connection(
      new Connection(loop, fd, std::move(transport), options, events));
  connection->peer_ = peer;
  connection->Register();
  if (!connection->transport_->ready()) {
    connection->timer_ =
        std::make_unique<event::Timer>(loop, [c = connection.get()] { c->OnTimer(); });
    connection->timer_->Start(options.handshake_timeout);
  }
  return connection;
}

std::unique_ptr<Connection> Connection::Connect(event::Loop& loop, const Address& to,
                                                const Address& source,
                                                std::unique_ptr<Transport> transport,
                                                const ConnectionOptions& options,
                                                ConnectionEvents* events) {
  DialOptions dial;
  dial.source = source;
  return Connect(loop, to, dial, std::move(transport), options, events);
}

std::unique_ptr<Connection> Connection::Connect(event::Loop& loop, const Address& to,
                                                const DialOptions& dial,
                                                std::unique_ptr<Transport> transport,
                                                const ConnectionOptions& options,
                                                ConnectionEvents* events) {
  absl::StatusOr<Fd> fd = Dial(to, dial);
  std::unique_ptr<Connection> connection(
      new Connection(loop, fd.ok() ? fd->Release() : -1, std::move(transport), options, events));
  connection->client_ = true;
  connection->peer_ = to;
  connection->state_ = State::kConnecting;
  if (!fd.ok()) {
    connection->Fail(CloseReason::kConnectFailed, fd.status().message());
    return connection;
  }
  connection->Register();
  connection->timer_ =
      std::make_unique<event::Timer>(loop, [c = connection.get()] { c->OnTimer(); });
  connection->timer_->Start(options.connect_timeout);
  return connection;
}

void Connection::Register() {
  file_ = std::make_unique<event::FileEvents>(loop_, fd_.get(),
                                              [this](uint32_t ready) { OnReady(ready); });
}

void Connection::SetEvents(ConnectionEvents* events) {
  if (events_ != nullptr) events_->connection_ = nullptr;
  events_ = events;
  if (events_ == nullptr) return;
  if (events_->connection_ != nullptr) events_->connection_->events_ = nullptr;
  events_->connection_ = this;
}

const Address& Connection::local_address() const {
  if (local_ == nullptr)
    local_ = std::make_unique<Address>(fd_.valid() ? LocalAddress(fd_.get()) : Address());
  return *local_;
}

// ----------------------------------------------------------------------------------------------------------
// events

void Connection::OnReady(uint32_t ready) {
  if (ready & event::FileEvents::kRead) readable_ = true;
  if (ready & event::FileEvents::kWrite) writable_ = true;
  if (ready & event::FileEvents::kHangUp) hang_up_ = true;
  switch (state_) {
    case State::kConnecting:
      FinishConnect();
      break;
    case State::kHandshaking:
      Handshake();
      break;
    case State::kOpen:
      ReadSome();
      if (writable_ && state_ == State::kOpen && (wants_write() || shutdown_wanted_))
        loop_.MarkDirty(this);
      break;
    case State::kFlushing:
      if (writable_) loop_.MarkDirty(this);
      break;
    case State::kLingering:
      Discard();
      break;
    case State::kClosed:
      break;
  }
}

void Connection::AtEnd() {
  switch (state_) {
    case State::kConnecting:
    case State::kHandshaking:
      return;
    case State::kOpen:
    case State::kFlushing:
      WriteSome();
      return;
    case State::kLingering:
      return;
    case State::kClosed:
      if (!std::exchange(tell_closed_, false) || events_ == nullptr) return;
      ConnectionEvents* events = events_;
      SetEvents(nullptr);
      events->OnClosed(reason_);
      return;
  }
}

void Connection::OnTimer() {
  switch (state_) {
    case State::kConnecting:
      Fail(CloseReason::kConnectTimeout,
           absl::StrCat("connect to ", peer_.ToString(), ": timeout"));
      return;
    case State::kHandshaking:
      Fail(client_ ? CloseReason::kConnectTimeout : CloseReason::kTransportFailed,
           absl::StrCat("handshake with ", peer_.ToString(), ": timeout"));
      return;
    case State::kOpen:
    case State::kClosed:
      return;
    case State::kFlushing:
    case State::kLingering:
      CloseNow(CloseReason::kLocal);
      return;
  }
}

void Connection::FinishConnect() {
  if (!writable_) return;
  const int error = TakeError(fd_.get());
  if (error != 0) {
    Fail(CloseReason::kConnectFailed,
         absl::StrCat("connect to ", peer_.ToString(), ": ", std::strerror(error)));
    return;
  }
  state_ = State::kHandshaking;
  Handshake();
}

void Connection::Handshake() {
  if (!transport_->ready()) {
    // Either side may have something to say; a call that has nothing to do is cheap.
    IoResult result;
    do {
      result = transport_->Read(fd_.get(), in_, kReadBytes);
      bytes_read_ += result.bytes;
    } while (result.outcome == IoOutcome::kProgress && !result.drained && !transport_->ready());
    if (result.outcome == IoOutcome::kProgress || result.outcome == IoOutcome::kWouldBlock) {
      if (result.drained && !hang_up_) readable_ = false;
      if (!transport_->ready() || transport_->write_pending())
        result = transport_->Write(fd_.get(), out_);
    }
    if (result.outcome == IoOutcome::kError || result.outcome == IoOutcome::kEof) {
      absl::string_view why = transport_->error();
      if (why.empty()) why = "closed by the peer during the handshake";
      Fail(CloseReason::kTransportFailed,
           absl::StrCat("handshake with ", peer_.ToString(), ": ", why));
      return;
    }
    if (!transport_->ready()) return;
  }
  BecomeOpen();
}

void Connection::BecomeOpen() {
  timer_.reset();
  state_ = State::kOpen;
  if (events_ != nullptr) events_->OnConnected();
  if (state_ != State::kOpen) return;
  if (wants_write()) Flush();
  ReadSome();
}

// ---------------------------------------------------------------------------------------------------------
// reading

void Connection::SetReading(bool on) {
  if (reading_ == on) return;
  reading_ = on;
  if (!on || state_ != State::kOpen) return;
  if (readable_ || hang_up_ || !in_.empty()) file_->Activate(event::FileEvents::kRead);
}

void Connection::ReadSome() {
  if (!reading_) {
    if (hang_up_ && !eof_) CheckHangUp();
    return;
  }
  // Left by the owner while reading was off.
  const bool left = !in_.empty();
  const uint64_t start = bytes_read_;
  while (readable_ && reading_ && state_ == State::kOpen && !eof_) {
    if (in_.size() > options_.buffer_limit)
      break;  // the owner takes nothing: let the kernel hold the peer back
    if (bytes_read_ - start >= kTurnBytes) {
      file_->Activate(event::FileEvents::kRead);
      return;
    }
    if (!ReadOnce()) return;
  }
  if (left && bytes_read_ == start && reading_ && state_ == State::kOpen && events_ != nullptr) {
    const size_t before = in_.size();
    events_->OnData(in_, false);
    // The kernel still holds some, and tells of it no more: go on, unless the owner took nothing.
    if (readable_ && reading_ && state_ == State::kOpen && in_.size() < before) {
      file_->Activate(event::FileEvents::kRead);
    }
  }
}

// One read and what it gave. False when the connection ended.
bool Connection::ReadOnce() {
  const IoResult result = transport_->Read(fd_.get(), in_, big_reads_ ? kBigReadBytes : kReadBytes);
  bytes_read_ += result.bytes;
  big_reads_ = result.bytes >= kReadBytes;
  if (result.drained && !hang_up_) readable_ = false;
  switch (result.outcome) {
    case IoOutcome::kProgress:
      if (result.bytes > 0 && events_ != nullptr) events_->OnData(in_, false);
      if (transport_->write_pending()) Flush();  // key update, renegotiated tickets
      return state_ == State::kOpen;
    case IoOutcome::kWouldBlock:
      readable_ = false;
      if (result.bytes > 0 && events_ != nullptr) events_->OnData(in_, false);
      return state_ == State::kOpen;
    case IoOutcome::kEof:
      OnEof();
      return false;
    case IoOutcome::kError: {
      const absl::string_view why = transport_->error();
      Fail(result.system_error == 0 ? CloseReason::kTransportFailed : CloseReason::kReset,
           absl::StrCat("read from ", peer_.ToString(), ": ", why));
      return false;
    }
  }
  return false;
}

void Connection::OnEof() {
  eof_ = true;
  readable_ = false;
  if (events_ != nullptr) events_->OnData(in_, true);
  if (state_ != State::kOpen) return;
  if (!options_.half_close || write_shut_) CloseNow(CloseReason::kRemote);
}

// The peer is done sending while we do not read. When nothing of it waits to be read, it is gone
// for us too (a client that gave up on its response); else the bytes come first, once reading is on
// again.
void Connection::CheckHangUp() {
  char byte;
  const ssize_t n = recv(fd_.get(), &byte, 1, MSG_PEEK);
  if (n > 0 || (n < 0 && errno == EAGAIN)) return;
  if (n < 0) {
    Fail(CloseReason::kReset,
         absl::StrCat("connection to ", peer_.ToString(), ": ", std::strerror(errno)));
  } else if (!options_.half_close && in_.empty()) {
    OnEof();
  }
}

// ---------------------------------------------------------------------------------------------------------
// writing

void Connection::Flush() {
  if (out_.size() > options_.buffer_limit) was_above_ = true;
  if (state_ != State::kOpen && state_ != State::kFlushing) return;
  if (writable_) loop_.MarkDirty(this);
}

void Connection::WriteSome() {
  // Flush may not have been called since the owner wrote: it also comes here when the descriptor
  // becomes writable.
  if (out_.size() > options_.buffer_limit) was_above_ = true;
  size_t written = 0;
  while (writable_ && wants_write()) {
    if (written >= kTurnBytes) {
      loop_.MarkDirty(this);
      break;
    }
    const IoResult result = transport_->Write(fd_.get(), out_);
    bytes_written_ += result.bytes;
    written += result.bytes;
    if (result.outcome == IoOutcome::kError) {
      const bool read_first = readable_ && reading_ && state_ == State::kOpen;
      // The peer's last words (an early response before it closed) may still wait to be read.
      if (read_first) ReadSome();
      if (state_ != State::kClosed) {
        Fail(CloseReason::kReset,
             absl::StrCat("write to ", peer_.ToString(), ": ", transport_->error()));
      }
      return;
    }
    if (result.outcome == IoOutcome::kWouldBlock) writable_ = false;
  }
  if (written > 0 && state_ == State::kFlushing) ArmLinger();
  AfterWrite();
}

void Connection::AfterWrite() {
  if (was_above_ && out_.size() <= options_.buffer_limit / 2) {
    was_above_ = false;
    if (events_ != nullptr && state_ == State::kOpen) events_->OnWritable();
  }
  if (wants_write() || state_ == State::kClosed) return;
  if (shutdown_wanted_ || state_ == State::kFlushing) FinishShutdown();
}

void Connection::ShutdownWrite() {
  if (shutdown_wanted_ || state_ == State::kClosed) return;
  shutdown_wanted_ = true;
  if (state_ == State::kOpen) loop_.MarkDirty(this);
}

void Connection::FinishShutdown() {
  if (!write_shut_) {
    write_shut_ = true;
    transport_->Shutdown(fd_.get());
    shutdown(fd_.get(), SHUT_WR);
  }
  if (state_ == State::kFlushing) {
    state_ = State::kLingering;
    ArmLinger();
    readable_ = true;
    Discard();
  } else if (eof_) {
    CloseNow(CloseReason::kRemote);
  }
}

// ---------------------------------------------------------------------------------------------------------
// closing

void Connection::Close(How how) {
  if (state_ == State::kClosed) return;
  switch (how) {
    case How::kFlush:
      if (state_ == State::kConnecting || state_ == State::kHandshaking) {
        CloseNow(CloseReason::kLocal);
        return;
      }
      if (state_ != State::kOpen) return;
      state_ = State::kFlushing;
      in_.Clear();
      ArmLinger();
      loop_.MarkDirty(this);
      return;
    case How::kAbort:
      CloseNow(CloseReason::kLocal);
      return;
    case How::kReset: {
      const linger now = {.l_onoff = 1, .l_linger = 0};
      setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
      CloseNow(CloseReason::kLocal);
      return;
    }
  }
}

void Connection::ArmLinger() {
  if (timer_ == nullptr) timer_ = std::make_unique<event::Timer>(loop_, [this] { OnTimer(); });
  timer_->Start(options_.linger);
}

// After our FIN: unread bytes at close(2) would turn it into an RST that may overtake what we
// wrote.
void Connection::Discard() {
  char scrap[16 * 1024];
  size_t seen = 0;
  while (readable_) {
    const ssize_t n = recv(fd_.get(), scrap, sizeof(scrap), 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
      CloseNow(CloseReason::kLocal);
      return;
    }
    if (n < 0 && errno == EAGAIN) readable_ = false;
    seen += n > 0 ? static_cast<size_t>(n) : 0;
    if (seen > kTurnBytes) {  // a peer that goes on sending hears the reset
      CloseNow(CloseReason::kLocal);
      return;
    }
  }
}

void Connection::Fail(CloseReason reason, absl::string_view what) {
  failure_ = std::string(what);
  CloseNow(state_ == State::kFlushing || state_ == State::kLingering ? CloseReason::kLocal
                                                                     : reason);
}

void Connection::CloseNow(CloseReason reason) {
  if (state_ == State::kClosed) return;
  if (local_ == nullptr && fd_.valid()) local_address();  // still asked for by access logs
  state_ = State::kClosed;
  reason_ = reason;
  file_.reset();
  timer_.reset();
  fd_.Reset();
  in_.Clear();
  out_.Clear();
  tell_closed_ = true;
  loop_.MarkDirty(this);
}

}  // namespace heddle::net
