// Where the process's own calls go (ADS, certificates, OTLP): one endpoint of a cluster and how to
// reach it.
#pragma once

#include "absl/status/statusor.h"
#include "source/base/clock.h"
#include "source/http/grpc/client.h"
#include "source/upstream/spec.h"

namespace heddle::xds {

// A healthy host by chance. Unavailable when there is none. The factory in the answer is the
// spec's: keep the spec.
absl::StatusOr<http::grpc::Client::Options> PickTarget(const upstream::ClusterSpec& cluster,
                                                       base::Random& random);

}  // namespace heddle::xds
