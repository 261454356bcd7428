// The configuration of a whole cluster, read once by kubectl: what heddle-control would make of it.
//
//   HEDDLE_ASSIGN_OR_RETURN(ingest::Update update, LoadCluster(Kubectl::FromArgs(args), options));
#pragma once

#include "absl/status/statusor.h"
#include "control_plane/heddlectl/kubectl.h"
#include "control_plane/ingest/source.h"
#include "control_plane/model/build.h"

namespace heddle::heddlectl {

// Kinds that the API server does not serve are left out.
absl::StatusOr<ingest::Update> LoadCluster(const Kubectl& kubectl, model::WorldOptions options);

}  // namespace heddle::heddlectl
