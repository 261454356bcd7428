// config::DownstreamTls and UpstreamTls, with their secrets found, as what tls/ makes contexts from
// (tls/ is a lower floor and knows no configuration).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "source/config/tls.h"
#include "source/tls/context.h"

namespace heddle::xds {

// Equal for sockets that can share a TLS context when their secrets are the same. Of a client the
// name it asks for and those it accepts are left out: tls::ClientContext::For.
std::string Fingerprint(const config::TransportSocket& socket);
tls::Certificate ToTls(const config::Certificate& certificate);
tls::Validation ToTls(const config::Validation& validation);
tls::ServerOptions ServerOptionsOf(const config::DownstreamTls& config,
                                   const std::vector<config::Certificate>& certificates,
                                   const std::optional<config::Validation>& validation);
tls::ClientOptions ClientOptionsOf(const config::UpstreamTls& config,
                                   const std::vector<config::Certificate>& certificates,
                                   const std::optional<config::Validation>& validation);

}  // namespace heddle::xds
