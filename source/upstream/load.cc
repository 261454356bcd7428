#include "source/upstream/load.h"

#include <algorithm>

namespace heddle::upstream {
namespace {

// Percent of `part` in `counts`, counted up by the overprovisioning factor, at most 100.
uint32_t Availability(uint32_t part, uint32_t total, uint32_t overprovisioning) {
  if (total == 0) return 0;
  return static_cast<uint32_t>(std::min<uint64_t>(100, uint64_t{overprovisioning} * part / total));
}

bool TooFewAvailable(const PriorityCounts& counts, uint32_t panic_percent) {
  if (counts.total == 0) return panic_percent > 0;
  const double available = 100.0 * (counts.healthy + counts.degraded) / counts.total;
  return available < panic_percent;
}

// Gives each priority its part of `left`, in order. Returns what is left then.
uint32_t Spread(const std::vector<uint32_t>& availability, uint32_t sum, uint32_t left,
                std::vector<uint32_t>* load) {
  for (size_t i = 0; i < availability.size(); ++i) {
    (*load)[i] = std::min(left, availability[i] * 100 / sum);
    left -= (*load)[i];
  }
  return left;
}

// Every priority is in panic: by how many hosts each has, whatever their health.
void SpreadByHosts(absl::Span<const PriorityCounts> priorities, std::vector<uint32_t>* load) {
  uint64_t hosts = 0;
  for (const PriorityCounts& p : priorities) hosts += p.total;
  if (hosts == 0) return;
  uint32_t left = 100;
  size_t first = priorities.size();
  for (size_t i = 0; i < priorities.size(); ++i) {
    if (first == priorities.size() && priorities[i].total > 0) first = i;
    (*load)[i] = static_cast<uint32_t>(100 * uint64_t{priorities[i].total} / hosts);
    left -= (*load)[i];
  }
  (*load)[first] += left;
}

}  // namespace

PriorityLoad ComputeLoad(absl::Span<const PriorityCounts> priorities, uint32_t overprovisioning,
                         uint32_t panic_percent) {
  const size_t n = priorities.size();
  PriorityLoad load{std::vector<uint32_t>(n), std::vector<uint32_t>(n), std::vector<bool>(n)};
  std::vector<uint32_t> healthy(n), degraded(n);
  uint32_t sum = 0;
  for (size_t i = 0; i < n; ++i) {
    healthy[i] = Availability(priorities[i].healthy, priorities[i].total, overprovisioning);
    degraded[i] = Availability(priorities[i].degraded, priorities[i].total, overprovisioning);
    sum = std::min(100u, sum + healthy[i] + degraded[i]);
  }
  panic_percent = std::min(100u, panic_percent);
  bool all_panic = true;
  for (size_t i = 0; i < n; ++i) {
    load.panic[i] = sum < 100 && TooFewAvailable(priorities[i], panic_percent);
    all_panic = all_panic && load.panic[i];
  }
  if (all_panic) {
    SpreadByHosts(priorities, &load.healthy);
    return load;
  }
  if (sum == 0) return load;
  uint32_t left = Spread(healthy, sum, 100, &load.healthy);
  left = Spread(degraded, sum, left, &load.degraded);
  if (left == 0) return load;
  // Rounding: to the first that has anything.
  for (auto [availability, out] :
       {std::pair(&healthy, &load.healthy), {&degraded, &load.degraded}}) {
    for (size_t i = 0; i < n; ++i) {
      if ((*availability)[i] == 0) continue;
      (*out)[i] += left;
      return load;
    }
  }
  return load;
}

PriorityChoice ChoosePriority(const PriorityLoad& load, uint32_t roll) {
  uint32_t sum = 0;
  for (size_t i = 0; i < load.healthy.size(); ++i) {
    sum += load.healthy[i];
    if (roll < sum) return {static_cast<uint32_t>(i), false};
  }
  for (size_t i = 0; i < load.degraded.size(); ++i) {
    sum += load.degraded[i];
    if (roll < sum) return {static_cast<uint32_t>(i), true};
  }
  return {};
}

}  // namespace heddle::upstream
