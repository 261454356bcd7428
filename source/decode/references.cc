#include "source/decode/references.h"

#include <string>
#include <variant>

#include "absl/container/btree_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "source/base/status.h"

namespace heddle::decode {
namespace {

using Names = absl::btree_set<std::string>;

absl::Status CheckAction(const config::RouteAction& action, const Path& at, ClusterCheck check) {
  if (!action.cluster.empty()) HEDDLE_RETURN_IF_ERROR(check(action.cluster, at.Field("cluster")));
  const Path weighted = at.Field("weighted_clusters"),
             mirrors = at.Field("request_mirror_policies");
  const Path clusters = weighted.Field("clusters");
  for (size_t i = 0; i < action.weighted.size(); ++i) {
    const Path here = clusters.Index(i);
    HEDDLE_RETURN_IF_ERROR(check(action.weighted[i].name, here.Field("name")));
  }
  for (size_t i = 0; i < action.mirrors.size(); ++i) {
    const Path here = mirrors.Index(i);
    HEDDLE_RETURN_IF_ERROR(check(action.mirrors[i].cluster, here.Field("cluster")));
  }
  return absl::OkStatus();
}

absl::Status CheckChain(const config::FilterChain& chain, const Path& at, ClusterCheck check) {
  const auto* http =
      std::get_if<std::shared_ptr<const config::HttpConnectionManager>>(&chain.terminal);
  if (http == nullptr || (*http)->routes == nullptr) return absl::OkStatus();
  const Path filters = at.Field("filters");
  const Path terminal = filters.Index(chain.policies.size());
  const Path here = terminal.Field("typed_config");
  return CheckRoutes(*(*http)->routes, /*by_default=*/true, here.Field("route_config"), check);
}

// What resources refer to, checked once all of them are known.
class References {
 public:
  explicit References(const config::Bootstrap& bootstrap)
      : all_clusters_(!bootstrap.cds_from_ads), ads_(bootstrap.ads.has_value()) {
    for (const auto& cluster : bootstrap.clusters) clusters_.insert(cluster->name);
    for (const auto& secret : bootstrap.secrets) secrets_.insert(secret->name);
  }

  absl::Status Check(const config::Listener& listener, const Path& at) const {
    for (size_t i = 0; i < listener.chains.size(); ++i) {
      const Path chains = at.Field("filter_chains");
      HEDDLE_RETURN_IF_ERROR(Check(listener.chains[i], chains.Index(i)));
    }
    return listener.default_chain ? Check(*listener.default_chain, at.Field("default_filter_chain"))
                                  : absl::OkStatus();
  }

  absl::Status Check(const config::Cluster& cluster, const Path& at) const {
    if (cluster.discovery == config::Cluster::Discovery::kEds && !ads_) {
      return at.Field("eds_cluster_config").Error("needs dynamic_resources.ads_config");
    }
    HEDDLE_RETURN_IF_ERROR(Check(cluster.transport, at.Field("transport_socket")));
    for (const config::TransportSocketMatch& match : cluster.transport_matches) {
      HEDDLE_RETURN_IF_ERROR(Check(match.socket, at.Field("transport_socket_matches")));
    }
    return absl::OkStatus();
  }

  // Of a route that is checked, whatever discovery may bring.
  absl::Status Known(absl::string_view name, const Path& at) const {
    if (clusters_.contains(name)) return absl::OkStatus();
    return at.Error(
        absl::StrCat("unknown cluster \"", name, "\", known are ", absl::StrJoin(clusters_, ", ")));
  }

 private:
  absl::Status Check(const config::FilterChain& chain, const Path& at) const {
    HEDDLE_RETURN_IF_ERROR(Check(chain.transport, at.Field("transport_socket")));
    const Path filters = at.Field("filters");
    const Path terminal = filters.Index(chain.policies.size());
    const Path here = terminal.Field("typed_config");
    if (const auto* http =
            std::get_if<std::shared_ptr<const config::HttpConnectionManager>>(&chain.terminal)) {
      return Check(**http, here);
    }
    const config::TcpProxy& tcp =
        *std::get<std::shared_ptr<const config::TcpProxy>>(chain.terminal);
    HEDDLE_RETURN_IF_ERROR(Cluster(tcp.cluster, here));
    for (const auto& weighted : tcp.weighted) HEDDLE_RETURN_IF_ERROR(Cluster(weighted.name, here));
    return absl::OkStatus();
  }

  absl::Status Check(const config::HttpConnectionManager& http, const Path& at) const {
    if (!http.rds_name.empty() && !ads_) return at.Error("rds needs dynamic_resources.ads_config");
    return http.tracing ? Cluster(http.tracing->target.cluster, at.Field("tracing"))
                        : absl::OkStatus();
  }

  absl::Status Check(const config::TransportSocket& socket, const Path& at) const {
    const config::CommonTls* tls = socket.downstream_tls != nullptr ? &socket.downstream_tls->common
                                   : socket.upstream_tls != nullptr ? &socket.upstream_tls->common
                                                                    : nullptr;
    if (tls == nullptr || ads_) return absl::OkStatus();
    for (const auto& source : tls->certificate_sds) HEDDLE_RETURN_IF_ERROR(Secret(source.name, at));
    return tls->validation_sds.name.empty() ? absl::OkStatus()
                                            : Secret(tls->validation_sds.name, at);
  }

  absl::Status Cluster(absl::string_view name, const Path& at) const {
    return !all_clusters_ || name.empty() ? absl::OkStatus() : Known(name, at);
  }

  absl::Status Secret(const std::string& name, const Path& at) const {
    if (secrets_.contains(name)) return absl::OkStatus();
    return at.Error(
        absl::StrCat("unknown secret \"", name, "\", known are ", absl::StrJoin(secrets_, ", ")));
  }

  Names clusters_, secrets_;
  const bool all_clusters_;  // no discovery: what is not here will never be
  const bool ads_;
};

}  // namespace

absl::Status CheckRoutes(const config::RouteConfiguration& in, bool by_default, const Path& at,
                         ClusterCheck check) {
  if (!in.validate_clusters.value_or(by_default)) return absl::OkStatus();
  const Path hosts = at.Field("virtual_hosts");
  for (size_t i = 0; i < in.virtual_hosts.size(); ++i) {
    const Path host = hosts.Index(i);
    const Path routes = host.Field("routes");
    for (size_t j = 0; j < in.virtual_hosts[i].routes.size(); ++j) {
      const Path here = routes.Index(j);
      HEDDLE_RETURN_IF_ERROR(
          CheckAction(in.virtual_hosts[i].routes[j].forward, here.Field("route"), check));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckInlineRoutes(const config::Listener& in, const Path& at, ClusterCheck check) {
  const Path chains = at.Field("filter_chains");
  for (size_t i = 0; i < in.chains.size(); ++i) {
    HEDDLE_RETURN_IF_ERROR(CheckChain(in.chains[i], chains.Index(i), check));
  }
  if (!in.default_chain) return absl::OkStatus();
  return CheckChain(*in.default_chain, at.Field("default_filter_chain"), check);
}

absl::Status CheckReferences(const config::Bootstrap& in, const Path& at) {
  const References references(in);
  const Path fixed = at.Field("static_resources");
  const Path listeners = fixed.Field("listeners"), clusters = fixed.Field("clusters");
  for (size_t i = 0; i < in.listeners.size(); ++i) {
    const Path here = listeners.Index(i);
    HEDDLE_RETURN_IF_ERROR(references.Check(*in.listeners[i], here));
    HEDDLE_RETURN_IF_ERROR(CheckInlineRoutes(
        *in.listeners[i], here,
        [&](absl::string_view name, const Path& at) { return references.Known(name, at); }));
  }
  for (size_t i = 0; i < in.clusters.size(); ++i) {
    HEDDLE_RETURN_IF_ERROR(references.Check(*in.clusters[i], clusters.Index(i)));
  }
  if (!in.ads) return absl::OkStatus();
  for (const auto& cluster : in.clusters) {
    if (cluster->name != in.ads->cluster) continue;
    if (cluster->http.kind == config::UpstreamHttp::Kind::kHttp1) {
      return at.Field("dynamic_resources")
          .Error(absl::StrCat("cluster \"", in.ads->cluster,
                              "\" speaks HTTP/1.1, and gRPC needs HTTP/2"));
    }
    return absl::OkStatus();
  }
  return at.Field("dynamic_resources")
      .Error(absl::StrCat("cluster \"", in.ads->cluster, "\" must be in static_resources"));
}

}  // namespace heddle::decode
