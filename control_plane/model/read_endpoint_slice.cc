// EndpointSlice.
#include "absl/strings/str_cat.h"
#include "control_plane/model/readers.h"
#include "heddle/v1/endpoint_slice.pb.h"

namespace heddle::model {
namespace {

using base::Path;

constexpr char kServiceName[] = "kubernetes.io/service-name";

SliceEndpoint ReadEndpoint(const v1::SliceEndpoint& in, const Path& at, Checker& check) {
  SliceEndpoint out;
  if (in.addresses().empty()) {
    check.Error(at.Field("addresses"), "required");
    return out;
  }
  const std::optional<std::string> address = CanonicalIp(in.addresses(0));
  if (!address.has_value())
    check.Error(at.Field("addresses").Index(0),
                absl::StrCat("\"", in.addresses(0), "\" is no address"));
  out.address = address.value_or("");
  if (in.target_ref().kind() == "Pod") out.pod = in.target_ref().name();
  out.zone = in.zone();
  out.node = in.node_name();
  const Path hints = at.Field("hints");
  const Path zones = hints.Field("forZones");
  if (in.hints().for_zones_size() > 8) check.Error(zones, "more than 8 zones");
  for (int i = 0; i < in.hints().for_zones_size(); ++i) {
    const auto& fields = in.hints().for_zones(i).fields();
    const auto name = fields.find("name");
    if (name == fields.end() || name->second.string_value().empty()) {
      check.Error(zones.Index(static_cast<size_t>(i)).Field("name"), "required");
    } else {
      out.for_zones.push_back(name->second.string_value());
    }
  }
  const v1::SliceConditions& conditions = in.conditions();
  out.ready = !conditions.has_ready() || conditions.ready().value();
  out.serving = conditions.has_serving() ? conditions.serving().value() : out.ready;
  out.terminating = conditions.terminating().value();
  return out;
}

}  // namespace

SliceParts ReadEndpointSlice(const v1::EndpointSlice& in, Checker& check) {
  SliceParts out;
  const Path root;
  out.key = check.ReadKey(in.metadata(), false);
  check.CheckApiVersion(in.api_version(), {"discovery.k8s.io/v1"});
  if (in.address_type() == "FQDN") return out;
  if (in.address_type() != "IPv4" && in.address_type() != "IPv6")
    check.Error(root.Field("addressType"),
                absl::StrCat("\"", in.address_type(), "\" is not IPv4, IPv6 or FQDN"));
  out.v6 = in.address_type() == "IPv6";
  const auto label = in.metadata().labels().find(kServiceName);
  if (label != in.metadata().labels().end()) out.service = {out.key.ns, label->second};
  const Path ports = root.Field("ports");
  if (in.ports_size() > 256) check.Error(ports, "more than 256 ports");
  for (int i = 0; i < in.ports_size(); ++i) {
    const v1::SlicePort& one = in.ports(i);
    if (one.port() == 0 || (!one.protocol().empty() && one.protocol() != "TCP")) continue;
    const Path here = ports.Index(static_cast<size_t>(i));
    out.ports.push_back({.name = one.name(), .port = check.Port(here.Field("port"), one.port())});
  }
  const Path endpoints = root.Field("endpoints");
  if (in.endpoints_size() > 1000) check.Error(endpoints, "more than 1000 endpoints");
  for (int i = 0; i < in.endpoints_size(); ++i)
    out.endpoints.push_back(
        ReadEndpoint(in.endpoints(i), endpoints.Index(static_cast<size_t>(i)), check));
  return out;
}

}  // namespace heddle::model
