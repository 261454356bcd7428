// Listeners as configuration: envoy.config.listener.v3 and the network filters.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "source/config/http.h"
#include "source/config/tls.h"
#include "source/config/types.h"

namespace heddle::config {

struct FilterChainMatch {  // order of evaluation: proxy_semantics.md 2.14
  std::optional<uint16_t> destination_port;
  std::vector<net::Cidr> destinations;    // prefix_ranges
  std::vector<std::string> server_names;  // lower case; "*.x" for suffixes
  std::string transport_protocol;         // "", "tls", "raw_buffer"
  std::vector<std::string> application_protocols;
  std::vector<net::Cidr> direct_sources;
  enum class SourceType : uint8_t { kAny, kSameIpOrLoopback, kExternal };
  SourceType source_type = SourceType::kAny;
  std::vector<net::Cidr> sources;
  std::vector<uint16_t> source_ports;
};

struct TcpProxy {
  std::string stat_prefix;
  std::string cluster;  // or weighted
  struct Weighted {
    std::string name;
    uint32_t weight = 1;
  };
  std::vector<Weighted> weighted;
  absl::Duration idle_timeout = absl::Hours(1);  // 0 = off
  absl::Duration max_connection_duration = absl::ZeroDuration();
  uint32_t max_connect_attempts = 1;
  std::vector<AccessLog> access_logs;
};

// Decides about a connection before its first byte goes on (network RBAC). The concrete type is
// filter/'s.
struct NetworkPolicy {
  std::string name;
  std::shared_ptr<const void> policy;
};

struct FilterChain {
  std::string name;
  FilterChainMatch match;
  TransportSocket transport;
  absl::Duration transport_connect_timeout = absl::ZeroDuration();
  std::vector<NetworkPolicy> policies;  // evaluated in order, before the terminal filter
  std::variant<std::shared_ptr<const HttpConnectionManager>, std::shared_ptr<const TcpProxy>>
      terminal;
};

struct Listener {
  std::string name;
  net::Address address;
  std::vector<FilterChain> chains;
  std::optional<FilterChain> default_chain;
  bool tls_inspector = false;
  bool original_dst = false;  // listener filter
  bool use_original_dst = false;
  bool http_inspector = false;
  bool bind_to_port = true;
  bool transparent = false;
  bool reuse_port = true;
  absl::Duration listener_filters_timeout = absl::Seconds(15);  // 0 = off
  bool continue_on_timeout = false;
  uint32_t buffer_limit = 1024 * 1024;
  uint32_t backlog = 1024;
  uint32_t max_connections = 0;  // 0 = unlimited
  enum class Direction : uint8_t { kUnspecified, kInbound, kOutbound };
  Direction direction = Direction::kUnspecified;
  std::vector<AccessLog> access_logs;
  uint64_t hash = 0;  // of the encoded resource: equal hash = untouched by an update
};

}  // namespace heddle::config
