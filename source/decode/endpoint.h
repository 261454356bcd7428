// Load assignments, inside clusters and on their own. Private to this folder.
#pragma once

#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "source/config/cluster.h"
#include "source/decode/decode.h"
#include "source/decode/parts.h"

namespace heddle::decode {

// Whether an endpoint's address may be a name to look up.
enum class Hosts { kAddresses, kNames };

absl::StatusOr<config::LoadAssignment> DecodeAssignment(
    const envoy::config::endpoint::v3::ClusterLoadAssignment& in, const Path& at, Hosts hosts);

}  // namespace heddle::decode
