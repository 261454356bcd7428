// Protobuf to the plain structs of source/config. Every value is checked here, once; an error is
// one line that names the field's path, what was found and what is allowed, and is what the control
// plane reads in a NACK:
//
//   decode::Context context(filter::AllFilters());
//   auto listener = decode::DecodeListener(message, base::Path("inbound"), context);
//   //
//   inbound.filter_chains[2].filters[0].typed_config.route_config.virtual_hosts[1].routes[3].route.retry_policy
//   //     .retry_on: unknown token "5XX"; did you mean "5xx"?
//
// Unknown fields inside anything that guards access are errors, elsewhere they are added to the
// Context's warnings.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "source/base/path.h"
#include "source/config/bootstrap.h"
#include "source/config/cluster.h"
#include "source/config/listener.h"
#include "source/config/route.h"
#include "source/config/tls.h"
#include "source/decode/context.h"

namespace envoy::config::bootstrap::v3 {
class Bootstrap;
}
namespace envoy::config::cluster::v3 {
class Cluster;
}
namespace envoy::config::endpoint::v3 {
class ClusterLoadAssignment;
}
namespace envoy::config::listener::v3 {
class Listener;
}
namespace envoy::config::route::v3 {
class RouteConfiguration;
}
namespace envoy::extensions::transport_sockets::tls::v3 {
class Secret;
}

namespace heddle::decode {

absl::StatusOr<std::shared_ptr<const config::Listener>> DecodeListener(
    const envoy::config::listener::v3::Listener& in, const base::Path& at, Context& context);
absl::StatusOr<std::shared_ptr<const config::Cluster>> DecodeCluster(
    const envoy::config::cluster::v3::Cluster& in, const base::Path& at, Context& context);
absl::StatusOr<std::shared_ptr<const config::RouteConfiguration>> DecodeRoutes(
    const envoy::config::route::v3::RouteConfiguration& in, const base::Path& at, Context& context);
absl::StatusOr<std::shared_ptr<const config::LoadAssignment>> DecodeEndpoints(
    const envoy::config::endpoint::v3::ClusterLoadAssignment& in, const base::Path& at,
    Context& context);
absl::StatusOr<std::shared_ptr<const config::Secret>> DecodeSecret(
    const envoy::extensions::transport_sockets::tls::v3::Secret& in, const base::Path& at,
    Context& context);

// The same from the bytes of a resource, as discovery carries them; the path begins with the
// resource's name.
absl::StatusOr<std::shared_ptr<const config::Listener>> ListenerFromBytes(absl::string_view bytes,
                                                                          Context& context);
absl::StatusOr<std::shared_ptr<const config::Cluster>> ClusterFromBytes(absl::string_view bytes,
                                                                        Context& context);
absl::StatusOr<std::shared_ptr<const config::RouteConfiguration>> RoutesFromBytes(
    absl::string_view bytes, Context& context);
absl::StatusOr<std::shared_ptr<const config::LoadAssignment>> EndpointsFromBytes(
    absl::string_view bytes, Context& context);
absl::StatusOr<std::shared_ptr<const config::Secret>> SecretFromBytes(absl::string_view bytes,
                                                                      Context& context);

// A bootstrap file: YAML or JSON. `file` is for messages. Names that static resources refer to must
// exist, unless discovery may bring them. The warnings are in the result.
absl::StatusOr<config::Bootstrap> BootstrapFromText(absl::string_view text, absl::string_view file,
                                                    const Catalogue& catalogue);
absl::StatusOr<config::Bootstrap> DecodeBootstrap(const envoy::config::bootstrap::v3::Bootstrap& in,
                                                  const base::Path& at, Context& context);

}  // namespace heddle::decode
