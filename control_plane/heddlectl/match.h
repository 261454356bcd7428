// Whether a request that somebody imagines would match what proxies are given: the same messages,
// read the way Envoy's documentation says. For `heddlectl explain` only; traffic is matched by
// heddle-proxy.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/strings/string_view.h"

namespace envoy::config::rbac::v3 {
class Policy;
}
namespace envoy::config::route::v3 {
class RouteMatch;
class RouteConfiguration;
class VirtualHost;
}  // namespace envoy::config::route::v3

namespace heddle::heddlectl {

struct ImaginedRequest {
  std::string authority;  // as in the Host header
  std::string path;       // with the query, if any
  std::string method = "GET";
  std::map<std::string, std::string> headers;  // lower-case names
  std::string principal;                       // SPIFFE URI of the caller; empty: plain text
  std::string source_ip;
  uint16_t destination_port = 0;
};

bool Matches(const envoy::config::route::v3::RouteMatch& match, const ImaginedRequest& request);
bool Matches(const envoy::config::rbac::v3::Policy& policy, const ImaginedRequest& request);

// The virtual host for an authority: exact, then "*.suffix" (longest), then "prefix.*" (longest),
// then "*". Null: none. `domain` is the pattern that matched.
const envoy::config::route::v3::VirtualHost* FindVirtualHost(
    const envoy::config::route::v3::RouteConfiguration& routes, const std::string& authority,
    std::string* domain);

}  // namespace heddle::heddlectl
