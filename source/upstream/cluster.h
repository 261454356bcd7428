// A cluster as one worker uses it: choose an endpoint, check the limits, lease a stream or a
// connection.
//
//   upstream::Cluster* cluster = epoch.FindCluster(route.cluster);
//   upstream::Pick pick = cluster->Choose({.hash = hash, .avoid = tried_hosts});
//   if (pick.host == nullptr) -> 503 no healthy upstream
//   lease_ = cluster->LeaseHttp(pick, {.priority = priority}, this);
//   ... OnLeaseReady(grant): stream_ = grant.codec->NewStream(this); stream_->SendHead(head, end);
//   ... what was sent is flushed at the end of the iteration by the pool
//   cluster->Report(pick.host, {.kind = Result::Kind::kHttp, .status = 200});   // once per attempt
//   lease_.reset();                               // the stream ended, or was reset by its owner
//
//   tcp_ = cluster->ConnectTcp(pick, {}, connection_events, &failure);
//
// Lives on its worker's thread and outlives its leases (an epoch keeps it). New configuration comes
// by Adopt: pools of hosts that stay are kept.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "source/base/clock.h"
#include "source/event/loop.h"
#include "source/http/codec.h"
#include "source/net/connection.h"
#include "source/stats/stats.h"
#include "source/upstream/balancer.h"
#include "source/upstream/endpoint.h"
#include "source/upstream/http_pool.h"
#include "source/upstream/lease.h"
#include "source/upstream/limits.h"
#include "source/upstream/spec.h"
#include "source/upstream/tcp_lease.h"

namespace heddle::upstream {

struct LoadContext {
  std::optional<uint64_t> hash;              // ring hash, maglev; none = random
  absl::Span<const HostState* const> avoid;  // hosts already tried (previous_hosts)
  uint32_t avoid_attempts = 1;               // host_selection_retry_max_attempts
  net::Address original_destination;         // ORIGINAL_DST clusters
};

struct Pick {
  std::shared_ptr<HostState> host;  // null: no healthy upstream
  // For Cluster: which transport, and of which spec that is said.
  uint16_t transport = 0;
  uint64_t adoption = 0;
};

class Cluster final : private HttpPool::Owner {
 public:
  struct Context {
    event::Loop& loop;
    base::Random& random;
    stats::Sheet& sheet;             // this worker's
    MakeCodec make_codec = nullptr;  // null: the real ones
  };

  Cluster(const Context& context, std::shared_ptr<const ClusterSpec> spec);
  // Waiting leases fail, streams in use are reset, connections close.
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  // New endpoints or new configuration of the same cluster. Pools of hosts that stay are kept while
  // the configuration's hash is the same (a new TransportFactory serves new connections only); the
  // others finish what they have.
  void Adopt(std::shared_ptr<const ClusterSpec> spec);

  Pick Choose(const LoadContext& context);
  // Never null. May call `events` before it returns.
  std::unique_ptr<HttpLease> LeaseHttp(const Pick& pick, const HttpLeaseOptions& options,
                                       HttpLeaseEvents* events);
  // Null when the limit on connections refuses (kOverflow), otherwise connecting: `events` are the
  // Connection's, from OnConnected to OnClosed. Tells outlier detection of the connection by
  // itself.
  std::unique_ptr<TcpLease> ConnectTcp(const Pick& pick, const TcpOptions& options,
                                       net::ConnectionEvents* events, LeaseFailure* failure);

  // HTTP only: how an attempt ended. Feeds outlier detection and the host's counters.
  void Report(const std::shared_ptr<HostState>& host, const Result& result);
  // Counts a response head: upstream_rq_<code>, _<n>xx, _completed; or retry.upstream_rq_* when it
  // is dropped for a retry.
  void CountResponse(int status, bool retried);
  // Asks the breaker for one more retry. Empty = refused and counted.
  RetryPermit AcquireRetry(Priority priority);

  const ClusterSpec& spec() const { return *spec_; }
  const config::Cluster& config() const { return *spec_->config; }
  const std::string& name() const { return spec_->config->name; }
  // Ids for what only the forwarder knows: timeouts, retries, resets.
  const ClusterStats& stats() const { return *spec_->stats; }
  stats::Sheet& sheet() const { return context_.sheet; }

  // Graceful end of the process or of the cluster: idle connections close, busy ones after their
  // last stream.
  void Drain();
  size_t open_connections() const;  // of HTTP pools

 private:
  // The pools of one host, made when first needed.
  struct HostPools {
    std::shared_ptr<HostState> host;
    std::vector<std::unique_ptr<HttpPool>> pools;
    bool ejected = false;  // when last looked at
  };
  // ORIGINAL_DST: a host made on demand.
  struct OriginalHost {
    std::shared_ptr<HostState> host;
    bool used = true;  // since the last clean-up
  };

  void OnPoolDrained(HttpPool* pool) override;
  // Null: the host is gone, or it has too many pools that are all busy.
  HttpPool* PoolFor(const Pick& pick, const HttpLeaseOptions& options, LeaseFailure* failure);
  // Lets one pool go that nobody uses; false when there is none.
  bool MakeRoom(HostPools& pools);
  void Retire(std::unique_ptr<HttpPool> pool);
  void DrainPools(HostPools& pools);
  void DrainEjected();
  // The transport for a pick, also when the spec has changed since; none = the host is gone.
  std::optional<uint16_t> TransportFor(const Pick& pick) const;
  std::shared_ptr<const net::TransportFactory> Transport(uint16_t index) const;
  Pick ChooseOriginal(const net::Address& address);
  void CleanOriginal();

  Context context_;
  std::shared_ptr<const ClusterSpec> spec_;
  uint64_t adoption_ = 0;
  uint64_t generation_ = 0;  // SharedCluster::generation that balancer_ knows
  Balancer balancer_;
  absl::flat_hash_map<const HostState*, HostPools> pools_;
  std::vector<std::unique_ptr<HttpPool>> draining_;
  absl::flat_hash_map<net::Address, OriginalHost> original_;
  std::unique_ptr<event::Timer> original_timer_;
  bool closing_ = false;
};

}  // namespace heddle::upstream
