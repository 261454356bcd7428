// TLS whose certificate has not come: every connection fails in its handshake, nothing is ever sent
// or read in plain text. Stands where initial_fetch_timeout has ended the wait for a secret, until
// the secret is there.
#pragma once

#include <memory>

#include "source/net/transport.h"

namespace heddle::xds {

// One for the process.
std::shared_ptr<const net::TransportFactory> NoSecretTransports();

}  // namespace heddle::xds
