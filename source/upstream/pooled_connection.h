// One upstream HTTP connection of a pool: wires Connection and ClientCodec together and knows how
// many streams it can still carry. Private to the pool.
#pragma once

#include <cstdint>
#include <memory>

#include "source/event/loop.h"
#include "source/http/codec.h"
#include "source/net/connection.h"
#include "source/upstream/http_pool.h"
#include "source/upstream/intrusive_list.h"

namespace heddle::upstream {

class PooledConnection final : public event::Destroyable,
                               public ListNode<PooledConnection>,
                               private net::ConnectionEvents,
                               private http::ClientEvents,
                               private event::EndOfIteration {
 public:
  enum class State : uint8_t {
    kConnecting,
    kOpen,
    kDraining,  // takes no new stream; closes with its last one
    kClosed,    // out of the pool, waits for its late destruction
  };
  enum class Cause : uint8_t { kLocal, kRemote };

  explicit PooledConnection(HttpPool& pool);
  ~PooledConnection() override;
  void Start();  // begins to connect

  State state() const { return state_; }
  bool busy() const { return streams_ > 0 || (codec_ != nullptr && codec_->active_streams() > 0); }
  // How many more streams may be opened now; 0 unless kOpen.
  uint64_t Capacity() const;
  void Attach(PoolLease* lease);
  void Return(PoolLease* lease);
  void UpdateReading();
  LeaseGrant grant() { return {codec_.get(), connection_.get(), served_ > 1}; }
  // No new streams; closes when the last one ended, now if there is none.
  void Drain();
  // Resets what streams there are and leaves the pool.
  void Close(Cause cause);
  // Does what is due at `now` (idle, keepalive, age). Returns when to ask again, 0 = never. May
  // close.
  base::Micros Upkeep(base::Micros now);

 private:
  friend class HttpPool;
  void OnConnected() override;
  void OnData(base::Buffer& in, bool eof) override;
  void OnWritable() override;
  void OnClosed(net::CloseReason reason) override;
  void OnGoAway() override;
  void OnSettings(uint32_t) override;
  void OnOutput() override;
  void OnHalfClose() override { connection_->ShutdownWrite(); }
  void OnPong(uint64_t opaque) override;
  void AtEnd() override;

  void ConnectFailed(LeaseFailure failure, absl::string_view why);
  // After anything that may have ended a stream or changed the codec's mind: close, become ready,
  // or serve the queue.
  void Settle();
  void ReleaseCounts();
  void CountBytes();
  const ClusterStats& stats() const { return *pool_->options().stats; }
  stats::Sheet& sheet() const { return pool_->options().sheet; }

  HttpPool* pool_;   // null once closed
  size_t slot_ = 0;  // in the pool's connections
  event::Loop& loop_;
  std::unique_ptr<net::Connection> connection_;
  std::unique_ptr<http::ClientCodec> codec_;  // writes into connection_->out()
  IntrusiveList<PoolLease> leases_;
  State state_ = State::kConnecting;
  bool feeding_ = false;  // inside codec_->Feed
  bool eof_ = false;
  bool idle_ = false;
  uint32_t streams_ = 0;  // leases granted and not returned
  uint64_t served_ = 0;   // leases ever granted
  base::Micros started_ = 0, connected_ = 0, idle_since_ = 0;
  base::Micros ping_due_ = 0, pong_due_ = 0;  // 0 = none
  uint64_t counted_in_ = 0, counted_out_ = 0;
};

}  // namespace heddle::upstream
