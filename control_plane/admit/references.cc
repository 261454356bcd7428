#include "control_plane/admit/references.h"

#include <memory>

#include "heddle/v1/service.pb.h"

namespace heddle::admit {

std::vector<model::Object> ServicesOf(const model::World& world) {
  std::vector<model::Object> out;
  out.reserve(world.services.size());
  for (const auto& [key, service] : world.services) {
    auto body = std::make_shared<v1::Service>();
    body->set_api_version("v1");
    body->set_kind("Service");
    body->mutable_metadata()->set_name(key.name);
    body->mutable_metadata()->set_namespace_(key.ns);
    for (const model::ServicePort& port : service.ports) {
      v1::ServicePort& one = *body->mutable_spec()->add_ports();
      one.set_name(port.name);
      one.set_port(port.port);
    }
    out.push_back({.kind = model::Kind::kService,
                   .file = "service",
                   .line_of = nullptr,
                   .body = std::move(body)});
  }
  return out;
}

}  // namespace heddle::admit
