#include "source/server/bootstrap.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "source/base/status.h"
#include "source/decode/decode.h"
#include "source/filter/catalogue/catalogue.h"
#include "source/observe/format.h"

namespace heddle::server {
namespace {

constexpr size_t kMaxBootstrapBytes = 64 * 1024 * 1024;

// $0 node id, $1 service account, $2 address, $3 intercept, $4 control host, $5 control port, $6
// control's SPIFFE id, $7 discovery of the host, $8 file of the control plane's root. JSON strings
// all, so that nothing in a flag can change the structure. Our own certificate is waited for as
// long as it takes: nothing can be asked for before it.
constexpr char kControlBootstrap[] = R"(
node: {id: $0, cluster: $1, metadata: {ADDRESS: $2, INTERCEPT: $3}}
dynamic_resources:
  ads_config:
    api_type: DELTA_GRPC
    transport_api_version: V3
    grpc_services: [{envoy_grpc: {cluster_name: xds}}]
  lds_config: {ads: {}, resource_api_version: V3}
  cds_config: {ads: {}, resource_api_version: V3}
static_resources:
  clusters:
  - name: xds
    type: $7
    connect_timeout: 5s
    load_assignment:
      cluster_name: xds
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: $4, port_value: $5}}}}]}]
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: heddle-control
        common_tls_context:
          alpn_protocols: [h2]
          tls_params: {tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3}
          tls_certificate_sds_secret_configs: [{name: default, sds_config: {ads: {}, resource_api_version: V3, initial_fetch_timeout: 0s}}]
          combined_validation_context:
            default_validation_context:
              match_typed_subject_alt_names: [{san_type: URI, matcher: {exact: $6}}]
            validation_context_sds_secret_config: {name: ROOTCA, sds_config: {ads: {}, resource_api_version: V3, initial_fetch_timeout: 0s}}
  - name: xds-first-contact
    type: $7
    connect_timeout: 5s
    load_assignment:
      cluster_name: xds-first-contact
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: $4, port_value: $5}}}}]}]
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: heddle-control
        common_tls_context:
          alpn_protocols: [h2]
          tls_params: {tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3}
          validation_context:
            trusted_ca: {filename: $8}
            match_typed_subject_alt_names: [{san_type: URI, matcher: {exact: $6}}]
)";

std::string Quoted(absl::string_view text) {
  std::string out;
  observe::AppendJsonString(text, &out);
  return out;
}

}  // namespace

std::string WorkloadUri(const Options& o) {
  return absl::StrCat("spiffe://", o.trust_domain, "/ns/", o.name_space, "/sa/", o.service_account);
}

std::string ControlUri(const Options& o) {
  return absl::StrCat("spiffe://", o.trust_domain, "/ns/heddle-system/sa/heddle-control");
}

absl::StatusOr<std::string> ReadWholeFile(const std::string& path, size_t max_bytes) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return absl::NotFoundError(absl::StrCat("cannot read ", path, ": ", std::strerror(errno)));
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.bad()) return absl::InternalError(absl::StrCat("cannot read ", path));
  if (text.size() > max_bytes)
    return absl::InvalidArgumentError(absl::StrCat(path, ": larger than ", max_bytes, " bytes"));
  return text;
}

absl::StatusOr<config::Bootstrap> LoadBootstrap(const Options& options) {
  if (!options.config_path.empty()) {
    HEDDLE_ASSIGN_OR_RETURN(const std::string text,
                            ReadWholeFile(options.config_path, kMaxBootstrapBytes));
    return decode::BootstrapFromText(text, options.config_path, filter::AllFilters());
  }
  const size_t colon = options.control.rfind(':');
  std::string host = options.control.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  const bool number = net::Address::FromIp(host, 0).ok();
  const std::string text = absl::Substitute(
      kControlBootstrap, Quoted(absl::StrCat(options.name_space, "/", options.workload)),
      Quoted(options.service_account), Quoted(options.address),
      options.intercept ? "true" : "false", Quoted(host), options.control.substr(colon + 1),
      Quoted(ControlUri(options)), number ? "STATIC" : "STRICT_DNS", Quoted(options.control_ca));
  return decode::BootstrapFromText(text, "command line", filter::AllFilters());
}

}  // namespace heddle::server
