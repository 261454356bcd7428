#include "source/proxy/proxy_stats.h"

#include <string>

namespace heddle::proxy {

HttpStats HttpStats::Make(stats::Registry& registry, absl::string_view stat_prefix) {
  HttpStats s;
  s.scope = registry.MakeScope({{"envoy_http_conn_manager_prefix", std::string(stat_prefix)}});
  const auto counter = [&s](const char* name) {
    return s.scope->Counter(std::string("http.downstream_") + name);
  };
  const auto gauge = [&s](const char* name) {
    return s.scope->Gauge(std::string("http.downstream_") + name);
  };
  s.cx_total = counter("cx_total");
  s.cx_http1 = counter("cx_http1_total");
  s.cx_http2 = counter("cx_http2_total");
  s.cx_destroy = counter("cx_destroy");
  s.cx_destroy_local = counter("cx_destroy_local");
  s.cx_destroy_remote = counter("cx_destroy_remote");
  s.cx_idle_timeout = counter("cx_idle_timeout");
  s.cx_max_duration = counter("cx_max_duration_reached");
  s.cx_protocol_error = counter("cx_protocol_error");
  s.cx_drain_close = counter("cx_drain_close");
  s.cx_ssl = counter("cx_ssl_total");
  s.cx_rx_bytes = counter("cx_rx_bytes_total");
  s.cx_tx_bytes = counter("cx_tx_bytes_total");
  s.cx_active = gauge("cx_active");
  s.cx_ssl_active = gauge("cx_ssl_active");
  s.rq_total = counter("rq_total");
  s.rq_http1 = counter("rq_http1_total");
  s.rq_http2 = counter("rq_http2_total");
  s.rq_completed = counter("rq_completed");
  s.rq_rx_reset = counter("rq_rx_reset");
  s.rq_tx_reset = counter("rq_tx_reset");
  s.rq_idle_timeout = counter("rq_idle_timeout");
  s.rq_timeout = counter("rq_timeout");
  s.rq_header_timeout = counter("rq_header_timeout");
  s.rq_max_duration = counter("rq_max_duration_reached");
  s.rq_ws_on_non_ws_route = counter("rq_ws_on_non_ws_route");
  s.rq_too_large = counter("rq_too_large");
  s.paused_reading = counter("flow_control_paused_reading_total");
  s.resumed_reading = counter("flow_control_resumed_reading_total");
  s.no_route = s.scope->Counter("http.no_route");
  s.no_cluster = s.scope->Counter("http.no_cluster");
  s.rbac_denied = s.scope->Counter("http.rbac.denied");
  for (size_t i = 1; i < s.rq_xx.size(); ++i) {
    s.rq_xx[i] = s.scope->Counter("http.downstream_rq_xx",
                                  {{"envoy_response_code_class", std::to_string(i)}});
  }
  s.rq_active = gauge("rq_active");
  s.cx_length = s.scope->Histogram("http.downstream_cx_length_ms", stats::Unit::kMicroseconds);
  s.rq_time = s.scope->Histogram("http.downstream_rq_time", stats::Unit::kMicroseconds);
  return s;
}

TcpStats TcpStats::Make(stats::Registry& registry, absl::string_view stat_prefix) {
  TcpStats s;
  s.scope = registry.MakeScope({{"envoy_tcp_prefix", std::string(stat_prefix)}});
  s.cx_total = s.scope->Counter("tcp.downstream_cx_total");
  s.cx_no_route = s.scope->Counter("tcp.downstream_cx_no_route");
  s.rx_bytes = s.scope->Counter("tcp.downstream_cx_rx_bytes_total");
  s.tx_bytes = s.scope->Counter("tcp.downstream_cx_tx_bytes_total");
  s.idle_timeout = s.scope->Counter("tcp.idle_timeout");
  s.max_duration = s.scope->Counter("tcp.max_downstream_connection_duration");
  s.upstream_flush_total = s.scope->Counter("tcp.upstream_flush_total");
  s.cx_active = s.scope->Gauge("tcp.downstream_cx_active");
  return s;
}

ListenerStats ListenerStats::Make(stats::Registry& registry, absl::string_view address) {
  ListenerStats s;
  s.scope = registry.MakeScope({{"envoy_listener_address", std::string(address)}});
  s.cx_total = s.scope->Counter("listener.downstream_cx_total");
  s.cx_destroy = s.scope->Counter("listener.downstream_cx_destroy");
  s.cx_overflow = s.scope->Counter("listener.downstream_cx_overflow");
  s.no_filter_chain_match = s.scope->Counter("listener.no_filter_chain_match");
  s.policy_denied = s.scope->Counter("listener.network_policy_denied");
  s.pre_cx_timeout = s.scope->Counter("listener.downstream_pre_cx_timeout");
  s.cx_active = s.scope->Gauge("listener.downstream_cx_active");
  s.pre_cx_active = s.scope->Gauge("listener.downstream_pre_cx_active");
  s.cx_length = s.scope->Histogram("listener.downstream_cx_length_ms", stats::Unit::kMicroseconds);
  return s;
}

}  // namespace heddle::proxy
