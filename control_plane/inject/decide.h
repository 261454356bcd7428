// Whether a pod gets a sidecar, and why: the reason is shown to people (Events, warnings, the log)
// and counted (metrics).
//
//   const Decision decision = Decide(pod, {.name = ns, .labels = labels}, settings);
//   if (decision.verdict == Verdict::kInject) ...
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/strings/string_view.h"
#include "control_plane/inject/settings.h"

namespace heddle::inject {

enum class Verdict {
  kInject,
  kSkip,
  kRefuse,  // what the pod asks for makes no sense: it must not run without the mesh by mistake
};

struct Decision {
  Verdict verdict = Verdict::kSkip;
  absl::string_view reason;  // a word for metrics: "host-network"
  std::string message;       // a sentence: "the pod uses the node's network (hostNetwork: true)"
};

struct Namespace {
  std::string name;
  std::map<std::string, std::string> labels;
};

// The pod's label wins over the namespace's; neither wins over hostNetwork, another operating
// system, a static pod or an excluded namespace. `pod` may be of any shape.
Decision Decide(const nlohmann::json& pod, const Namespace& ns, const Settings& settings);

}  // namespace heddle::inject
