// One upstream host as every worker sees it, and its cluster's shared counters. Shared between
// workers: atomics only.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "source/config/cluster.h"
#include "source/net/address.h"

namespace heddle::upstream {

// Lives as long as any spec, pool or pick names it; keeps its counters across updates that keep the
// address and the host name.
struct HostState {
  explicit HostState(net::Address a, std::string name = "")
      : address(std::move(a)), address_text(address.ToString()), hostname(std::move(name)) {}
  const net::Address address;
  const std::string address_text;  // address.ToString(), made once
  const std::string
      hostname;  // STRICT_DNS name or LbEndpoint.hostname (auto_host_rewrite); may be empty
  std::atomic<uint32_t> active_requests{0};  // all workers
  std::atomic<uint32_t> active_connections{0};
  std::atomic<bool> ejected{false};  // by outlier detection; see SharedCluster::generation
  std::atomic<uint64_t> total_requests{0}, total_errors{0}, total_successes{0}, total_timeouts{0},
      connect_failures{0}, total_connections{0};
  // Runs of failures (outlier detection); workers count, OutlierDetector (main thread) ejects.
  std::atomic<uint32_t> consecutive_5xx{0}, consecutive_gateway{0}, consecutive_local{0};
  // Current interval's bucket for success rate and failure percentage: [0] external, [1] local
  // origin.
  std::atomic<uint32_t> bucket_success[2] = {}, bucket_total[2] = {};
};

// How one attempt ended, for outlier detection. Overflow
// is never reported.
struct Result {
  enum class Kind : uint8_t {
    kHttp,            // a response head came; `status`
    kConnectSuccess,  // HTTP: a stream was opened, the response is still to come. Ignored unless
                      // split.
    kConnectDone,     // TCP: the connection is up and that is all we will know
    kConnectFailed,   // no connection, or TLS failed
    kTimeout,         // per-try or global timeout
    kReset,           // reset or closed before the response was complete
  };
  Kind kind = Kind::kHttp;
  int status = 200;  // kHttp; gRPC status in the head already mapped to HTTP
};

}  // namespace heddle::upstream
