// The HTTP connections of one worker to one host, and the leases that wait for one. Used through
// Cluster.
//
//   lease -> a ready connection (most recently used first), else the queue; a connection is made
//   when the queue is longer than what is connecting can carry. HTTP/1: one stream to a connection;
//   HTTP/2: as many as the peer allows; kAuto: ALPN says after the handshake.
//
// Order of the limits: as in Envoy (conn_pool_base.cc).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "source/event/loop.h"
#include "source/stats/stats.h"
#include "source/upstream/intrusive_list.h"
#include "source/upstream/lease.h"
#include "source/upstream/spec.h"

namespace heddle::upstream {

class HttpPool;
class PooledConnection;

// What a pool counts in; fixed for its life, whatever its cluster adopts.
struct PoolOptions {
  event::Loop& loop;
  stats::Sheet& sheet;
  MakeCodec make_codec;
  std::shared_ptr<const config::Cluster> config;
  std::shared_ptr<SharedCluster> shared;
  std::shared_ptr<const ClusterStats> stats;
  std::shared_ptr<const net::TransportFactory> transport;  // null = plain text
  std::shared_ptr<HostState> host;
  Priority priority = Priority::kDefault;
  config::UpstreamHttp::Kind kind = config::UpstreamHttp::Kind::kHttp1;  // never kDownstream
  std::string sni;
};

class PoolLease final : public HttpLease, public ListNode<PoolLease> {
 public:
  explicit PoolLease(HttpLeaseEvents* events) : events_(events) {}
  ~PoolLease() override;
  void UpdateReading() override;
  static void* operator new(size_t size);
  static void operator delete(void* memory, size_t size);

 private:
  friend class HttpPool;
  friend class PooledConnection;
  enum class State : uint8_t { kNew, kWaiting, kActive, kDead };
  HttpLeaseEvents* const events_;
  HttpPool* pool_ = nullptr;                // kWaiting
  PooledConnection* connection_ = nullptr;  // kActive
  State state_ = State::kNew;
};

class HttpPool final : public event::Destroyable {
 public:
  // Told once, when a draining pool has become empty; may hand the pool to loop.Destroy.
  class Owner {
   public:
    virtual void OnPoolDrained(HttpPool* pool) = 0;

   protected:
    ~Owner() = default;
  };

  HttpPool(PoolOptions options, Owner* owner);
  // Waiting leases fail, streams are reset, connections close.
  ~HttpPool() override;

  void Lease(PoolLease* lease);
  // New connections are made by this from now on.
  void SetTransport(std::shared_ptr<const net::TransportFactory> transport);
  // No new leases will come. Idle connections close, busy ones after their last stream, waiting
  // leases are served.
  void Drain();

  bool Matches(config::UpstreamHttp::Kind kind, Priority priority, absl::string_view sni) const {
    return options_.kind == kind && options_.priority == priority && options_.sni == sni;
  }
  bool empty() const { return connections_.empty() && waiting_.empty(); }
  bool draining() const { return draining_; }
  bool busy() const;  // a lease waits or is in use
  size_t connections() const { return connections_.size(); }
  size_t waiting() const { return waiting_count_; }
  const PoolOptions& options() const { return options_; }

 private:
  friend class PoolLease;
  friend class PooledConnection;

  Usage& usage() const {
    return options_.shared->limits.usage[static_cast<size_t>(options_.priority)];
  }
  const config::Limits& limits() const { return LimitsOf(*options_.config, options_.priority); }
  void Wait(PoolLease* lease);
  void StopWaiting(PoolLease* lease);
  void Grant(PoolLease* lease, PooledConnection* connection);
  static void Fail(PoolLease* lease, LeaseFailure failure, absl::string_view reason);
  void ServeWaiting();
  void FailWaiting(LeaseFailure failure, absl::string_view reason);
  void ConnectWhatIsNeeded();
  bool Connect();
  uint64_t ConnectingCapacity() const;
  std::vector<PooledConnection*> Connections() const;
  // Gives back the connection's place and destroys it late.
  void Remove(PooledConnection* connection);
  void AfterClose();
  void CheckDrained();
  void ScheduleUpkeep(base::Micros at);
  void Upkeep();
  // Gauges of the circuit breakers.
  void ShowRequests();
  void ShowPending();
  void ShowConnections();

  PoolOptions options_;
  Owner* const owner_;
  std::vector<std::unique_ptr<PooledConnection>> connections_;
  IntrusiveList<PooledConnection> ready_;  // can take a stream; most recently used first
  IntrusiveList<PoolLease> waiting_;
  size_t waiting_count_ = 0;
  size_t connecting_ = 0;
  bool draining_ = false, told_drained_ = false, serving_ = false, closing_ = false;
  bool expect_http2_;    // what a connection that is connecting will speak
  event::Timer upkeep_;  // idle timeout, keepalive, maximum age
  base::Micros upkeep_at_ = 0;
};

}  // namespace heddle::upstream
