// Resources as discovery carries them: bytes.
#include "absl/strings/str_cat.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "source/base/status.h"
#include "source/decode/decode.h"

namespace heddle::decode {
namespace {

template <typename Message>
absl::Status Parse(absl::string_view bytes, Message* out) {
  if (out->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("cannot be read as ", Message::descriptor()->full_name()));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const config::Listener>> ListenerFromBytes(absl::string_view bytes,
                                                                          Context& context) {
  envoy::config::listener::v3::Listener message;
  HEDDLE_RETURN_IF_ERROR(Parse(bytes, &message));
  return DecodeListener(message, base::Path(message.name()), context);
}

absl::StatusOr<std::shared_ptr<const config::Cluster>> ClusterFromBytes(absl::string_view bytes,
                                                                        Context& context) {
  envoy::config::cluster::v3::Cluster message;
  HEDDLE_RETURN_IF_ERROR(Parse(bytes, &message));
  return DecodeCluster(message, base::Path(message.name()), context);
}

absl::StatusOr<std::shared_ptr<const config::RouteConfiguration>> RoutesFromBytes(
    absl::string_view bytes, Context& context) {
  envoy::config::route::v3::RouteConfiguration message;
  HEDDLE_RETURN_IF_ERROR(Parse(bytes, &message));
  if (message.name().empty()) return absl::InvalidArgumentError("name: required");
  return DecodeRoutes(message, base::Path(message.name()), context);
}

absl::StatusOr<std::shared_ptr<const config::LoadAssignment>> EndpointsFromBytes(
    absl::string_view bytes, Context& context) {
  envoy::config::endpoint::v3::ClusterLoadAssignment message;
  HEDDLE_RETURN_IF_ERROR(Parse(bytes, &message));
  return DecodeEndpoints(message, base::Path(message.cluster_name()), context);
}

absl::StatusOr<std::shared_ptr<const config::Secret>> SecretFromBytes(absl::string_view bytes,
                                                                      Context& context) {
  envoy::extensions::transport_sockets::tls::v3::Secret message;
  HEDDLE_RETURN_IF_ERROR(Parse(bytes, &message));
  return DecodeSecret(message, base::Path(message.name()), context);
}

}  // namespace heddle::decode
