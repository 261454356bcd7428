// The ids the request path counts by, fixed when a listener's configuration is built on the main
// thread. Names are Envoy's with the variable parts moved into tags (proxy_semantics.md 2.8). Each
// struct keeps the scope its ids live in.
#pragma once

#include <array>
#include <memory>

#include "absl/strings/string_view.h"
#include "source/stats/stats.h"

namespace heddle::proxy {

struct HttpStats {
  // Tag envoy_http_conn_manager_prefix = stat_prefix.
  static HttpStats Make(stats::Registry& registry, absl::string_view stat_prefix);
  using C = stats::CounterId;
  C cx_total, cx_http1, cx_http2, cx_destroy, cx_destroy_local, cx_destroy_remote, cx_idle_timeout,
      cx_max_duration, cx_protocol_error, cx_drain_close, cx_ssl, cx_rx_bytes, cx_tx_bytes;
  stats::GaugeId cx_active, cx_ssl_active;
  C rq_total, rq_http1, rq_http2, rq_completed, rq_rx_reset, rq_tx_reset, rq_idle_timeout,
      rq_timeout, rq_header_timeout, rq_max_duration, rq_ws_on_non_ws_route, rq_too_large,
      paused_reading, resumed_reading, no_route, no_cluster, rbac_denied;
  std::array<C, 6> rq_xx;  // by status / 100; [0] unused
  stats::GaugeId rq_active;
  stats::HistogramId cx_length, rq_time;
  std::shared_ptr<stats::Scope> scope;
};

struct TcpStats {
  static TcpStats Make(stats::Registry& registry,
                       absl::string_view stat_prefix);  // tag envoy_tcp_prefix
  stats::CounterId cx_total, cx_no_route, rx_bytes, tx_bytes, idle_timeout, max_duration,
      upstream_flush_total;
  stats::GaugeId cx_active;
  std::shared_ptr<stats::Scope> scope;
};

struct ListenerStats {
  static ListenerStats Make(stats::Registry& registry,
                            absl::string_view address);  // tag envoy_listener_address
  stats::CounterId cx_total, cx_destroy, cx_overflow, no_filter_chain_match, policy_denied,
      pre_cx_timeout;
  stats::GaugeId cx_active, pre_cx_active;
  stats::HistogramId cx_length;
  std::shared_ptr<stats::Scope> scope;
};

}  // namespace heddle::proxy
