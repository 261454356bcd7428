// The containers and volumes that are put into a pod, before the pod's own wishes are merged over
// them. Private to this folder.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "control_plane/inject/settings.h"

namespace heddle::inject {

inline constexpr char kProxyName[] = "heddle-proxy";
inline constexpr char kInitName[] = "heddle-init";
inline constexpr int kProxyUid = 1337;
// Of the sidecar: outbound, inbound, admin page, health port.
inline constexpr int kProxyPorts[] = {15001, 15006, 15000, 15021};

struct PodContext {
  // Kubernetes adds up what containers ask for and compares it with what the pod says as a whole
  // (spec.resources): ours then ask for nothing themselves.
  bool has_resources = false;
  int64_t proxy_uid = kProxyUid;
  const nlohmann::json* probes = nullptr;  // of HEDDLE_APP_PROBES; null or empty: none
};
nlohmann::json InitContainer(const PodOptions& options, const PodContext& pod);
nlohmann::json ProxyContainer(const PodOptions& options, const Settings& settings,
                              const PodContext& pod);

// The value of HEDDLE_APP_PROBES, in which Kubernetes would replace "$(NAME)", and the way back.
std::string PrintProbes(const nlohmann::json& probes);
nlohmann::json ReadProbes(const nlohmann::json& value);

// An array: the token, the mesh's root certificate, the sidecar's state.
nlohmann::json Volumes(const Settings& settings);

// Merges what the pod wrote for a container of ours over it: objects field by field, env, ports,
// mounts and devices entry by entry, probes and hooks as a whole, other lists replaced. Image
// "auto" keeps ours.
void MergeOver(const nlohmann::json& wishes, nlohmann::json* container);

}  // namespace heddle::inject
