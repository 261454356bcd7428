// Which filter chain of a listener serves an accepted connection. A pure function in Envoy's order
// of evaluation (proxy_semantics.md 2.14): destination port, destination address, server name,
// transport protocol, application protocol, direct source, source type, source address, source
// port. At each step the most specific value that some remaining chain names wins, and there is no
// going back: a chain chosen for its port is not left for one without.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "source/net/address.h"
#include "source/proxy/snapshot.h"

namespace heddle::proxy {

struct ChainFacts {
  net::Address destination;  // the original one when the connection was redirected
  net::Address source;
  net::Address direct_source;  // peer of the socket; differs from source behind the PROXY protocol
  std::string server_name;     // SNI in lower case; empty when none or not inspected
  std::vector<std::string> alpn;  // as the ClientHello offers, or what http_inspector found
  absl::string_view transport = "raw_buffer";  // or "tls"
};

// Null: no chain matches and there is no default chain; close the connection.
const ChainSpec* ChooseChain(const ListenerSpec& listener, const ChainFacts& facts);

// The same over bare configuration: index into `chains`, -1 when none matches.
int ChooseChain(const std::vector<const config::FilterChainMatch*>& chains,
                const ChainFacts& facts);

}  // namespace heddle::proxy
