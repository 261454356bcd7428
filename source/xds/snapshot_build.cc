// ConfigStore's other half: names become pointers.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "source/base/log.h"
#include "source/base/status.h"
#include "source/proxy/route_table.h"
#include "source/xds/config_store.h"

namespace heddle::xds {

bool ConfigStore::GaveUp(const std::string& what) {
  waits_now_.insert(what);
  const auto [it, fresh] = waiting_since_.try_emplace(what, env_.loop.Now());
  if (env_.loop.Now() - it->second < base::ToMicros(kFetchTimeout)) return false;
  return true;
}

void ConfigStore::Waits(const std::string& who, const std::string& what) {
  waiting_.push_back(absl::StrCat(who, " waits for ", what));
}

absl::Status ConfigStore::OpenLogs(const std::vector<config::AccessLog>& logs,
                                   proxy::AccessLoggers* out) {
  for (const config::AccessLog& log : logs) {
    HEDDLE_ASSIGN_OR_RETURN(auto logger, observe::AccessLogger::Create(log, env_.log_files));
    out->push_back(std::move(logger));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const proxy::HttpSpec>> ConfigStore::MakeHttp(
    const std::shared_ptr<const config::HttpConnectionManager>& config, bool outbound) {
  auto spec = std::make_shared<proxy::HttpSpec>();
  spec->config = config;
  if (config->routes != nullptr) spec->routes = proxy::RouteTable::Create(config->routes);
  HEDDLE_RETURN_IF_ERROR(OpenLogs(config->access_logs, &spec->logs));
  if (config->tracing.has_value()) {
    spec->tracer = std::make_shared<observe::Tracer>(*config->tracing, outbound,
                                                     env_.span_queues.Get(*config->tracing));
  }
  spec->stats = proxy::HttpStats::Make(env_.registry, config->stat_prefix);
  return std::shared_ptr<const proxy::HttpSpec>(std::move(spec));
}

absl::StatusOr<std::shared_ptr<const proxy::TcpSpec>> ConfigStore::MakeTcp(
    const std::shared_ptr<const config::TcpProxy>& config) {
  auto spec = std::make_shared<proxy::TcpSpec>();
  spec->config = config;
  for (const auto& cluster : config->weighted) spec->total_weight += cluster.weight;
  HEDDLE_RETURN_IF_ERROR(OpenLogs(config->access_logs, &spec->logs));
  spec->stats = proxy::TcpStats::Make(env_.registry, config->stat_prefix);
  return std::shared_ptr<const proxy::TcpSpec>(std::move(spec));
}

absl::StatusOr<proxy::ChainSpec> ConfigStore::MakeChain(const config::FilterChain& chain,
                                                        bool outbound) {
  proxy::ChainSpec spec;
  spec.config = &chain;
  HEDDLE_ASSIGN_OR_RETURN(spec.transport, secrets_.Factory(chain.transport));
  for (const config::NetworkPolicy& policy : chain.policies) {
    spec.policies.push_back(std::static_pointer_cast<const filter::NetworkPolicy>(policy.policy));
  }
  if (const auto* http =
          std::get_if<std::shared_ptr<const config::HttpConnectionManager>>(&chain.terminal)) {
    HEDDLE_ASSIGN_OR_RETURN(spec.http, MakeHttp(*http, outbound));
  } else {
    HEDDLE_ASSIGN_OR_RETURN(
        spec.tcp, MakeTcp(std::get<std::shared_ptr<const config::TcpProxy>>(chain.terminal)));
  }
  return spec;
}

absl::StatusOr<std::shared_ptr<const proxy::ListenerSpec>> ConfigStore::MakeListener(
    const std::shared_ptr<const config::Listener>& config) {
  auto spec = std::make_shared<proxy::ListenerSpec>();
  spec->config = config;
  const bool outbound = config->direction == config::Listener::Direction::kOutbound;
  for (const config::FilterChain& chain : config->chains) {
    HEDDLE_ASSIGN_OR_RETURN(proxy::ChainSpec made, MakeChain(chain, outbound));
    spec->chains.push_back(std::move(made));
  }
  if (config->default_chain.has_value()) {
    HEDDLE_ASSIGN_OR_RETURN(proxy::ChainSpec made, MakeChain(*config->default_chain, outbound));
    spec->default_chain = std::move(made);
  }
  spec->stats = proxy::ListenerStats::Make(env_.registry, config->address.ToString());
  return std::shared_ptr<const proxy::ListenerSpec>(std::move(spec));
}

void ConfigStore::BuildRoutes(proxy::Snapshot* out) {
  std::map<std::string, BuiltRoutes> built;
  for (const auto& [name, config] : routes_) {
    const auto old = built_routes_.find(name);
    BuiltRoutes& now = built[name];
    now = old != built_routes_.end() && old->second.config == config
              ? old->second
              : BuiltRoutes{.config = config, .table = proxy::RouteTable::Create(config)};
    out->routes[name] = now.table;
  }
  built_routes_ = std::move(built);
}

void ConfigStore::BuildCluster(const std::shared_ptr<const config::Cluster>& config,
                               proxy::Snapshot* out) {
  const std::string& name = config->name;
  const std::string who = absl::StrCat("cluster ", name);
  BuiltCluster& built = built_clusters_[name];
  std::string missing = secrets_.Missing(config->transport);
  for (const auto& match : config->transport_matches) {
    if (missing.empty()) missing = secrets_.Missing(match.socket);
  }
  if (!missing.empty()) {
    Waits(who, absl::StrCat("secret ", missing));
    if (built.builder != nullptr) out->clusters[name] = built.builder->spec();
    return;
  }
  upstream::Transports transports;
  absl::StatusOr<std::shared_ptr<const net::TransportFactory>> factory =
      secrets_.Factory(config->transport);
  if (factory.ok()) transports.push_back(*factory);
  for (const auto& match : config->transport_matches) {
    if (factory.ok()) factory = secrets_.Factory(match.socket);
    if (factory.ok()) transports.push_back(*factory);
  }
  if (!factory.ok()) {
    HEDDLE_LOG(kError, "config") << who << ": " << factory.status().message()
                                 << "; keeping its old form";
    if (built.builder != nullptr) out->clusters[name] = built.builder->spec();
    return;
  }
  if (built.builder == nullptr) {
    built.builder = std::make_unique<upstream::ClusterBuilder>(
        upstream::ClusterBuilder::Context{.loop = env_.loop,
                                          .registry = env_.registry,
                                          .sheet = env_.sheet,
                                          .random = env_.random,
                                          .resolver = env_.resolver,
                                          .on_outlier =
                                              [](const upstream::OutlierEvent& event) {
                                                HEDDLE_LOG(kInfo, "outlier")
                                                    << upstream::ToJson(event, absl::Now());
                                              }},
        config, transports, env_.on_change);
  } else if (built.config != config || built.transports != transports) {
    built.builder->SetConfig(config, transports);
  }
  built.config = config;
  built.transports = std::move(transports);
  const auto assignment = endpoints_.find(config->eds_name);
  if (config->discovery == config::Cluster::Discovery::kEds && assignment != endpoints_.end() &&
      built.assignment != assignment->second) {
    built.assignment = assignment->second;
    built.builder->SetAssignment(*assignment->second);
  }
  if (!built.builder->ready() && !GaveUp(absl::StrCat(who, " endpoints"))) {
    Waits(who, "its endpoints");
    return;
  }
  out->clusters[name] = built.builder->spec();
}

void ConfigStore::BuildClusters(proxy::Snapshot* out) {
  for (const auto* map : {&static_clusters_, &clusters_}) {
    for (const auto& [name, config] : *map) BuildCluster(config, out);
  }
  for (auto it = built_clusters_.begin(); it != built_clusters_.end();) {
    const bool known = static_clusters_.count(it->first) != 0 || clusters_.count(it->first) != 0;
    it = known ? std::next(it) : built_clusters_.erase(it);
  }
}

void ConfigStore::BuildListener(const std::shared_ptr<const config::Listener>& config,
                                proxy::Snapshot* out) {
  const std::string who = absl::StrCat("listener ", config->name);
  BuiltListener& built = built_listeners_[config->name];
  const auto keep_old = [&] {
    if (built.spec != nullptr) out->listeners.push_back(built.spec);
  };
  if (const std::string missing = MissingOf(*config); !missing.empty()) {
    Waits(who, missing);
    return keep_old();
  }
  std::vector<std::shared_ptr<const net::TransportFactory>> transports;
  std::string route_missing;
  const auto look_at = [&](const config::FilterChain& chain) {
    const auto factory = secrets_.Factory(chain.transport);
    transports.push_back(factory.ok() ? *factory : nullptr);
    const auto* http =
        std::get_if<std::shared_ptr<const config::HttpConnectionManager>>(&chain.terminal);
    if (http != nullptr && !(*http)->rds_name.empty() && routes_.count((*http)->rds_name) == 0) {
      route_missing = (*http)->rds_name;
    }
  };
  for (const config::FilterChain& chain : config->chains) look_at(chain);
  if (config->default_chain.has_value()) look_at(*config->default_chain);
  if (!route_missing.empty() && !GaveUp(absl::StrCat(who, " routes"))) {
    Waits(who, absl::StrCat("routes ", route_missing));
    return keep_old();
  }
  if (built.spec == nullptr || built.config != config || built.transports != transports) {
    auto made = MakeListener(config);
    if (!made.ok()) {
      HEDDLE_LOG(kError, "config")
          << who << ": " << made.status().message() << "; keeping its old form";
      return keep_old();
    }
    built = {.config = config, .transports = std::move(transports), .spec = *std::move(made)};
  }
  out->listeners.push_back(built.spec);
}

std::shared_ptr<const proxy::Snapshot> ConfigStore::Build(bool listeners) {
  auto snapshot = std::make_shared<proxy::Snapshot>();
  snapshot->version = ++version_;
  waiting_.clear();
  waits_now_.clear();
  BuildRoutes(snapshot.get());
  BuildClusters(snapshot.get());
  for (const auto& [name, config] : static_listeners_) BuildListener(config, snapshot.get());
  if (listeners) {
    for (const auto& [name, config] : listeners_) BuildListener(config, snapshot.get());
  }
  for (auto it = built_listeners_.begin(); it != built_listeners_.end();) {
    const bool known = static_listeners_.count(it->first) != 0 || listeners_.count(it->first) != 0;
    it = known ? std::next(it) : built_listeners_.erase(it);
  }
  secrets_.Sweep();
  for (auto it = waiting_since_.begin(); it != waiting_since_.end();) {
    it = waits_now_.count(it->first) == 0 ? waiting_since_.erase(it) : std::next(it);
  }
  const bool counting =
      std::any_of(waiting_since_.begin(), waiting_since_.end(), [&](const auto& entry) {
        return env_.loop.Now() - entry.second < base::ToMicros(kFetchTimeout);
      });
  if (counting) wait_timer_.Start(absl::Seconds(1));
  snapshot_ = std::move(snapshot);
  return snapshot_;
}

}  // namespace heddle::xds
