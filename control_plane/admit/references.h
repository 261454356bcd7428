// What a policy under review may refer to, from the World that is served now.
#pragma once

#include <vector>

#include "control_plane/model/build.h"

namespace heddle::admit {

// The Services with the names and numbers of their ports; nothing else of them.
std::vector<model::Object> ServicesOf(const model::World& world);

}  // namespace heddle::admit
