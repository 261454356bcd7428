// What `heddlectl install` prints, for the commands that compare it with a cluster.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "control_plane/heddlectl/args.h"
#include "control_plane/install/manifests.h"

namespace heddle::heddlectl {

// By --namespace, --values and --set.
absl::StatusOr<std::vector<install::Manifest>> RequestedManifests(const Args& args);

}  // namespace heddle::heddlectl
