// Decides whether an accepted connection may go on, before its first byte is handed to the terminal
// filter (network RBAC). Immutable and shared by all workers; asked once per connection, after the
// TLS handshake.
//
// config::NetworkPolicy::policy points at one of these: decode/ and the catalogue store it as
// std::shared_ptr<const filter::NetworkPolicy>, so that casting the void pointer back is exact.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "source/net/address.h"
#include "source/net/transport.h"

namespace heddle::filter {

struct ConnectionFacts {
  const net::Address& remote;         // the client, by PROXY protocol if there was one
  const net::Address& direct_remote;  // the peer of the socket
  const net::Address& local;          // destination, the original one when it was redirected
  const net::PeerInfo& peer;
};

class NetworkPolicy {
 public:
  virtual ~NetworkPolicy() = default;
  struct Decision {
    bool allow = true;
    std::string
        details;  // %CONNECTION_TERMINATION_DETAILS%, "rbac_access_denied_matched_policy[name]"
  };
  virtual Decision Decide(const ConnectionFacts& facts) const = 0;
};

}  // namespace heddle::filter
