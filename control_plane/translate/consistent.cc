// Whether every reference in a snapshot leads somewhere.
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "control_plane/translate/cluster.h"
#include "control_plane/translate/translate.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/trace/v3/opentelemetry.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "source/base/status.h"

namespace heddle::translate {
namespace {

namespace listener = ::envoy::config::listener::v3;
namespace route = ::envoy::config::route::v3;
using ::envoy::config::trace::v3::OpenTelemetryConfig;
using ::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using ::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;

struct Names {
  std::set<std::string> clusters, endpoints, routes;
  std::set<std::string> used_endpoints, used_routes;
};

absl::Status Missing(absl::string_view what, const std::string& name, const std::string& from) {
  return absl::InternalError(
      absl::StrCat(from, " refers to ", what, " \"", name, "\", which is not there"));
}

absl::Status NeedCluster(const Names& names, const std::string& name, const std::string& from) {
  return names.clusters.contains(name) || name == kNoCluster ? absl::OkStatus()
                                                             : Missing("cluster", name, from);
}

absl::Status CheckRoutes(const Names& names, const route::RouteConfiguration& in,
                         const std::string& from) {
  for (const route::VirtualHost& host : in.virtual_hosts()) {
    for (const route::Route& one : host.routes()) {
      if (!one.has_route()) continue;
      if (!one.route().has_weighted_clusters()) {
        HEDDLE_RETURN_IF_ERROR(NeedCluster(names, one.route().cluster(), from));
      }
      for (const auto& share : one.route().weighted_clusters().clusters())
        HEDDLE_RETURN_IF_ERROR(NeedCluster(names, share.name(), from));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckManager(const HttpConnectionManager& in, const std::string& from, Names* names) {
  if (in.has_rds()) {
    const std::string& name = in.rds().route_config_name();
    if (!names->routes.contains(name)) return Missing("route configuration", name, from);
    names->used_routes.insert(name);
  }
  OpenTelemetryConfig spans;
  if (in.tracing().provider().typed_config().UnpackTo(&spans))
    HEDDLE_RETURN_IF_ERROR(
        NeedCluster(*names, spans.grpc_service().envoy_grpc().cluster_name(), from));
  return CheckRoutes(*names, in.route_config(), from);
}

absl::Status CheckChain(const listener::FilterChain& in, const std::string& from, Names* names) {
  for (const listener::Filter& filter : in.filters()) {
    HttpConnectionManager manager;
    TcpProxy proxy;
    if (filter.typed_config().UnpackTo(&manager)) {
      HEDDLE_RETURN_IF_ERROR(CheckManager(manager, from, names));
    } else if (filter.typed_config().UnpackTo(&proxy)) {
      HEDDLE_RETURN_IF_ERROR(NeedCluster(*names, proxy.cluster(), from));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckListeners(const Snapshot& snapshot, Names* names) {
  for (const ResourceRef& one : snapshot.Of(ResourceType::kListener)) {
    listener::Listener in;
    if (!in.ParseFromString(one->body)) return absl::InternalError(one->name + " does not parse");
    const std::string from = absl::StrCat("listener ", one->name);
    for (const listener::FilterChain& chain : in.filter_chains())
      HEDDLE_RETURN_IF_ERROR(CheckChain(chain, from, names));
    HEDDLE_RETURN_IF_ERROR(CheckChain(in.default_filter_chain(), from, names));
  }
  return absl::OkStatus();
}

absl::Status CheckClusters(const Snapshot& snapshot, Names* names) {
  for (const ResourceRef& one : snapshot.Of(ResourceType::kCluster)) {
    ::envoy::config::cluster::v3::Cluster in;
    if (!in.ParseFromString(one->body)) return absl::InternalError(one->name + " does not parse");
    if (in.type() != ::envoy::config::cluster::v3::Cluster::EDS) continue;
    const std::string& name = in.eds_cluster_config().service_name();
    if (!names->endpoints.contains(name))
      return Missing("endpoints", name, absl::StrCat("cluster ", one->name));
    names->used_endpoints.insert(name);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckConsistent(const Snapshot& snapshot, const std::vector<std::string>& elsewhere) {
  Names names;
  names.clusters = {elsewhere.begin(), elsewhere.end()};
  for (const ResourceRef& one : snapshot.Of(ResourceType::kCluster))
    names.clusters.insert(one->name);
  for (const ResourceRef& one : snapshot.Of(ResourceType::kEndpoints))
    names.endpoints.insert(one->name);
  for (const ResourceRef& one : snapshot.Of(ResourceType::kRoutes)) names.routes.insert(one->name);
  HEDDLE_RETURN_IF_ERROR(CheckClusters(snapshot, &names));
  HEDDLE_RETURN_IF_ERROR(CheckListeners(snapshot, &names));
  for (const ResourceRef& one : snapshot.Of(ResourceType::kRoutes)) {
    route::RouteConfiguration in;
    if (!in.ParseFromString(one->body)) return absl::InternalError(one->name + " does not parse");
    HEDDLE_RETURN_IF_ERROR(CheckRoutes(names, in, absl::StrCat("route configuration ", one->name)));
  }
  if (names.used_endpoints != names.endpoints)
    return absl::InternalError("there are endpoints that no cluster refers to");
  if (names.used_routes != names.routes)
    return absl::InternalError("there are route configurations that no listener refers to");
  return absl::OkStatus();
}

}  // namespace heddle::translate
