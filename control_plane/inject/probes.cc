#include "control_plane/inject/probes.h"

#include <optional>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "control_plane/inject/json.h"
#include "control_plane/inject/values.h"

namespace heddle::inject {
namespace {

// Where a handler stands in a container, and the last part of its path on the health port.
struct Place {
  const char* parent;  // of the container; null: the container itself
  const char* field;
  const char* path;
};

constexpr Place kPlaces[] = {
    {nullptr, "livenessProbe", "livez"},   {nullptr, "readinessProbe", "readyz"},
    {nullptr, "startupProbe", "startupz"}, {"lifecycle", "postStart", "poststart"},
    {"lifecycle", "preStop", "prestop"},
};

std::string HealthPath(const Json& container, const Place& place) {
  return absl::StrCat("/app-health/", TextAt(container, "name"), "/", place.path);
}

// The handler's object, or null.
Json* Find(const Place& place, Json* container) {
  Json* parent = container;
  if (place.parent != nullptr) {
    const auto found = container->find(place.parent);
    if (found == container->end() || !found->is_object()) return nullptr;
    parent = &*found;
  }
  const auto found = parent->find(place.field);
  return found == parent->end() || !found->is_object() ? nullptr : &*found;
}

std::optional<uint32_t> PortNumber(const Json& container, const Json& port) {
  int64_t number = 0;
  if (port.is_number_integer()) {
    number = port.get<int64_t>();
  } else if (port.is_string()) {
    for (const Json& one : Items(At(container, "ports")))
      if (At(one, "name") == port && At(one, "containerPort").is_number_integer())
        number = At(one, "containerPort").get<int64_t>();
  }
  if (number < 1 || number > 65535) return std::nullopt;
  return static_cast<uint32_t>(number);
}

// Long as the sidecar takes: the kubelet gives a hook the whole grace period.
constexpr int kHookSeconds = 3600;

// Whether the sidecar can ask this: what it cannot stays with the kubelet.
bool CanBeAsked(const Json& handler, const Json& action) {
  const auto printable = [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != 0x7f; };
  const std::string path = TextAt(action, "path");
  if (!absl::c_all_of(path, printable) || absl::StrContains(path, ' ')) return false;
  for (const Json& header : Items(At(action, "httpHeaders")))
    if (!absl::c_all_of(TextAt(header, "value"), printable)) return false;
  const Json& timeout = At(handler, "timeoutSeconds");
  if (!timeout.is_null() && !(timeout.is_number_integer() && timeout <= 3600)) return false;
  return Items(At(action, "httpHeaders")).size() <= 100;
}

// The kind of handler that can be rewritten, or null.
const char* HandlerKind(const Place& place, const Json& handler) {
  if (handler.contains("httpGet")) return "httpGet";
  // A tcpSocket hook is an error to the kubelet, and there are no gRPC hooks.
  if (place.parent != nullptr) return nullptr;
  if (handler.contains("tcpSocket")) return "tcpSocket";
  return handler.contains("grpc") ? "grpc" : nullptr;
}

}  // namespace

void RewriteProbes(const Intercepted& ports, Json* container, Probes* probes) {
  for (const Place& place : kPlaces) {
    Json* const handler = Find(place, container);
    const char* const kind = handler == nullptr ? nullptr : HandlerKind(place, *handler);
    if (kind == nullptr || !(*handler)[kind].is_object()) continue;
    Json action = (*handler)[kind];
    if (!TextAt(action, "host").empty() || !CanBeAsked(*handler, action)) continue;
    const Json written = At(action, "port");
    const std::optional<uint32_t> port = PortNumber(*container, written);
    if (!port.has_value()) {
      probes->warnings.push_back(absl::StrCat("container ", TextAt(*container, "name"), ": ",
                                              place.field,
                                              " has a port that the container does not name; "
                                              "it is left as it is"));
      continue;
    }
    if (!PortsHave(ports.include_ports, *port) || PortsHave(ports.exclude_ports, *port)) continue;
    const std::string path = HealthPath(*container, place);
    action["port"] = *port;
    action.erase("host");  // empty
    if (written.is_string()) probes->port_names[path] = written;
    Json& entry = probes->handlers[path];
    entry[kind] = std::move(action);
    if (place.parent != nullptr) {
      entry["timeoutSeconds"] = kHookSeconds;
    } else if (handler->contains("timeoutSeconds")) {
      entry["timeoutSeconds"] = (*handler)["timeoutSeconds"];
    }
    handler->erase(kind);
    (*handler)["httpGet"] = {{"path", path}, {"port", kHealthPort}};
  }
}

void RestoreProbes(const Probes& probes, Json* container) {
  for (const Place& place : kPlaces) {
    Json* const handler = Find(place, container);
    if (handler == nullptr) continue;
    const std::string path = HealthPath(*container, place);
    const Json& get = At(*handler, "httpGet");
    if (TextAt(get, "path") != path || At(get, "port") != kHealthPort) continue;
    const Json& entry = At(probes.handlers, path);
    for (const char* kind : {"httpGet", "tcpSocket", "grpc"}) {
      if (!At(entry, kind).is_object()) continue;
      Json action = At(entry, kind);
      if (const Json& name = At(probes.port_names, path); name.is_string()) action["port"] = name;
      handler->erase("httpGet");
      (*handler)[kind] = std::move(action);
      break;
    }
  }
}

}  // namespace heddle::inject
