// What is wrong with one object by itself, without the others: what admission refuses. References
// are not looked up; BuildWorld does that.
#pragma once

#include <vector>

#include "control_plane/model/build.h"

namespace heddle::model {

// Of our own kinds (MeshConfig, BackendPolicy, AuthorizationPolicy, WorkloadPolicy, Workload);
// nothing for others.
std::vector<Problem> CheckObject(const Object& object, const WorldOptions& options);

}  // namespace heddle::model
