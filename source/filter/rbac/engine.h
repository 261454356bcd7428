// The RBAC engine: policies compiled into a tree of conditions, asked for each request or
// connection. Source: envoy.config.rbac.v3; Envoy source/extensions/filters/common/rbac.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "source/config/types.h"
#include "source/http/headers.h"
#include "source/net/address.h"
#include "source/net/transport.h"

namespace heddle::filter::rbac {

// What a condition may look at.
struct Facts {
  const http::RequestHead* request =
      nullptr;                           // null on connections: conditions on HTTP never match then
  const net::Address* remote = nullptr;  // client, after x-forwarded-for
  const net::Address* direct_remote = nullptr;  // peer of the socket
  const net::Address* local = nullptr;          // destination
  const net::PeerInfo* peer = nullptr;          // null: plain text
  // Dynamic metadata by namespace and key; null on connections.
  const config::Metadata* metadata = nullptr;
};

// One node of a permission or principal.
struct Condition {
  enum class Kind : uint8_t {
    kAny,
    kAnd,
    kOr,
    kNot,
    kHeader,
    kPath,
    kDestinationIp,
    kDestinationPort,
    kServerName,
    kAuthenticated,
    kDirectRemoteIp,
    kRemoteIp,
    kMetadata,
  };
  Kind kind = Kind::kAny;
  std::vector<Condition> children;  // kAnd, kOr, kNot
  config::HeaderMatcher header;
  config::StringMatcher text;  // kPath, kServerName, kAuthenticated, kMetadata
  net::Cidr range;
  uint32_t port_begin = 0, port_end = 0;  // [begin, end)
  bool any_principal = false;             // kAuthenticated without a name
  std::string metadata_namespace, metadata_key;
  bool invert = false;  // kMetadata

  bool Matches(const Facts& facts) const;
};

struct Policy {
  std::string name;
  std::vector<Condition> permissions, principals;  // any of each must match
};

class Engine {
 public:
  enum class Action : uint8_t { kAllow, kDeny, kLog };
  Engine(Action action, std::vector<Policy> policies)
      : action_(action), policies_(std::move(policies)) {}

  struct Decision {
    bool allowed = true;
    // Name of the policy that matched, "none" when none did: response code details
    // "rbac_access_denied_matched_policy[none]".
    absl::string_view policy = "none";
  };
  Decision Decide(const Facts& facts) const;

 private:
  Action action_;
  std::vector<Policy> policies_;  // sorted by name
};

// "rbac_access_denied_matched_policy[name]"; blanks become '_' as in Envoy.
std::string DeniedDetails(absl::string_view policy);

}  // namespace heddle::filter::rbac
