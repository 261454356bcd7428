// Writes what each workload of a configuration directory is given as a static bootstrap file: route
// tables and endpoints inline, secrets still to come by discovery.
//
//   envoy_bootstrap CONFIG_DIR OUT_DIR      # OUT_DIR/<namespace>.<workload>[.intercept].json
#include <google/protobuf/any.pb.h>

#include <fstream>
#include <iostream>
#include <string>

#include "control_plane/ingest/file_source.h"
#include "control_plane/translate/encode.h"
#include "control_plane/translate/translate.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "source/base/status.h"
#include "source/yaml/yaml.h"

namespace heddle {
namespace {

using envoy::config::bootstrap::v3::Bootstrap;
using envoy::config::cluster::v3::Cluster;
using envoy::config::listener::v3::FilterChain;
using envoy::config::listener::v3::Listener;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using translate::ResourceRef;
using translate::ResourceType;
using translate::Snapshot;

void InlineRoutes(const Snapshot& snapshot, FilterChain* chain) {
  for (auto& filter : *chain->mutable_filters()) {
    HttpConnectionManager manager;
    if (!filter.typed_config().UnpackTo(&manager) || !manager.has_rds()) continue;
    const ResourceRef routes =
        snapshot.Find(ResourceType::kRoutes, manager.rds().route_config_name());
    HEDDLE_CHECK(manager.mutable_route_config()->ParseFromString(routes->body));
    translate::Pack(manager, filter.mutable_typed_config());
  }
}

Bootstrap BootstrapOf(const Snapshot& snapshot) {
  Bootstrap out;
  out.mutable_node()->set_id("bookshop/x");
  out.mutable_node()->set_cluster("x");
  auto* const resources = out.mutable_static_resources();
  for (const ResourceRef& one : snapshot.Of(ResourceType::kCluster)) {
    Cluster* const to = resources->add_clusters();
    HEDDLE_CHECK(to->ParseFromString(one->body));
    if (to->type() != Cluster::EDS) continue;
    const ResourceRef endpoints = snapshot.Find(ResourceType::kEndpoints, to->name());
    to->set_type(Cluster::STATIC);
    to->clear_eds_cluster_config();
    HEDDLE_CHECK(to->mutable_load_assignment()->ParseFromString(endpoints->body));
  }
  for (const ResourceRef& one : snapshot.Of(ResourceType::kListener)) {
    Listener* const to = resources->add_listeners();
    HEDDLE_CHECK(to->ParseFromString(one->body));
    for (FilterChain& chain : *to->mutable_filter_chains()) InlineRoutes(snapshot, &chain);
    if (to->has_default_filter_chain()) InlineRoutes(snapshot, to->mutable_default_filter_chain());
  }
  return out;
}

int Run(const std::string& directory, const std::string& out) {
  ingest::FileSourceOptions options;
  options.directory = directory;
  options.world.control_address = model::HostPort{"127.0.0.1", 15010};
  const ingest::Update update = ingest::LoadDirectory(options);
  for (const model::Problem& one : update.problems) std::cerr << one << "\n";
  if (update.world == nullptr || !update.problems.empty()) return 1;
  translate::Translator translator;
  for (const auto& [key, workload] : update.world->workloads) {
    for (const bool intercept : {false, true}) {
      const auto view = translate::MakeProxyView(*update.world, key, {.intercept = intercept});
      if (!view.ok()) continue;
      const Bootstrap bootstrap = BootstrapOf(*translator.Translate(*update.world, *view));
      std::ofstream(out + "/" + key.ns + "." + key.name + (intercept ? ".intercept" : "") + ".json")
          << yaml::ToJson(bootstrap, {.pretty = true, .redact = false});
    }
  }
  return 0;
}

}  // namespace
}  // namespace heddle

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: " << argv[0] << " CONFIG_DIR OUT_DIR\n";
    return 2;
  }
  return heddle::Run(argv[1], argv[2]);
}
