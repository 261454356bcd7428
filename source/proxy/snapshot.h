// One complete, immutable configuration as the request path reads it: names resolved to pointers,
// matchers compiled. Built on the main thread (xds/, server/), given to every worker as
// shared_ptr<const Snapshot>, never changed. A listener whose resource did not change keeps the
// very same ListenerSpec from one snapshot to the next; sessions hold on to theirs, so a push does
// not touch running connections.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "source/config/listener.h"
#include "source/filter/network_policy.h"
#include "source/net/transport.h"
#include "source/proxy/proxy_stats.h"
#include "source/proxy/route_table.h"

namespace heddle::observe {
class AccessLogger;
class Tracer;
}  // namespace heddle::observe
namespace heddle::upstream {
struct ClusterSpec;
}

namespace heddle::proxy {

using AccessLoggers = std::vector<std::shared_ptr<const observe::AccessLogger>>;

// An HTTP connection manager, compiled.
struct HttpSpec {
  std::shared_ptr<const config::HttpConnectionManager> config;
  // Inline routes; null when config->rds_name says where they are in Snapshot::routes.
  std::shared_ptr<const RouteTable> routes;
  AccessLoggers logs;
  std::shared_ptr<const observe::Tracer> tracer;  // null: no tracing
  HttpStats stats;
};

struct TcpSpec {
  std::shared_ptr<const config::TcpProxy> config;
  uint64_t total_weight = 0;  // of config->weighted
  AccessLoggers logs;
  TcpStats stats;
};

struct ChainSpec {
  const config::FilterChain* config = nullptr;                         // in the listener's config
  std::shared_ptr<const net::TransportFactory> transport;              // null: plain text
  std::vector<std::shared_ptr<const filter::NetworkPolicy>> policies;  // all must allow
  std::shared_ptr<const HttpSpec> http;  // exactly one of the two is set
  std::shared_ptr<const TcpSpec> tcp;
};

struct ListenerSpec {
  std::shared_ptr<const config::Listener> config;
  std::vector<ChainSpec> chains;  // as config->chains
  std::optional<ChainSpec> default_chain;
  ListenerStats stats;
};

struct Snapshot {
  uint64_t version = 0;  // counts up; for logs and the admin page
  std::vector<std::shared_ptr<const ListenerSpec>> listeners;
  absl::flat_hash_map<std::string, std::shared_ptr<const RouteTable>>
      routes;  // by RouteConfiguration name
  absl::flat_hash_map<std::string, std::shared_ptr<const upstream::ClusterSpec>> clusters;
};

}  // namespace heddle::proxy
