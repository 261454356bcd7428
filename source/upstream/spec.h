// A cluster at one moment, immutable and shared by all workers: configuration, endpoints,
// transports, and pointers to what is counted together. Made on the main thread (builder.h),
// adopted by each worker's Cluster (cluster.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "source/config/cluster.h"
#include "source/net/transport.h"
#include "source/upstream/cluster_stats.h"
#include "source/upstream/endpoint.h"
#include "source/upstream/limits.h"

namespace heddle::upstream {

// Which rule of outlier detection spoke. The order is that of the table in outlier.cc.
enum class Ejection : uint8_t {
  kConsecutive5xx,
  kConsecutiveGateway,
  kConsecutiveLocal,
  kSuccessRate,
  kSuccessRateLocal,
  kFailurePercentage,
  kFailurePercentageLocal,
};

// What workers and the main thread share for the whole life of a cluster, whatever its specs
// become.
struct SharedCluster {
  SharedLimits limits;
  // Raised after any HostState::ejected of this cluster changed: workers then choose from fresh
  // lists.
  std::atomic<uint64_t> generation{0};
  // Any worker, when a run of failures reached its threshold. Posts to the main thread; null
  // without outlier detection. Set before the first spec is handed out, never changed.
  std::function<void(const std::shared_ptr<HostState>& host, Ejection type)> on_failure_run;
};

struct Locality {
  std::string region, zone, sub_zone;
  uint32_t priority = 0;
  uint32_t weight = 0;
};

// One endpoint of one assignment.
struct Host {
  std::shared_ptr<HostState> state;
  uint32_t weight = 1;
  config::Health health = config::Health::kHealthy;
  uint32_t priority = 0;
  uint32_t locality = 0;   // index into ClusterSpec::localities
  uint16_t transport = 0;  // index into ClusterSpec::transports
  config::Metadata metadata;
};

// Factories in the order of config::Cluster: [0] for `transport`, [1 + i] for transport_matches[i].
// Null = plain text.
using Transports = std::vector<std::shared_ptr<const net::TransportFactory>>;

struct ClusterSpec {
  std::shared_ptr<const config::Cluster> config;  // never null
  std::vector<Locality> localities;
  std::vector<Host> hosts;
  uint32_t overprovisioning_factor = 140;
  Transports transports;
  std::shared_ptr<SharedCluster> shared;
  std::shared_ptr<const ClusterStats> stats;
};

// Index into Transports of the first transport_socket_match that fits the endpoint's metadata, else
// 0.
uint16_t TransportOf(const config::Cluster& cluster, const config::Metadata& endpoint);

}  // namespace heddle::upstream
