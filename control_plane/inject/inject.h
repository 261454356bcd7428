// Puts the sidecar into a pod, and takes it out again: pure functions on the pod's JSON. A pod is
// what has `metadata` and `spec`: a Pod, or the template of a Deployment.
//
//   nlohmann::json after = pod;
//   std::vector<std::string> warnings;
//   HEDDLE_RETURN_IF_ERROR(Inject(settings, &after, &warnings));
//   const nlohmann::json patch = Diff(pod, after);
//
// A pod that was injected before is taken back to what it was and injected anew, so that doing it
// twice is doing it once, and a newer Heddle replaces what an older one put in. What others have
// added to our containers in between (defaults, limits) stays where the rest is still as we want
// it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "control_plane/inject/settings.h"

namespace heddle::inject {

// Decides nothing: see Decide. InvalidArgument with a sentence for people when an annotation is bad
// or the pod has what contradicts a sidecar; `pod` is then as it was.
absl::Status Inject(const Settings& settings, nlohmann::json* pod,
                    std::vector<std::string>* warnings);

// Whether Inject has been here.
bool IsInjected(const nlohmann::json& pod);

// Undoes Inject; a pod without a sidecar stays as it is.
absl::Status Remove(nlohmann::json* pod);

}  // namespace heddle::inject
