// The release that heddle-proxy says it is: on the command line, on its admin page and to the
// control plane.
#pragma once

namespace heddle::base {

extern const char kVersion[];

}  // namespace heddle::base
