// What a pod's lifecycle hooks run beside the sidecar, through its admin page:
//
//   heddle-proxy wait    until it is ready (postStart of a classic container: holds the
//   application) heddle-proxy drain   lets inbound connections end (preStop of a classic container)
#pragma once

#include <string>
#include <vector>

namespace heddle::probe {

// The exit code; `arguments` are those after the command's name.
int WaitMain(const std::vector<std::string>& arguments);
int DrainMain(const std::vector<std::string>& arguments);

}  // namespace heddle::probe
