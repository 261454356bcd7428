// A cluster as one worker uses it: choose an endpoint, check the limits, lease a stream or a connection.
//
//   upstream::Cluster* cluster = epoch.FindCluster(route.cluster);
//   upstream::Pick pick = cluster->Choose({.hash = ..., .avoid = tried_hosts});
//   if (pick.host == nullptr) -> 503 no healthy upstream
//   std::unique_ptr<HttpLease> lease = cluster->LeaseHttp(pick, {.priority = ..., .downstream = ...}, this);
//   ... OnLeaseReady(grant): ClientStream* stream = grant.codec->NewStream(response_events); stream->SendHead(...)
//   ... grant.connection->Flush() is the pool's business: lease->Flush() after having written
//   cluster->Report(pick.host, {.kind = Result::Kind::kHttp, .status = 200});   // once per attempt
//   lease.reset();                                  // stream ended, or was reset by its owner
//
//   std::unique_ptr<TcpLease> tcp = cluster->ConnectTcp(pick, {}, connection_events, &failure);   // TCP
//
// Lives on its worker's thread and outlives its leases (an epoch keeps it). New configuration comes by Adopt: pools of
// hosts that stay are kept.
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
#include "source/upstream/limits.h"
#include "source/upstream/spec.h"

namespace heddle::upstream {

class HttpPool;

struct LoadContext {
  std::optional<uint64_t> hash;                          // ring hash, maglev; none = random
  absl::Span<const HostState* const> avoid;              // hosts already tried (previous_hosts)
  uint32_t avoid_attempts = 1;                           // host_selection_retry_max_attempts
  net::Address original_destination;                     // ORIGINAL_DST clusters
  const config::Metadata* metadata_match = nullptr;      // not used yet by any balancer
};

struct Pick {
  std::shared_ptr<HostState> host;  // null: no healthy upstream
};

// Why a lease failed. kOverflow: a circuit breaker (never retried, never reported to outlier detection); the others
// are `connect-failure` to a retry policy and Report(kConnectFailed) to outlier detection.
enum class LeaseFailure : uint8_t { kOverflow, kConnectFailed, kConnectTimeout, kTransportFailed };

// A stream may be opened: codec->NewStream() succeeds now.
struct LeaseGrant {
  http::ClientCodec* codec;
  net::Connection* connection;  // addresses, TLS facts, back-pressure
  // The connection has carried a request before. A reset (kConnectionClosed) before any byte of the response then
  // probably is the race with the upstream's idle timeout: safe to count as reset-before-request.
  bool reused;
};

// Told how a lease for an HTTP stream goes on. Exactly one of the two, perhaps before LeaseHttp has returned.
class HttpLeaseEvents {
 public:
  virtual ~HttpLeaseEvents() = default;
  // Open the stream from inside the call (or give the lease back).
  virtual void OnLeaseReady(const LeaseGrant& grant) = 0;
  // `transport_reason` is for %UPSTREAM_TRANSPORT_FAILURE_REASON%, often empty. The lease is dead: destroy it.
  virtual void OnLeaseFailed(LeaseFailure failure, absl::string_view transport_reason) = 0;
};

// The right to one upstream stream, waiting or in use. Destroying it gives back what it holds: a waiting lease leaves
// the queue, a used one returns the stream (its owner reset it before, or it had ended both ways). Destroy it only on
// its worker's thread; inside any event is fine. Its memory comes from a free list.
class HttpLease {
 public:
  virtual ~HttpLease() = default;
  // Call after writing to the stream outside of a pool event: what waits is written at the end of the iteration.
  virtual void Flush() = 0;
  // Back-pressure of HTTP/1 (HTTP/2 has windows: withhold Stream::Consumed, this does nothing then).
  virtual void SetReading(bool on) = 0;
  // The upstream connection's out() is above its limit: stop sending body until StreamEvents::OnWritable.
  virtual bool above_limit() const = 0;
};

struct HttpLeaseOptions {
  Priority priority = Priority::kDefault;
  http::Protocol downstream = http::Protocol::kHttp11;  // the client's; counts for UpstreamHttp::Kind::kDownstream
  absl::string_view sni;                                // auto_sni: host of :authority without port; else empty
};

// An upstream connection of one TCP session. Destroying it closes the connection at once, if it is open, and gives
// back its place in the limits; its ConnectionEvents hear no more.
class TcpLease {
 public:
  virtual ~TcpLease() = default;
  virtual net::Connection* connection() = 0;  // never null
};

struct TcpOptions {
  Priority priority = Priority::kDefault;
  absl::string_view sni;               // overrides the cluster's; empty = the cluster's
  std::vector<std::string> alpn;       // overrides the cluster's; empty = the cluster's
  bool half_close = true;
};

// Makes the codec of one upstream connection; a table entry for tests.
using MakeCodec = std::unique_ptr<http::ClientCodec> (*)(http::Protocol protocol, const config::Cluster& config,
                                                         net::Connection& connection, http::ClientEvents* events);

class Cluster {
 public:
  struct Context {
    event::Loop& loop;
    base::Random& random;
    stats::Sheet& sheet;       // this worker's
    MakeCodec make_codec = nullptr;  // null: the real ones
  };

  Cluster(const Context& context, std::shared_ptr<const ClusterSpec> spec);
  // Waiting leases fail, streams in use are reset, connections close.
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  // New endpoints or new configuration of the same cluster. Pools of hosts that stay are kept while the configuration's
  // hash is the same (a new TransportFactory serves new connections only); the others finish what they have.
  void Adopt(std::shared_ptr<const ClusterSpec> spec);

  Pick Choose(const LoadContext& context);
  // Never null. May call `events` before it returns.
  std::unique_ptr<HttpLease> LeaseHttp(const Pick& pick, const HttpLeaseOptions& options, HttpLeaseEvents* events);
  // Null when the limit on connections refuses (kOverflow), otherwise connecting: `events` are the Connection's, from
  // OnConnected to OnClosed. Tells outlier detection of the connection by itself.
  std::unique_ptr<TcpLease> ConnectTcp(const Pick& pick, const TcpOptions& options, net::ConnectionEvents* events,
                                       LeaseFailure* failure);

  // HTTP only: how an attempt ended. Feeds outlier detection and the host's counters.
  void Report(const std::shared_ptr<HostState>& host, const Result& result);
  // Counts a response head: upstream_rq_<code>, _<n>xx, _completed; or retry.upstream_rq_* when it is dropped for a retry.
  void CountResponse(int status, bool retried);
  // Asks the breaker for one more retry. Empty = refused and counted.
  RetryPermit AcquireRetry(Priority priority);

  const ClusterSpec& spec() const { return *spec_; }
  const config::Cluster& config() const { return *spec_->config; }
  const std::string& name() const { return spec_->config->name; }
  // Ids for what only the forwarder knows: timeouts, retries, resets.
  const ClusterStats& stats() const { return *spec_->stats; }
  stats::Sheet& sheet() const { return context_.sheet; }

  // Graceful end of the process or of the cluster: idle connections close, busy ones after their last stream.
  void Drain();
  size_t open_connections() const;
};

}  // namespace heddle::upstream
