// The listeners of a sidecar. Each function is told everything it looks at.
#pragma once

#include <string>
#include <vector>

#include "control_plane/model/world.h"
#include "control_plane/translate/http.h"
#include "control_plane/translate/translate.h"

namespace envoy::config::listener::v3 {
class Listener;
}

namespace heddle::translate {

inline constexpr uint16_t kOutboundPort = 15001;
inline constexpr uint16_t kInboundPort = 15006;

// "outbound", or "outbound_9080" with interception.
std::string OutboundRoutesName(uint16_t port);

// Where a TCP service is reached.
struct TcpDestination {
  const model::Service* service = nullptr;
  const model::ServicePort* port = nullptr;
  // With interception: the addresses that mean it, on its port. No two destinations share one.
  std::vector<std::string> addresses = {};
};

// Without interception: one listener for HTTP ...
::envoy::config::listener::v3::Listener OutboundListener(const Reporter& reporter,
                                                         const std::string& address);
// ... and one for each TCP service.
::envoy::config::listener::v3::Listener OutboundTcpListener(const Reporter& reporter,
                                                            const std::string& address,
                                                            const TcpDestination& to);
// With interception: one for everything.
struct InterceptedOutbound {
  std::vector<uint16_t> http_ports;  // sorted
  std::vector<TcpDestination> tcp;
  bool allow_unlisted = true;
};
::envoy::config::listener::v3::Listener InterceptedOutboundListener(const Reporter& reporter,
                                                                    const InterceptedOutbound& in);

struct InboundPort {
  model::WorkloadPort port;
  model::MtlsMode mode = model::MtlsMode::kPermissive;
};
// Without interception: one listener for each port.
::envoy::config::listener::v3::Listener InboundListener(const Reporter& reporter,
                                                        const std::string& address,
                                                        const InboundPort& in,
                                                        const Policies& policies);
// With interception: one for all of them. Connections to other ports are closed.
::envoy::config::listener::v3::Listener InterceptedInboundListener(
    const Reporter& reporter, const std::vector<InboundPort>& ports, const Policies& policies);

}  // namespace heddle::translate
