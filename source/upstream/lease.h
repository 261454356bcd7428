// The right to one upstream HTTP stream: what Cluster::LeaseHttp gives.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/strings/string_view.h"
#include "source/config/cluster.h"
#include "source/http/codec.h"
#include "source/net/connection.h"
#include "source/upstream/limits.h"

namespace heddle::upstream {

// Why a lease failed. kOverflow: a circuit breaker (never retried, never reported to outlier
// detection); the others are `connect-failure` to a retry policy and Report(kConnectFailed) to
// outlier detection.
enum class LeaseFailure : uint8_t { kOverflow, kConnectFailed, kConnectTimeout, kTransportFailed };

// A stream may be opened: codec->NewStream() succeeds now.
struct LeaseGrant {
  http::ClientCodec* codec;
  net::Connection* connection;  // addresses, TLS facts, back-pressure
  // The connection has carried a request before. A reset (kConnectionClosed) before any byte of the
  // response then probably is the race with the upstream's idle timeout: safe to count as
  // reset-before-request.
  bool reused;
};

// Told how a lease for an HTTP stream goes on. Exactly one of the two, perhaps before LeaseHttp has
// returned.
class HttpLeaseEvents {
 public:
  virtual ~HttpLeaseEvents() = default;
  // Open the stream from inside the call (or give the lease back).
  virtual void OnLeaseReady(const LeaseGrant& grant) = 0;
  // `transport_reason` is for %UPSTREAM_TRANSPORT_FAILURE_REASON%, often empty. The lease is dead:
  // destroy it.
  virtual void OnLeaseFailed(LeaseFailure failure, absl::string_view transport_reason) = 0;
};

// The right to one upstream stream, waiting or in use. Destroying it gives back what it holds: a
// waiting lease leaves the queue, a used one returns the stream (its owner reset it before, or it
// had ended both ways). Destroy it only on its worker's thread; inside any event is fine. Its
// memory comes from a free list.
class HttpLease {
 public:
  virtual ~HttpLease() = default;
  // Call after ClientStream::SetReading: the connection's reading follows
  // ClientCodec::wants_input(). (HTTP/2 has windows: there it does nothing.)
  virtual void UpdateReading() = 0;
};

struct HttpLeaseOptions {
  Priority priority = Priority::kDefault;
  http::Protocol downstream =
      http::Protocol::kHttp11;  // the client's; counts for UpstreamHttp::Kind::kDownstream
  absl::string_view sni;        // auto_sni: host of :authority without port; else empty
};

// Makes the codec of one upstream connection; handed in so that tests can give their own.
using MakeCodec = std::unique_ptr<http::ClientCodec> (*)(http::Protocol protocol,
                                                         const config::Cluster& config,
                                                         net::Connection& connection,
                                                         http::ClientEvents* events);

}  // namespace heddle::upstream
