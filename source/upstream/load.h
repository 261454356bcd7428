// How traffic is spread over priorities, as a pure function (Envoy:
// load_balancer_context_base and docs "priority levels").
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace heddle::upstream {

struct PriorityCounts {
  uint32_t total = 0, healthy = 0, degraded = 0;
};

struct PriorityLoad {
  // Percent of the traffic, by priority. The two add up to 100, or to 0 when there is no host at
  // all.
  std::vector<uint32_t> healthy, degraded;
  std::vector<bool> panic;  // this priority chooses among all its hosts
};

// `overprovisioning` 140 means: a priority carries everything while 1/1.4 of it is available.
// `panic_percent` 0 turns panic off.
PriorityLoad ComputeLoad(absl::Span<const PriorityCounts> priorities, uint32_t overprovisioning,
                         uint32_t panic_percent);

struct PriorityChoice {
  uint32_t priority = 0;
  bool degraded = false;
};

// Where a number in 0..99 falls.
PriorityChoice ChoosePriority(const PriorityLoad& load, uint32_t roll);

}  // namespace heddle::upstream
