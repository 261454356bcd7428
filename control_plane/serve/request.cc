#include "control_plane/serve/request.h"

#include <array>

namespace heddle::serve {
namespace {

struct Row {
  Type type;
  absl::string_view url;
  absl::string_view short_name;
};

constexpr std::array<Row, kServedTypes> kTypes = {{
    {Type::kCluster, "type.googleapis.com/envoy.config.cluster.v3.Cluster", "CDS"},
    {Type::kEndpoints, "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment", "EDS"},
    {Type::kListener, "type.googleapis.com/envoy.config.listener.v3.Listener", "LDS"},
    {Type::kRoutes, "type.googleapis.com/envoy.config.route.v3.RouteConfiguration", "RDS"},
    {Type::kSecret, "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret", "SDS"},
}};

}  // namespace

absl::string_view TypeUrl(Type type) {
  return type == Type::kOther ? absl::string_view() : kTypes[static_cast<size_t>(type)].url;
}

Type TypeOf(absl::string_view url) {
  for (const Row& row : kTypes)
    if (row.url == url) return row.type;
  return Type::kOther;
}

absl::string_view ShortName(absl::string_view url) {
  for (const Row& row : kTypes)
    if (row.url == url) return row.short_name;
  const size_t dot = url.rfind('.');
  return dot == absl::string_view::npos ? url : url.substr(dot + 1);
}

}  // namespace heddle::serve
