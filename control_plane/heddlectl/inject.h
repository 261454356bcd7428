// heddlectl inject: manifests in, manifests with the sidecar out, as the webhook would do it. The
// command's row of the table (commands.cc) is made here.
#pragma once

#include "control_plane/heddlectl/commands.h"

namespace heddle::heddlectl {

Command InjectCommand();

}  // namespace heddle::heddlectl
