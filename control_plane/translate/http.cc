#include "control_plane/translate/http.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "control_plane/translate/cluster.h"
#include "control_plane/translate/encode.h"
#include "control_plane/translate/routes.h"
#include "control_plane/translate/tls.h"
#include "envoy/config/listener/v3/listener_components.pb.h"
#include "envoy/config/trace/v3/opentelemetry.pb.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "envoy/extensions/access_loggers/stream/v3/stream.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"

namespace heddle::translate {
namespace {

namespace accesslog = ::envoy::config::accesslog::v3;
namespace core = ::envoy::config::core::v3;
namespace hcm = ::envoy::extensions::filters::network::http_connection_manager::v3;
namespace listener = ::envoy::config::listener::v3;
using hcm::HttpConnectionManager;

const std::map<std::string, std::string>& DefaultJsonFields() {
  static const auto* const kFields = new std::map<std::string, std::string>{
      {"authority", "%REQ(:AUTHORITY)%"},
      {"bytes_received", "%BYTES_RECEIVED%"},
      {"bytes_sent", "%BYTES_SENT%"},
      {"duration", "%DURATION%"},
      {"method", "%REQ(:METHOD)%"},
      {"path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"},
      {"peer", "%DOWNSTREAM_PEER_URI_SAN%"},
      {"protocol", "%PROTOCOL%"},
      {"request_id", "%REQ(X-REQUEST-ID)%"},
      {"response_code", "%RESPONSE_CODE%"},
      {"response_code_details", "%RESPONSE_CODE_DETAILS%"},
      {"response_flags", "%RESPONSE_FLAGS%"},
      {"start_time", "%START_TIME%"},
      {"upstream_cluster", "%UPSTREAM_CLUSTER%"},
      {"upstream_host", "%UPSTREAM_HOST%"},
      {"user_agent", "%REQ(USER-AGENT)%"},
  };
  return *kFields;
}

// False: the default format.
bool SetFormat(const model::AccessLogSettings& in, core::SubstitutionFormatString* out) {
  if (in.json) {
    auto& fields = *out->mutable_json_format()->mutable_fields();
    for (const auto& [name, format] : in.json_fields.empty() ? DefaultJsonFields() : in.json_fields)
      fields[name].set_string_value(format);
    return true;
  }
  if (in.text.empty()) return false;
  out->mutable_text_format_source()->set_inline_string(in.text);
  return true;
}

// To anything that has access_log.
template <typename Message>
void AddAccessLog(const Reporter& reporter, Message* out) {
  if (!reporter.mesh.access_log.has_value()) return;
  const model::AccessLogSettings& in = *reporter.mesh.access_log;
  accesslog::AccessLog* const log = out->add_access_log();
  core::SubstitutionFormatString format;
  const bool own_format = SetFormat(in, &format);
  if (in.path.empty()) {
    ::envoy::extensions::access_loggers::stream::v3::StdoutAccessLog sink;
    if (own_format) *sink.mutable_log_format() = std::move(format);
    log->set_name("envoy.access_loggers.stdout");
    Pack(sink, log->mutable_typed_config());
    return;
  }
  ::envoy::extensions::access_loggers::file::v3::FileAccessLog sink;
  sink.set_path(absl::StrReplaceAll(
      in.path, {{"{namespace}", reporter.workload.ns}, {"{workload}", reporter.workload.name}}));
  if (own_format) *sink.mutable_log_format() = std::move(format);
  log->set_name("envoy.access_loggers.file");
  Pack(sink, log->mutable_typed_config());
}

void SetTracing(const Reporter& reporter, HttpConnectionManager* out) {
  const std::optional<std::string> to = SpanClusterName(reporter.mesh);
  if (!to.has_value() || !reporter.mesh.tracing.has_value()) return;
  HttpConnectionManager::Tracing* const tracing = out->mutable_tracing();
  tracing->mutable_client_sampling()->set_value(100);
  tracing->mutable_random_sampling()->set_value(reporter.mesh.tracing->sampling_percent);
  tracing->mutable_overall_sampling()->set_value(100);
  ::envoy::config::trace::v3::OpenTelemetryConfig otel;
  otel.mutable_grpc_service()->mutable_envoy_grpc()->set_cluster_name(*to);
  Set(otel.mutable_grpc_service()->mutable_timeout(), absl::Seconds(1));
  otel.set_service_name(reporter.service_name);
  tracing->mutable_provider()->set_name("envoy.tracers.opentelemetry");
  Pack(otel, tracing->mutable_provider()->mutable_typed_config());
}

// What both sides share. The sidecar shall not be seen: it keeps `server` and requests as they are.
HttpConnectionManager Manager(const Reporter& reporter, std::string stat_prefix) {
  HttpConnectionManager out;
  out.set_stat_prefix(std::move(stat_prefix));
  out.set_codec_type(HttpConnectionManager::AUTO);
  out.set_server_header_transformation(HttpConnectionManager::PASS_THROUGH);
  out.mutable_normalize_path()->set_value(true);
  out.add_upgrade_configs()->set_upgrade_type("websocket");
  AddAccessLog(reporter, &out);
  SetTracing(reporter, &out);
  return out;
}

void AddFilter(const std::string& name, const google::protobuf::Message& config,
               listener::FilterChain* out) {
  listener::Filter* const filter = out->add_filters();
  filter->set_name(name);
  Pack(config, filter->mutable_typed_config());
}

void Finish(HttpConnectionManager manager, listener::FilterChain* out) {
  hcm::HttpFilter* const router = manager.add_http_filters();
  router->set_name("envoy.filters.http.router");
  Pack(::envoy::extensions::filters::http::router::v3::Router(), router->mutable_typed_config());
  AddFilter("envoy.filters.network.http_connection_manager", manager, out);
}

}  // namespace

void AddOutboundHttp(const Reporter& reporter, const std::string& route_config,
                     listener::FilterChain* out) {
  HttpConnectionManager manager = Manager(reporter, route_config);
  SetAds(manager.mutable_rds()->mutable_config_source());
  manager.mutable_rds()->set_route_config_name(route_config);
  manager.set_forward_client_cert_details(HttpConnectionManager::SANITIZE);
  Finish(std::move(manager), out);
}

void AddInboundHttp(const Reporter& reporter, uint16_t port, const Policies& policies,
                    listener::FilterChain* out) {
  HttpConnectionManager manager = Manager(reporter, absl::StrCat("inbound_", port));
  *manager.mutable_route_config() = InboundRouteConfiguration(port);
  // The caller's side watches idle streams; this is for callers without a sidecar.
  Set(manager.mutable_stream_idle_timeout(), absl::Hours(1));
  Set(manager.mutable_request_headers_timeout(), absl::Minutes(1));
  manager.set_forward_client_cert_details(HttpConnectionManager::SANITIZE_SET);
  manager.mutable_set_current_client_cert_details()->set_uri(true);
  // A rule about "/a/b" must see through "/a//b".
  manager.set_merge_slashes(!policies.empty());
  AddHttpRbac(reporter.mesh, policies, &manager);
  Finish(std::move(manager), out);
}

void AddTcpProxy(const Reporter& reporter, const std::string& stat_prefix,
                 const std::string& cluster, listener::FilterChain* out) {
  ::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy proxy;
  proxy.set_stat_prefix(stat_prefix);
  proxy.set_cluster(cluster);
  AddAccessLog(reporter, &proxy);
  AddFilter("envoy.filters.network.tcp_proxy", proxy, out);
}

}  // namespace heddle::translate
