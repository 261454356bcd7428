#include "test/decode/decode_helper.h"

#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/http/fault/v3/fault.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/network/rbac/v3/rbac.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "source/decode/unknown.h"
#include "source/yaml/yaml.h"

namespace heddle::test {

const char kCertificate[] = "-----BEGIN CERTIFICATE-----\\nAA==\\n-----END CERTIFICATE-----\\n";
const char kKey[] = "-----BEGIN PRIVATE KEY-----\\nAA==\\n-----END PRIVATE KEY-----\\n";

namespace {

std::vector<std::string> last_warnings;

absl::Status DecodeRouter(const google::protobuf::Any& any, const base::Path& at,
                          decode::Context& context, config::HttpFilterSpec*) {
  envoy::extensions::filters::http::router::v3::Router message;
  return decode::Unpack(any, at, context, &message);
}

absl::Status DecodeFault(const google::protobuf::Any& any, const base::Path& at,
                         decode::Context& context, config::HttpFilterSpec*) {
  envoy::extensions::filters::http::fault::v3::HTTPFault message;
  return decode::Unpack(any, at, context, &message);
}

absl::StatusOr<std::shared_ptr<const void>> DecodeFaultRoute(const google::protobuf::Any& any,
                                                             const base::Path& at,
                                                             decode::Context& context) {
  HEDDLE_RETURN_IF_ERROR(DecodeFault(any, at, context, nullptr));
  return std::make_shared<const int>(1);
}

absl::StatusOr<config::NetworkPolicy> DecodePolicy(const google::protobuf::Any& any,
                                                   const base::Path& at, decode::Context& context) {
  envoy::extensions::filters::network::rbac::v3::RBAC message;
  HEDDLE_RETURN_IF_ERROR(decode::Unpack(any, at, context, &message));
  return config::NetworkPolicy{};
}

template <typename Message, typename Decode>
auto Run(const std::string& yaml, Decode decode) {
  Message message;
  Read(yaml, &message);
  decode::Context context(FakeCatalogue());
  auto out = decode(message, base::Path(), context);
  last_warnings = context.TakeWarnings();
  return out;
}

template <typename T>
std::string ErrorOf(const absl::StatusOr<T>& out) {
  return out.ok() ? "ok" : std::string(out.status().message());
}

template <typename T>
auto Value(const absl::StatusOr<T>& out) {
  INFO(ErrorOf(out));
  REQUIRE(out.ok());
  return **out;
}

}  // namespace

const decode::Catalogue& FakeCatalogue() {
  static constexpr decode::HttpFilterEntry kHttp[] = {
      {.message = "envoy.extensions.filters.http.router.v3.Router",
       .type = "envoy.filters.http.router",
       .terminal = true,
       .decode = DecodeRouter,
       .route_message = {},
       .decode_route = nullptr},
      {.message = "envoy.extensions.filters.http.fault.v3.HTTPFault",
       .type = "envoy.filters.http.fault",
       .terminal = false,
       .decode = DecodeFault,
       .route_message = "envoy.extensions.filters.http.fault.v3.HTTPFault",
       .decode_route = DecodeFaultRoute},
  };
  static constexpr decode::NetworkFilterEntry kNetwork[] = {
      {.message = "envoy.extensions.filters.network.rbac.v3.RBAC", .decode = DecodePolicy},
  };
  static const decode::Catalogue catalogue{kHttp, kNetwork};
  return catalogue;
}

void Read(const std::string& text, google::protobuf::Message* out) {
  const absl::Status status = yaml::Decode(text, out, {.file = "yaml"});
  INFO(text);
  INFO(status.message());
  REQUIRE(status.ok());
}

const std::vector<std::string>& LastWarnings() { return last_warnings; }

std::string ListenerError(const std::string& yaml) {
  return ErrorOf(Run<envoy::config::listener::v3::Listener>(yaml, decode::DecodeListener));
}
std::string ClusterError(const std::string& yaml) {
  return ErrorOf(Run<envoy::config::cluster::v3::Cluster>(yaml, decode::DecodeCluster));
}
std::string RoutesError(const std::string& yaml) {
  return ErrorOf(Run<envoy::config::route::v3::RouteConfiguration>(yaml, decode::DecodeRoutes));
}
std::string EndpointsError(const std::string& yaml) {
  return ErrorOf(
      Run<envoy::config::endpoint::v3::ClusterLoadAssignment>(yaml, decode::DecodeEndpoints));
}
std::string SecretError(const std::string& yaml) {
  return ErrorOf(
      Run<envoy::extensions::transport_sockets::tls::v3::Secret>(yaml, decode::DecodeSecret));
}
config::Listener GoodListener(const std::string& yaml) {
  return Value(Run<envoy::config::listener::v3::Listener>(yaml, decode::DecodeListener));
}
config::Cluster GoodCluster(const std::string& yaml) {
  return Value(Run<envoy::config::cluster::v3::Cluster>(yaml, decode::DecodeCluster));
}
config::RouteConfiguration GoodRoutes(const std::string& yaml) {
  return Value(Run<envoy::config::route::v3::RouteConfiguration>(yaml, decode::DecodeRoutes));
}

}  // namespace heddle::test
