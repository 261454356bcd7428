// Load assignments.
#include "source/decode/endpoint.h"

#include <limits>

#include "absl/container/btree_set.h"
#include "absl/strings/str_cat.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"

namespace heddle::decode {
namespace {

namespace core = envoy::config::core::v3;
namespace endpoint = envoy::config::endpoint::v3;

absl::StatusOr<config::Health> DecodeHealth(core::HealthStatus in, const Path& at) {
  switch (in) {
    case core::UNKNOWN:
    case core::HEALTHY:
      return config::Health::kHealthy;
    case core::UNHEALTHY:
      return config::Health::kUnhealthy;
    case core::DRAINING:
      return config::Health::kDraining;
    case core::TIMEOUT:
      return config::Health::kTimeout;
    case core::DEGRADED:
      return config::Health::kDegraded;
    default:
      return BadEnum(core::HealthStatus_descriptor(), in, at,
                     "UNKNOWN, HEALTHY, UNHEALTHY, DRAINING, TIMEOUT, DEGRADED");
  }
}

// A host name to look up, or an address.
absl::Status DecodePlace(const endpoint::Endpoint& in, const Path& at, Hosts hosts,
                         config::Endpoint* out) {
  const Path here = at.Field("address");
  HEDDLE_RETURN_IF_ERROR(Required(in.has_address(), here));
  out->hostname = in.hostname();
  if (hosts == Hosts::kNames && in.address().has_socket_address()) {
    const core::SocketAddress& socket = in.address().socket_address();
    const Path place = here.Field("socket_address");
    if (!net::Address::FromIp(socket.address(), socket.port_value()).ok()) {
      if (socket.address().empty() || socket.address().size() > 253) {
        return place.Field("address").Error(
            absl::StrCat("found ", socket.address().size(), " bytes, allowed 1 to 253"));
      }
      if (socket.port_value() < 1 || socket.port_value() > 65535) {
        return place.Field("port_value")
            .Error(absl::StrCat("found ", socket.port_value(), ", allowed 1 to 65535"));
      }
      out->hostname = socket.address();
      out->dns_port = static_cast<uint16_t>(socket.port_value());
      return absl::OkStatus();
    }
  }
  HEDDLE_ASSIGN_OR_RETURN(out->address, DecodeAddress(in.address(), here, {}));
  return absl::OkStatus();
}

absl::Status DecodeLocality(const endpoint::LocalityLbEndpoints& in, const Path& at, Hosts hosts,
                            config::Locality* out) {
  out->region = in.locality().region();
  out->zone = in.locality().zone();
  out->sub_zone = in.locality().sub_zone();
  out->priority = in.priority();
  if (out->priority > 128)
    return at.Field("priority").Error(absl::StrCat("found ", out->priority, ", allowed 0 to 128"));
  HEDDLE_RETURN_IF_ERROR(Uint(in.has_load_balancing_weight(), in.load_balancing_weight(),
                              at.Field("load_balancing_weight"), 1, kMaxUint, &out->weight));
  const Path list = at.Field("lb_endpoints");
  uint64_t sum = 0;
  for (int i = 0; i < in.lb_endpoints_size(); ++i) {
    const endpoint::LbEndpoint& lb = in.lb_endpoints(i);
    const Path here = list.Index(static_cast<size_t>(i));
    config::Endpoint one;
    HEDDLE_RETURN_IF_ERROR(Required(lb.has_endpoint(), here.Field("endpoint")));
    HEDDLE_RETURN_IF_ERROR(DecodePlace(lb.endpoint(), here.Field("endpoint"), hosts, &one));
    HEDDLE_ASSIGN_OR_RETURN(one.health,
                            DecodeHealth(lb.health_status(), here.Field("health_status")));
    HEDDLE_RETURN_IF_ERROR(Uint(lb.has_load_balancing_weight(), lb.load_balancing_weight(),
                                here.Field("load_balancing_weight"), 1, kMaxUint, &one.weight));
    one.metadata = DecodeMetadata(lb.metadata());
    sum += one.weight;
    out->endpoints.push_back(std::move(one));
  }
  if (sum > kMaxUint)
    return list.Error(absl::StrCat("weights sum to ", sum, ", allowed ", kMaxUint));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<config::LoadAssignment> DecodeAssignment(const endpoint::ClusterLoadAssignment& in,
                                                        const Path& at, Hosts hosts) {
  config::LoadAssignment out;
  out.cluster = in.cluster_name();
  if (out.cluster.empty()) return at.Field("cluster_name").Error("required");
  const Path list = at.Field("endpoints");
  absl::btree_set<uint32_t> priorities;
  for (int i = 0; i < in.endpoints_size(); ++i) {
    config::Locality locality;
    HEDDLE_RETURN_IF_ERROR(
        DecodeLocality(in.endpoints(i), list.Index(static_cast<size_t>(i)), hosts, &locality));
    priorities.insert(locality.priority);
    out.localities.push_back(std::move(locality));
  }
  if (!priorities.empty() && *priorities.rbegin() + 1 != priorities.size()) {
    return list.Error(absl::StrCat("found ", priorities.size(), " priorities up to ",
                                   *priorities.rbegin(), ", allowed 0 upwards without gaps"));
  }
  const Path policy = at.Field("policy");
  HEDDLE_RETURN_IF_ERROR(
      Uint(in.policy().has_overprovisioning_factor(), in.policy().overprovisioning_factor(),
           policy.Field("overprovisioning_factor"), 1, 100000, &out.overprovisioning_factor));
  return out;
}

absl::StatusOr<std::shared_ptr<const config::LoadAssignment>> DecodeEndpoints(
    const endpoint::ClusterLoadAssignment& in, const Path& at, Context& context) {
  HEDDLE_RETURN_IF_ERROR(NoteUnknown(in, at, context));
  HEDDLE_ASSIGN_OR_RETURN(config::LoadAssignment out, DecodeAssignment(in, at, Hosts::kAddresses));
  return std::make_shared<const config::LoadAssignment>(std::move(out));
}

}  // namespace heddle::decode
