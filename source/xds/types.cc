#include "source/xds/types.h"

namespace heddle::xds {
namespace {

struct Row {
  absl::string_view url, short_name;
};

// In the order of the enum.
constexpr Row kRows[] = {
    {"type.googleapis.com/envoy.config.cluster.v3.Cluster", "CDS"},
    {"type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment", "EDS"},
    {"type.googleapis.com/envoy.config.listener.v3.Listener", "LDS"},
    {"type.googleapis.com/envoy.config.route.v3.RouteConfiguration", "RDS"},
    {"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret", "SDS"},
};

}  // namespace

absl::string_view TypeUrl(Type type) { return kRows[static_cast<size_t>(type)].url; }

absl::string_view ShortName(Type type) { return kRows[static_cast<size_t>(type)].short_name; }

std::optional<Type> TypeOf(absl::string_view type_url) {
  for (const Type type : kTypes) {
    if (TypeUrl(type) == type_url) return type;
  }
  return std::nullopt;
}

}  // namespace heddle::xds
