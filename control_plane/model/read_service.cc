// Service and Workload.
#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "control_plane/model/readers.h"
#include "heddle/v1/service.pb.h"
#include "heddle/v1/workload.pb.h"

namespace heddle::model {
namespace {

using base::Path;

Protocol ReadAppProtocol(const v1::ServicePort& in) {
  const std::string name = absl::AsciiStrToLower(in.app_protocol());
  if (name.empty()) return ProtocolFromPortName(in.name()).value_or(Protocol::kTcp);
  if (name == "http" || name == "kubernetes.io/ws") return Protocol::kHttp;
  if (name == "http2" || name == "h2c" || name == "kubernetes.io/h2c") return Protocol::kHttp2;
  if (name == "grpc") return Protocol::kGrpc;
  return Protocol::kTcp;
}

TargetPort ReadTargetPort(const v1::ServicePort& in, uint16_t port, const Path& at,
                          Checker& check) {
  const Path here = at.Field("targetPort");
  if (!in.has_target_port()) return {.number = port, .name = {}};
  const google::protobuf::Value& value = in.target_port();
  if (value.kind_case() == google::protobuf::Value::kStringValue) {
    check.Label(here, value.string_value());
    return {.number = 0, .name = value.string_value()};
  }
  const double number = value.number_value();
  if (value.kind_case() != google::protobuf::Value::kNumberValue || number < 1 || number > 65535 ||
      number != static_cast<double>(static_cast<int32_t>(number))) {
    check.Error(here, "neither a port number nor a port name");
    return {};
  }
  return {.number = check.Port(here, static_cast<int64_t>(number)), .name = {}};
}

// A field of Kubernetes that the mesh knows and honours with these values only.
void OnlyValues(absl::string_view found, std::initializer_list<absl::string_view> allowed,
                const Path& at, Checker& check) {
  if (found.empty()) return;
  for (const absl::string_view one : allowed)
    if (found == one) return;
  check.Error(at, absl::StrCat("\"", found, "\" is not honoured by the mesh; allowed: ",
                               absl::StrJoin(allowed, ", ")));
}

void CheckServiceFields(const v1::ServiceSpec& spec, const Path& at, Checker& check) {
  OnlyValues(spec.type(), {"ClusterIP", "NodePort", "LoadBalancer"}, at.Field("type"), check);
  OnlyValues(spec.session_affinity(), {"None", "ClientIP"}, at.Field("sessionAffinity"), check);
  OnlyValues(spec.internal_traffic_policy(), {"Cluster", "Local"},
             at.Field("internalTrafficPolicy"), check);
  if (spec.publish_not_ready_addresses())
    check.Error(at.Field("publishNotReadyAddresses"), "true is not honoured by the mesh");
}

bool IsV6(const std::string& ip) { return ip.find(':') != std::string::npos; }

std::vector<std::string> ReadClusterIps(const v1::ServiceSpec& spec, const Path& at,
                                        Checker& check) {
  std::vector<std::string> out;
  const auto add = [&](const std::string& text, const Path& here) {
    if (text.empty() || text == "None") return;
    const std::optional<std::string> ip = CanonicalIp(text);
    if (!ip.has_value()) return check.Error(here, absl::StrCat("\"", text, "\" is no address"));
    if (std::find(out.begin(), out.end(), *ip) == out.end()) out.push_back(*ip);
  };
  add(spec.cluster_ip(), at.Field("clusterIP"));
  const Path all = at.Field("clusterIPs");
  for (int i = 0; i < spec.cluster_ips_size(); ++i)
    add(spec.cluster_ips(i), all.Index(static_cast<size_t>(i)));
  if (out.size() > 2 || (out.size() == 2 && IsV6(out[0]) == IsV6(out[1]))) {
    check.Error(all, "more than one address of a family; the first is clusterIP");
    out.resize(1);
  }
  return out;
}

Locality ReadLocality(const v1::Locality& in) { return {in.region(), in.zone(), in.sub_zone()}; }

Protocol ReadWorkloadProtocol(const v1::WorkloadPort& in) {
  switch (in.protocol()) {
    case v1::WorkloadPort::HTTP:
      return Protocol::kHttp;
    case v1::WorkloadPort::HTTP2:
      return Protocol::kHttp2;
    case v1::WorkloadPort::GRPC:
      return Protocol::kGrpc;
    case v1::WorkloadPort::TCP:
      return Protocol::kTcp;
    default:
      return ProtocolFromPortName(in.name()).value_or(Protocol::kTcp);
  }
}

void ReadWorkloadPorts(const v1::WorkloadSpec& spec, const Path& at, Checker& check,
                       Workload* out) {
  std::set<int> ports, app_ports;
  std::set<std::string> names;
  for (const v1::WorkloadPort& one : spec.ports()) ports.insert(one.port());
  if (ports.size() != static_cast<size_t>(spec.ports_size())) check.Error(at, "port given twice");
  if (spec.ports_size() > 256) check.Error(at, "more than 256 ports");
  for (int i = 0; i < spec.ports_size(); ++i) {
    const v1::WorkloadPort& one = spec.ports(i);
    const Path here = at.Index(static_cast<size_t>(i));
    WorkloadPort port{.name = one.name(),
                      .port = check.Port(here.Field("port"), one.port()),
                      .app_port = 0,
                      .protocol = ReadWorkloadProtocol(one)};
    if (!one.name().empty()) {
      check.Label(here.Field("name"), one.name());
      if (!names.insert(one.name()).second)
        check.Error(here.Field("name"), absl::StrCat("\"", one.name(), "\" given twice"));
    }
    if (out->sidecar && (port.port == 15000 || port.port == 15001 || port.port == 15006))
      check.Error(here.Field("port"), absl::StrCat(port.port, " is the sidecar's own"));
    if (one.app_port() != 0) {
      port.app_port = check.Port(here.Field("appPort"), one.app_port());
      if (ports.contains(one.app_port()) || !app_ports.insert(one.app_port()).second)
        check.Error(here.Field("appPort"),
                    absl::StrCat(one.app_port(), " is taken by another port"));
    }
    out->ports.push_back(std::move(port));
  }
}

}  // namespace

ServiceParts ReadService(const v1::Service& in, Checker& check) {
  ServiceParts out;
  const Path root;
  const Path at = root.Field("spec");
  const v1::ServiceSpec& spec = in.spec();
  out.service.key = check.ReadKey(in.metadata(), true);
  check.CheckApiVersion(in.api_version(), {"v1"});
  CheckServiceFields(spec, at, check);
  out.service.cluster_ips = ReadClusterIps(spec, at, check);
  out.service.sticky = spec.session_affinity() == "ClientIP";
  out.local = spec.internal_traffic_policy() == "Local" && spec.cluster_ip() != "None";
  out.selector = {spec.selector().begin(), spec.selector().end()};
  out.v6 = out.service.cluster_ips.empty()
               ? !spec.ip_families().empty() && spec.ip_families(0) == "IPv6"
               : IsV6(out.service.cluster_ips[0]);
  const Path ports = at.Field("ports");
  if (spec.ports().empty()) check.Error(ports, "required");
  if (spec.ports_size() > 256) check.Error(ports, "more than 256 ports");
  std::set<std::string> names;
  std::set<int> numbers;
  for (int i = 0; i < spec.ports_size(); ++i) {
    const v1::ServicePort& one = spec.ports(i);
    const Path here = ports.Index(static_cast<size_t>(i));
    OnlyValues(one.protocol(), {"TCP"}, here.Field("protocol"), check);
    if (!one.name().empty()) check.Label(here.Field("name"), one.name());
    if (one.name().empty() && spec.ports_size() > 1)
      check.Error(here.Field("name"), "required when there are several ports");
    else if (!names.insert(one.name()).second)
      check.Error(here.Field("name"), absl::StrCat("\"", one.name(), "\" given twice"));
    ServicePort port;
    port.name = one.name();
    port.port = check.Port(here.Field("port"), one.port());
    port.protocol = ReadAppProtocol(one);
    if (!numbers.insert(one.port()).second)
      check.Error(here.Field("port"), absl::StrCat(one.port(), " given twice"));
    out.targets.push_back(ReadTargetPort(one, port.port, here, check));
    out.service.ports.push_back(std::move(port));
  }
  return out;
}

Workload ReadWorkload(const v1::Workload& in, Checker& check) {
  Workload out;
  const Path root;
  const Path at = root.Field("spec");
  const v1::WorkloadSpec& spec = in.spec();
  out.key = check.ReadKey(in.metadata(), false);
  check.CheckApiVersion(in.api_version(), {"heddle.dev/v1"});
  out.labels = {in.metadata().labels().begin(), in.metadata().labels().end()};
  const std::optional<std::string> address = CanonicalIp(spec.address());
  if (!address.has_value() || *address == "0.0.0.0" || *address == "::")
    check.Error(at.Field("address"), absl::StrCat("\"", spec.address(), "\" is no address"));
  out.address = address.value_or("");
  out.service_account = spec.service_account().empty() ? "default" : spec.service_account();
  check.Label(at.Field("serviceAccount"), out.service_account);
  out.locality = ReadLocality(spec.locality());
  out.node = spec.node();
  out.weight =
      spec.weight() == 0
          ? 1
          : static_cast<uint32_t>(check.Bounded(at.Field("weight"), spec.weight(), {1, 128}));
  out.sidecar = spec.sidecar() != v1::WorkloadSpec::NONE;
  ReadWorkloadPorts(spec, at.Field("ports"), check, &out);
  return out;
}

}  // namespace heddle::model
