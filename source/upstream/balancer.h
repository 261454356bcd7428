// Which endpoint is next: priorities, panic, then the cluster's algorithm. One per worker and cluster; no I/O, chance
// is handed in.
//
//   Balancer balancer(random);
//   balancer.Reset(spec);                       // new spec, or SharedCluster::generation moved
//   const Host* host = balancer.Choose({.hash = h});
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "source/base/clock.h"
#include "source/upstream/spec.h"

namespace heddle::upstream {

// Shares of the traffic by priority, in percent, and what is in panic (proxy_semantics.md 2.6).
struct PriorityCounts {
  uint32_t total = 0, healthy = 0, degraded = 0;
};
struct PriorityLoad {
  std::vector<uint32_t> healthy, degraded;  // percent; together 100 unless nothing can be chosen
  std::vector<bool> panic;
};
PriorityLoad ComputeLoad(absl::Span<const PriorityCounts> priorities, uint32_t overprovisioning_factor,
                         uint32_t panic_percent);

// Chooses among a fixed list; see balancer.cc for the five.
class Picker;

class Balancer {
 public:
  struct Context {
    std::optional<uint64_t> hash;
    absl::Span<const HostState* const> avoid;
    uint32_t avoid_attempts = 1;
  };
  struct Choice {
    const Host* host = nullptr;  // null: nothing to choose from; belongs to the spec
    bool panic = false;
  };

  explicit Balancer(base::Random& random);
  ~Balancer();
  // Takes the hosts' health and ejection as they are now. The spec must stay until the next Reset.
  void Reset(const ClusterSpec& spec);
  Choice Choose(const Context& context);

 private:
  struct Level;  // one priority
  Choice ChooseOnce(const Context& context, uint64_t hash, uint32_t attempt);

  base::Random& random_;
  const ClusterSpec* spec_ = nullptr;
  PriorityLoad load_;
  std::vector<std::unique_ptr<Level>> levels_;
};

}  // namespace heddle::upstream
