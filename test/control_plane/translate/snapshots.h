// Snapshots of the bookshop, and looks into them.
#pragma once

#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "control_plane/translate/translate.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "test/control_plane/support/bookshop.h"

namespace heddle::translate {

using ::envoy::config::cluster::v3::Cluster;
using ::envoy::config::endpoint::v3::ClusterLoadAssignment;
using ::envoy::config::listener::v3::Listener;
using ::envoy::config::route::v3::Route;
using ::envoy::config::route::v3::RouteConfiguration;
using ::envoy::config::route::v3::VirtualHost;
using ::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;

inline std::shared_ptr<const model::World> WorldOf(const std::string& more = "",
                                                   const model::WorldOptions& options = {}) {
  model::BuildResult result = test::BuildBookshop(more, options);
  for (const model::Problem& one : result.problems) UNSCOPED_INFO(one.ToString());
  REQUIRE(result.world != nullptr);
  return result.world;
}

inline std::shared_ptr<const Snapshot> SnapshotOf(Translator& translator, const model::World& world,
                                                  const std::string& workload,
                                                  bool intercept = false) {
  const absl::StatusOr<ProxyView> view =
      MakeProxyView(world, {"bookshop", workload}, {.intercept = intercept});
  REQUIRE(view.ok());
  std::shared_ptr<const Snapshot> out = translator.Translate(world, *view);
  const absl::Status consistent = CheckConsistent(*out);
  INFO(consistent);
  REQUIRE(consistent.ok());
  return out;
}

// From the bookshop with `more`.
inline std::shared_ptr<const Snapshot> SnapshotOf(const std::string& more,
                                                  const std::string& workload,
                                                  bool intercept = false) {
  Translator translator;
  return SnapshotOf(translator, *WorldOf(more), workload, intercept);
}

template <typename Message>
Message Get(const Snapshot& snapshot, ResourceType type, const std::string& name) {
  const ResourceRef resource = snapshot.Find(type, name);
  INFO(name);
  REQUIRE(resource != nullptr);
  Message out;
  REQUIRE(out.ParseFromString(resource->body));
  return out;
}

inline std::string Names(const Snapshot& snapshot, ResourceType type) {
  std::string out;
  for (const ResourceRef& one : snapshot.Of(type)) out += (out.empty() ? "" : " ") + one->name;
  return out;
}

inline VirtualHost HostOf(const Snapshot& snapshot, const std::string& name,
                          const std::string& table = "outbound") {
  const auto routes = Get<RouteConfiguration>(snapshot, ResourceType::kRoutes, table);
  for (const VirtualHost& one : routes.virtual_hosts())
    if (one.name() == name) return one;
  FAIL("no virtual host " << name);
  return {};
}

inline HttpConnectionManager ManagerOf(const ::envoy::config::listener::v3::FilterChain& chain) {
  HttpConnectionManager out;
  REQUIRE(chain.filters().rbegin()->typed_config().UnpackTo(&out));
  return out;
}

}  // namespace heddle::translate
