// The codec of one upstream connection, from the cluster's options. See MakeCodec in lease.h.
#pragma once

#include <memory>

#include "source/upstream/lease.h"

namespace heddle::upstream {

std::unique_ptr<http::ClientCodec> MakeUpstreamCodec(http::Protocol protocol,
                                                     const config::Cluster& config,
                                                     net::Connection& connection,
                                                     http::ClientEvents* events);

}  // namespace heddle::upstream
