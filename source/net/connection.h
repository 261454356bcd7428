// One byte stream: descriptor, transport, what was read and what waits to be written. Lives on one
// loop. Reads until a short read while reading is on; writes are gathered in out() and flushed once
// at the end of the loop iteration. An idle connection holds no buffer block.
//
// Back-pressure: the owner calls SetReading(bool) from facts it recomputes (docs/flow_control.md);
// the connection calls OnWritable once out() fell below the low watermark (half of
// Options::buffer_limit) after it had been above the limit.
//
// OnClosed is never called from inside a call of the owner (Close, Flush, ...), but later from the
// loop. A ConnectionEvents that is destroyed before that is simply told nothing more.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "source/base/buffer.h"
#include "source/event/loop.h"
#include "source/net/address.h"
#include "source/net/socket.h"
#include "source/net/transport.h"

namespace heddle::net {

enum class CloseReason {
  kLocal,          // we called Close
  kRemote,         // peer closed cleanly (FIN, or close_notify)
  kReset,          // RST or a read/write error
  kConnectFailed,  // refused, unreachable
  kConnectTimeout,
  kTransportFailed,  // TLS handshake or record error, or handshake timeout
};
absl::string_view CloseReasonName(CloseReason reason);

class Connection;

// Told to the owner, on the loop's thread. The owner may destroy the connection from any of these
// only by loop.Destroy. One object serves one connection at a time.
class ConnectionEvents {
 public:
  ConnectionEvents() = default;
  ConnectionEvents(const ConnectionEvents&) = delete;
  ConnectionEvents& operator=(const ConnectionEvents&) = delete;
  virtual ~ConnectionEvents();
  virtual void OnConnected() {
  }  // TCP and TLS are up (server side: handshake done); before any OnData
  // Bytes arrived; take from `in` what you can, what is left stays for the next call. `eof`: the
  // peer half-closed; said once. Without half_close OnClosed(kRemote) follows.
  virtual void OnData(base::Buffer& in, bool eof) = 0;
  virtual void OnWritable() {}                    // see above
  virtual void OnClosed(CloseReason reason) = 0;  // last call; the descriptor is closed already

 private:
  friend class Connection;
  Connection* connection_ = nullptr;  // that would call this
};

struct ConnectionOptions {
  size_t buffer_limit = 1024 * 1024;  // Listener/Cluster.per_connection_buffer_limit_bytes, 1 MiB
  bool half_close = false;            // TCP proxy: EOF does not end the connection
  absl::Duration connect_timeout = absl::Seconds(5);     // client side, TLS included
  absl::Duration handshake_timeout = absl::Seconds(15);  // server side
  // Close(kFlush): how long without progress to wait for what is written, and then for the peer's
  // FIN (HttpConnectionManager.delayed_close_timeout).
  absl::Duration linger = absl::Seconds(1);
};

class Connection final : public event::Destroyable, private event::EndOfIteration {
 public:
  // Takes the descriptor.
  static std::unique_ptr<Connection> Accepted(event::Loop& loop, int fd,
                                              std::unique_ptr<Transport> transport,
                                              const Address& peer, const ConnectionOptions& options,
                                              ConnectionEvents* events);
  // Starts connecting; failures come through OnClosed, never from here. `source` may be
  // unspecified.
  static std::unique_ptr<Connection> Connect(event::Loop& loop, const Address& to,
                                             const Address& source,
                                             std::unique_ptr<Transport> transport,
                                             const ConnectionOptions& options,
                                             ConnectionEvents* events);
  static std::unique_ptr<Connection> Connect(event::Loop& loop, const Address& to,
                                             const DialOptions& dial,
                                             std::unique_ptr<Transport> transport,
                                             const ConnectionOptions& options,
                                             ConnectionEvents* events);
  ~Connection() override;

  base::Buffer& out() { return out_; }  // append here, then call Flush
  void Flush();                         // marks dirty: written at the end of the iteration
  bool above_limit() const { return out_.size() > options_.buffer_limit; }
  // Off: the kernel's buffers fill and hold the peer back. On again: OnData is called from the loop
  // for what waits.
  void SetReading(bool on);
  bool reading() const { return reading_; }
  // Null: nobody is told anything any more.
  void SetEvents(ConnectionEvents* events);

  // kFlush: writes what waits, half-closes, waits at most `linger` for the peer's FIN, then closes;
  // nothing more is read. kAbort: closes now. kReset: closes now, with RST. OnClosed(kLocal)
  // follows in each case, later. A second, harder Close overrides the first.
  enum class How { kFlush, kAbort, kReset };
  void Close(How how);
  void ShutdownWrite();  // half-close after what waits is written

  const PeerInfo& peer() const { return transport_->peer(); }
  absl::string_view transport_error() const { return transport_->error(); }
  // One line about why it was closed: "connect to 10.0.0.1:80: Connection refused". Empty after a
  // clean end.
  const std::string& failure() const { return failure_; }
  const Address& peer_address() const { return peer_; }
  const Address& local_address() const;  // getsockname, cached
  // For filters that learned better (original destination, PROXY protocol).
  void set_local_address(const Address& address) { local_ = std::make_unique<Address>(address); }
  int fd() const { return fd_.get(); }
  uint64_t id() const { return id_; }
  uint64_t bytes_read() const { return bytes_read_; }
  uint64_t bytes_written() const { return bytes_written_; }
  event::Loop& loop() { return loop_; }
  bool closed() const { return state_ == State::kClosed; }
  // Established, not being closed: what is written has a chance to arrive.
  bool open() const { return state_ == State::kOpen; }
  base::Micros created() const { return created_; }

 private:
  friend class ConnectionEvents;
  enum class State : uint8_t {
    kConnecting,   // TCP
    kHandshaking,  // TLS, or accepted and not told yet
    kOpen,
    kFlushing,   // Close(kFlush) with bytes to write
    kLingering,  // FIN sent, waiting for the peer's
    kClosed,
  };

  Connection(event::Loop& loop, int fd, std::unique_ptr<Transport> transport,
             const ConnectionOptions& options, ConnectionEvents* events);
  void Register();
  void AtEnd() override;
  void OnReady(uint32_t ready);
  void OnTimer();
  void FinishConnect();
  void Handshake();
  void BecomeOpen();
  void ReadSome();
  bool ReadOnce();
  void OnEof();
  void CheckHangUp();
  void WriteSome();
  void AfterWrite();
  void FinishShutdown();
  void Discard();
  void ArmLinger();
  bool wants_write() const { return !out_.empty() || transport_->write_pending(); }
  void Fail(CloseReason reason, absl::string_view what);
  void CloseNow(CloseReason reason);

  event::Loop& loop_;
  Fd fd_;
  State state_ = State::kHandshaking;
  bool client_ = false;
  bool reading_ = true;
  bool readable_ = false;  // the kernel may hold bytes
  bool writable_ = false;  // the kernel may take bytes
  bool hang_up_ = false;   // a FIN was seen by epoll: read until EOF whatever the length of reads
  bool eof_ = false;       // read, told to the owner
  bool shutdown_wanted_ = false;
  bool write_shut_ = false;
  bool was_above_ = false;    // out() passed the limit and OnWritable is owed
  bool big_reads_ = false;    // the last read filled its block
  bool tell_closed_ = false;  // OnClosed is owed
  CloseReason reason_ = CloseReason::kLocal;
  std::unique_ptr<Transport> transport_;
  ConnectionOptions options_;
  ConnectionEvents* events_ = nullptr;
  std::unique_ptr<event::FileEvents> file_;
  std::unique_ptr<event::Timer> timer_;  // connect, handshake, linger: absent most of the time
  Address peer_;
  mutable std::unique_ptr<Address> local_;
  base::Buffer in_, out_;
  uint64_t id_ = 0, bytes_read_ = 0, bytes_written_ = 0;
  base::Micros created_ = 0;
  std::string failure_;
};

}  // namespace heddle::net
