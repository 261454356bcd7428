// The counters, gauges and histograms of one cluster, named as Envoy's `cluster.<name>.*` with the
// name as a label.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/strings/string_view.h"
#include "source/stats/stats.h"

namespace heddle::upstream {

// Response codes that have a counter of their own; the others count in their class only.
inline constexpr int kCountedCodes[] = {200, 201, 202, 204, 206, 301, 302, 304, 307, 308,
                                        400, 401, 403, 404, 405, 408, 409, 412, 413, 415,
                                        422, 425, 426, 429, 431, 500, 501, 502, 503, 504};
inline constexpr size_t kCountedCodeCount = sizeof(kCountedCodes) / sizeof(kCountedCodes[0]);

struct ClusterStats {
  // Main thread. `cluster` is alt_stat_name or the name.
  static std::shared_ptr<const ClusterStats> Create(stats::Registry& registry,
                                                    absl::string_view cluster);

  std::unique_ptr<stats::Scope> scope;
  using C = stats::CounterId;
  using G = stats::GaugeId;
  // Connections.
  C cx_total, cx_http1_total, cx_http2_total, cx_connect_fail, cx_connect_timeout, cx_overflow,
      cx_pool_overflow, cx_idle_timeout, cx_destroy, cx_destroy_local, cx_destroy_remote,
      cx_destroy_with_active_rq, cx_destroy_local_with_active_rq, cx_destroy_remote_with_active_rq,
      cx_close_notify, cx_max_requests, cx_max_duration_reached, cx_protocol_error,
      cx_rx_bytes_total, cx_tx_bytes_total, cx_none_healthy;
  G cx_active;
  stats::HistogramId cx_connect_ms, cx_length_ms;
  // Requests: the pool counts these.
  C rq_total, rq_pending_total, rq_pending_overflow, rq_pending_failure_eject, rq_completed;
  G rq_active, rq_pending_active;
  // Requests: the forwarder counts these.
  C rq_timeout, rq_per_try_timeout, rq_cancelled, rq_maintenance_mode, rq_rx_reset, rq_tx_reset,
      rq_retry, rq_retry_success, rq_retry_overflow, rq_retry_limit_exceeded,
      rq_retry_backoff_exponential, rq_retry_backoff_ratelimited, rq_max_duration_reached,
      retry_or_shadow_abandoned;
  stats::HistogramId rq_time;           // microseconds
  std::array<C, 6> rq_xx, retry_rq_xx;  // [1] .. [5]: by status / 100
  std::array<C, kCountedCodeCount> rq_code, retry_rq_code;
  // Balancing and membership.
  C lb_healthy_panic, membership_change, update_success, update_failure, update_attempt,
      update_empty, update_no_rebuild, init_fetch_timeout, original_dst_host_invalid;
  G membership_total, membership_healthy, membership_degraded, max_host_weight;
  // Outlier detection, by Ejection where there are seven.
  std::array<C, 7> ejections_detected, ejections_enforced;
  C ejections_enforced_total, ejections_overflow;
  G ejections_active;
  // Circuit breakers, [0] default and [1] high. Each worker keeps 0 or 1 for what it last saw, the
  // exporter's sum is at most the number of workers; `circuit_breakers` on the admin page says the
  // true numbers.
  std::array<G, 2> cx_open, rq_pending_open, rq_open, rq_retry_open;

  // Slot of `status` in kCountedCodes, or -1.
  static int CodeIndex(int status);
};

}  // namespace heddle::upstream
