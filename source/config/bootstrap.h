// What the process starts from: envoy.config.bootstrap.v3, or made from heddle-proxy's flags.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "source/config/cluster.h"
#include "source/config/listener.h"
#include "source/config/route.h"

namespace heddle::config {

struct AdsConfig {
  std::string cluster;  // envoy_grpc.cluster_name
  bool delta = false;   // api_type DELTA_GRPC
  std::vector<std::pair<std::string, std::string>> initial_metadata;
};

struct Bootstrap {
  std::string node_id, node_cluster;
  std::string node_bytes;  // encoded envoy.config.core.v3.Node, sent on each stream's first request
  Locality node_locality;  // endpoints unused
  net::Address admin;      // unspecified = no admin page
  std::vector<std::shared_ptr<const Listener>> listeners;
  std::vector<std::shared_ptr<const Cluster>> clusters;
  std::vector<std::shared_ptr<const Secret>> secrets;
  std::optional<AdsConfig> ads;
  bool lds_from_ads = false, cds_from_ads = false;
  // After so long without the first answer there are none, until one comes. 0 = never.
  absl::Duration lds_fetch_timeout = absl::Seconds(15), cds_fetch_timeout = absl::Seconds(15);
  std::string encoded;                // the message itself, for /config_dump
  std::vector<std::string> warnings;  // unknown fields and the like, one line each
};

}  // namespace heddle::config
