#include "source/xds/target.h"

#include <vector>

#include "absl/strings/str_cat.h"

namespace heddle::xds {
namespace {

bool Usable(const upstream::Host& host) {
  return host.health == config::Health::kHealthy || host.health == config::Health::kDegraded;
}

}  // namespace

absl::StatusOr<http::grpc::Client::Options> PickTarget(const upstream::ClusterSpec& cluster,
                                                       base::Random& random) {
  std::vector<const upstream::Host*> hosts;
  for (const upstream::Host& host : cluster.hosts) {
    if (Usable(host)) hosts.push_back(&host);
  }
  if (hosts.empty()) {
    return absl::UnavailableError(
        absl::StrCat("cluster \"", cluster.config->name, "\" has no usable endpoint"));
  }
  const upstream::Host& host = *hosts[random.Below(hosts.size())];
  http::grpc::Client::Options out;
  out.address = host.state->address;
  out.transport = cluster.transports[host.transport].get();
  const auto& tls = cluster.config->transport.upstream_tls;
  if (tls != nullptr) out.authority = tls->sni;
  out.connect_timeout = cluster.config->connect_timeout;
  return out;
}

}  // namespace heddle::xds
