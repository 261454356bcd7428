#include "control_plane/inject/decide.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "control_plane/inject/json.h"

namespace heddle::inject {
namespace {

Decision Skip(absl::string_view reason, std::string message) {
  return {.verdict = Verdict::kSkip, .reason = reason, .message = std::move(message)};
}

// Whatever the labels say.
bool Never(const Json& pod, const Namespace& ns, const Settings& settings, Decision* decision) {
  const Json& spec = At(pod, "spec");
  const auto& excluded = settings.excluded_namespaces;
  if (ns.name == settings.system_namespace ||
      std::find(excluded.begin(), excluded.end(), ns.name) != excluded.end()) {
    *decision =
        Skip("system-namespace", absl::StrCat("no pod of namespace ", ns.name, " is injected"));
  } else if (At(spec, "hostNetwork") == true) {
    *decision = Skip("host-network",
                     "the pod uses the node's network (hostNetwork: true), which is not the "
                     "sidecar's to redirect");
  } else if (TextAt(At(spec, "os"), "name") == "windows") {
    *decision = Skip("windows", "the pod runs on Windows (os.name: windows)");
  } else if (At(At(pod, "metadata"), "annotations").contains("kubernetes.io/config.mirror")) {
    *decision =
        Skip("static-pod", "the pod is the mirror of a static pod, which cannot be changed");
  } else {
    return false;
  }
  return true;
}

}  // namespace

Decision Decide(const Json& pod, const Namespace& ns, const Settings& settings) {
  Decision decision;
  if (Never(pod, ns, settings, &decision)) return decision;
  if (const Json& label = At(At(At(pod, "metadata"), "labels"), kInjectLabel); !label.is_null()) {
    if (label == "true")
      return {Verdict::kInject, "pod-label", absl::StrCat("pod label ", kInjectLabel, " is true")};
    if (label == "false")
      return Skip("pod-label", absl::StrCat("pod label ", kInjectLabel, " is false"));
    return {Verdict::kRefuse, "bad-label",
            absl::StrCat("pod label ", kInjectLabel, ": found ",
                         label.dump(-1, ' ', true, Json::error_handler_t::replace).substr(0, 100),
                         ", allowed \"true\", \"false\"")};
  }
  const auto label = ns.labels.find(kInjectLabel);
  if (label == ns.labels.end())
    return Skip("not-enabled", absl::StrCat("namespace ", ns.name, " has no label ", kInjectLabel,
                                            ": enabled, and the pod has none of its own"));
  if (label->second == "enabled")
    return {Verdict::kInject, "namespace-label",
            absl::StrCat("namespace ", ns.name, " has the label ", kInjectLabel, ": enabled")};
  return Skip("not-enabled", absl::StrCat("namespace label ", kInjectLabel, " is \"", label->second,
                                          "\"; only \"enabled\" injects"));
}

}  // namespace heddle::inject
