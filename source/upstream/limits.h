// What one cluster has in use, over all workers, for each priority: the numbers that circuit
// breakers compare. Relaxed atomics, so a limit may be overshot by as many as there are workers, as
// in Envoy.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "source/config/cluster.h"

namespace heddle::upstream {

enum class Priority : uint8_t { kDefault, kHigh };
inline constexpr size_t kPriorities = 2;

struct Usage {
  std::atomic<uint32_t> connections{0}, pending{0}, requests{0}, retries{0};
};

// Lives as long as anybody counts in it: specs, pools, leases, retry permits.
struct SharedLimits {
  Usage usage[kPriorities];
};

inline const config::Limits& LimitsOf(const config::Cluster& cluster, Priority priority) {
  return priority == Priority::kHigh ? cluster.high_limits : cluster.limits;
}

// How many retries may be running now: max_retries, or what the budget gives of the active and
// pending requests.
inline uint32_t MaxRetries(const config::Limits& limits, const Usage& usage) {
  if (!limits.budget) return limits.max_retries;
  const double requests = static_cast<double>(usage.requests.load(std::memory_order_relaxed)) +
                          usage.pending.load(std::memory_order_relaxed);
  const double share = limits.budget->percent / 100.0 * requests;
  return std::max(static_cast<uint32_t>(share), limits.budget->min_concurrency);
}

// One retry that is scheduled or running; give it back by destroying it. Keep it from the decision
// to retry until that attempt's outcome is known.
class RetryPermit {
 public:
  RetryPermit() = default;
  RetryPermit(std::shared_ptr<SharedLimits> limits, Priority priority)
      : limits_(std::move(limits)), priority_(priority) {
    usage().retries.fetch_add(1, std::memory_order_relaxed);
  }
  RetryPermit(RetryPermit&& other) noexcept
      : limits_(std::move(other.limits_)), priority_(other.priority_) {}
  RetryPermit& operator=(RetryPermit&& other) noexcept {
    std::swap(limits_, other.limits_);
    std::swap(priority_, other.priority_);
    return *this;
  }
  ~RetryPermit() {
    if (limits_ != nullptr) usage().retries.fetch_sub(1, std::memory_order_relaxed);
  }
  // False: refused by max_retries or the budget (upstream_rq_retry_overflow, already counted), or
  // empty.
  explicit operator bool() const { return limits_ != nullptr; }

 private:
  Usage& usage() { return limits_->usage[static_cast<size_t>(priority_)]; }
  std::shared_ptr<SharedLimits> limits_;
  Priority priority_ = Priority::kDefault;
};

}  // namespace heddle::upstream
