#include "source/upstream/cluster_stats.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace heddle::upstream {
namespace {

// In the order of upstream::Ejection.
constexpr absl::string_view kEjectionNames[] = {
    "consecutive_5xx",
    "consecutive_gateway_failure",
    "consecutive_local_origin_failure",
    "success_rate",
    "local_origin_success_rate",
    "failure_percentage",
    "local_origin_failure_percentage",
};

void CreateConnectionStats(stats::Scope& scope, ClusterStats* s) {
  s->cx_total = scope.Counter("cluster.upstream_cx_total");
  s->cx_http1_total = scope.Counter("cluster.upstream_cx_http1_total");
  s->cx_http2_total = scope.Counter("cluster.upstream_cx_http2_total");
  s->cx_connect_fail = scope.Counter("cluster.upstream_cx_connect_fail");
  s->cx_connect_timeout = scope.Counter("cluster.upstream_cx_connect_timeout");
  s->cx_overflow = scope.Counter("cluster.upstream_cx_overflow");
  s->cx_pool_overflow = scope.Counter("cluster.upstream_cx_pool_overflow");
  s->cx_idle_timeout = scope.Counter("cluster.upstream_cx_idle_timeout");
  s->cx_destroy = scope.Counter("cluster.upstream_cx_destroy");
  s->cx_destroy_local = scope.Counter("cluster.upstream_cx_destroy_local");
  s->cx_destroy_remote = scope.Counter("cluster.upstream_cx_destroy_remote");
  s->cx_destroy_with_active_rq = scope.Counter("cluster.upstream_cx_destroy_with_active_rq");
  s->cx_destroy_local_with_active_rq =
      scope.Counter("cluster.upstream_cx_destroy_local_with_active_rq");
  s->cx_destroy_remote_with_active_rq =
      scope.Counter("cluster.upstream_cx_destroy_remote_with_active_rq");
  s->cx_close_notify = scope.Counter("cluster.upstream_cx_close_notify");
  s->cx_max_requests = scope.Counter("cluster.upstream_cx_max_requests");
  s->cx_max_duration_reached = scope.Counter("cluster.upstream_cx_max_duration_reached");
  s->cx_protocol_error = scope.Counter("cluster.upstream_cx_protocol_error");
  s->cx_rx_bytes_total = scope.Counter("cluster.upstream_cx_rx_bytes_total");
  s->cx_tx_bytes_total = scope.Counter("cluster.upstream_cx_tx_bytes_total");
  s->cx_none_healthy = scope.Counter("cluster.upstream_cx_none_healthy");
  s->cx_active = scope.Gauge("cluster.upstream_cx_active");
  s->cx_connect_ms = scope.Histogram("cluster.upstream_cx_connect_ms", stats::Unit::kMicroseconds);
  s->cx_length_ms = scope.Histogram("cluster.upstream_cx_length_ms", stats::Unit::kMicroseconds);
}

void CreateRequestStats(stats::Scope& scope, ClusterStats* s) {
  s->rq_total = scope.Counter("cluster.upstream_rq_total");
  s->rq_pending_total = scope.Counter("cluster.upstream_rq_pending_total");
  s->rq_pending_overflow = scope.Counter("cluster.upstream_rq_pending_overflow");
  s->rq_pending_failure_eject = scope.Counter("cluster.upstream_rq_pending_failure_eject");
  s->rq_completed = scope.Counter("cluster.upstream_rq_completed");
  s->rq_active = scope.Gauge("cluster.upstream_rq_active");
  s->rq_pending_active = scope.Gauge("cluster.upstream_rq_pending_active");
  s->rq_timeout = scope.Counter("cluster.upstream_rq_timeout");
  s->rq_per_try_timeout = scope.Counter("cluster.upstream_rq_per_try_timeout");
  s->rq_cancelled = scope.Counter("cluster.upstream_rq_cancelled");
  s->rq_maintenance_mode = scope.Counter("cluster.upstream_rq_maintenance_mode");
  s->rq_rx_reset = scope.Counter("cluster.upstream_rq_rx_reset");
  s->rq_tx_reset = scope.Counter("cluster.upstream_rq_tx_reset");
  s->rq_retry = scope.Counter("cluster.upstream_rq_retry");
  s->rq_retry_success = scope.Counter("cluster.upstream_rq_retry_success");
  s->rq_retry_overflow = scope.Counter("cluster.upstream_rq_retry_overflow");
  s->rq_retry_limit_exceeded = scope.Counter("cluster.upstream_rq_retry_limit_exceeded");
  s->rq_retry_backoff_exponential = scope.Counter("cluster.upstream_rq_retry_backoff_exponential");
  s->rq_retry_backoff_ratelimited = scope.Counter("cluster.upstream_rq_retry_backoff_ratelimited");
  s->rq_max_duration_reached = scope.Counter("cluster.upstream_rq_max_duration_reached");
  s->retry_or_shadow_abandoned = scope.Counter("cluster.retry_or_shadow_abandoned");
  s->rq_time = scope.Histogram("cluster.upstream_rq_time", stats::Unit::kMicroseconds);
  for (int i = 1; i <= 5; ++i) {
    const stats::Tags tag = {{"envoy_response_code_class", std::to_string(i)}};
    s->rq_xx[i] = scope.Counter("cluster.upstream_rq_xx", tag);
    s->retry_rq_xx[i] = scope.Counter("cluster.retry.upstream_rq_xx", tag);
  }
  for (size_t i = 0; i < kCountedCodeCount; ++i) {
    const stats::Tags tag = {{"envoy_response_code", std::to_string(kCountedCodes[i])}};
    s->rq_code[i] = scope.Counter("cluster.upstream_rq", tag);
    s->retry_rq_code[i] = scope.Counter("cluster.retry.upstream_rq", tag);
  }
}

void CreateHealthStats(stats::Scope& scope, ClusterStats* s) {
  s->lb_healthy_panic = scope.Counter("cluster.lb_healthy_panic");
  s->membership_change = scope.Counter("cluster.membership_change");
  s->update_attempt = scope.Counter("cluster.update_attempt");
  s->update_success = scope.Counter("cluster.update_success");
  s->update_failure = scope.Counter("cluster.update_failure");
  s->update_empty = scope.Counter("cluster.update_empty");
  s->update_no_rebuild = scope.Counter("cluster.update_no_rebuild");
  s->init_fetch_timeout = scope.Counter("cluster.init_fetch_timeout");
  s->original_dst_host_invalid = scope.Counter("cluster.original_dst_host_invalid");
  s->membership_total = scope.Gauge("cluster.membership_total");
  s->membership_healthy = scope.Gauge("cluster.membership_healthy");
  s->membership_degraded = scope.Gauge("cluster.membership_degraded");
  s->max_host_weight = scope.Gauge("cluster.max_host_weight");
  for (size_t i = 0; i < s->ejections_detected.size(); ++i) {
    const absl::string_view name = kEjectionNames[i];
    s->ejections_detected[i] =
        scope.Counter(absl::StrCat("cluster.outlier_detection.ejections_detected_", name));
    s->ejections_enforced[i] =
        scope.Counter(absl::StrCat("cluster.outlier_detection.ejections_enforced_", name));
  }
  s->ejections_enforced_total = scope.Counter("cluster.outlier_detection.ejections_enforced_total");
  s->ejections_overflow = scope.Counter("cluster.outlier_detection.ejections_overflow");
  s->ejections_active = scope.Gauge("cluster.outlier_detection.ejections_active");
  constexpr absl::string_view kPriorityNames[] = {"default", "high"};
  for (size_t i = 0; i < 2; ++i) {
    const std::string at = absl::StrCat("cluster.circuit_breakers.", kPriorityNames[i], ".");
    s->cx_open[i] = scope.Gauge(absl::StrCat(at, "cx_open"));
    s->rq_pending_open[i] = scope.Gauge(absl::StrCat(at, "rq_pending_open"));
    s->rq_open[i] = scope.Gauge(absl::StrCat(at, "rq_open"));
    s->rq_retry_open[i] = scope.Gauge(absl::StrCat(at, "rq_retry_open"));
  }
}

}  // namespace

std::shared_ptr<const ClusterStats> ClusterStats::Create(stats::Registry& registry,
                                                         absl::string_view cluster) {
  auto stats = std::make_shared<ClusterStats>();
  stats->scope = registry.MakeScope({{"envoy_cluster_name", std::string(cluster)}});
  CreateConnectionStats(*stats->scope, stats.get());
  CreateRequestStats(*stats->scope, stats.get());
  CreateHealthStats(*stats->scope, stats.get());
  return stats;
}

int ClusterStats::CodeIndex(int status) {
  // Index by status; built once, 500 bytes.
  static const auto* const table = [] {
    auto* t = new std::array<int8_t, 500>;
    t->fill(-1);
    for (size_t i = 0; i < kCountedCodeCount; ++i)
      (*t)[static_cast<size_t>(kCountedCodes[i] - 100)] = static_cast<int8_t>(i);
    return t;
  }();
  return status < 100 || status > 599 ? -1 : (*table)[static_cast<size_t>(status - 100)];
}

}  // namespace heddle::upstream
