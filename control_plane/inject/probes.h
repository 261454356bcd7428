// The kubelet's probes and HTTP lifecycle hooks, turned into requests to the sidecar's health port,
// which asks the application from inside the pod. What it is to ask travels in the sidecar's
// environment (HEDDLE_APP_PROBES). Private to this folder.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace heddle::inject {

inline constexpr int kHealthPort = 15021;

struct Probes {
  // "/app-health/<container>/livez" to {"httpGet": {"port": 8080, ...}, "timeoutSeconds": 1}.
  nlohmann::json handlers = nlohmann::json::object();
  // The same paths to the name that the port had in the pod, where it had one.
  nlohmann::json port_names = nlohmann::json::object();
  std::vector<std::string> warnings;
};

struct Intercepted {
  std::string include_ports;  // as in PodOptions
  std::string exclude_ports;
};

// Rewrites what needs it in one container and adds it to `probes`. Left alone: exec, a probe of
// another host, and ports that are not intercepted.
void RewriteProbes(const Intercepted& ports, nlohmann::json* container, Probes* probes);

// The way back.
void RestoreProbes(const Probes& probes, nlohmann::json* container);

}  // namespace heddle::inject
