// ConfigStore's other half: names become pointers.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "source/base/log.h"
#include "source/base/status.h"
#include "source/proxy/route_table.h"
#include "source/upstream/cluster_stats.h"
#include "source/xds/config_store.h"

namespace heddle::xds {

bool ConfigStore::Waits(const std::string& who, const Missing& missing) {
  const bool ends = missing.timeout > absl::ZeroDuration();
  const auto [it, fresh] = waits_.try_emplace(
      absl::StrCat(missing.what, " ", absl::FormatDuration(missing.timeout)), Wait());
  Wait& wait = it->second;
  wait.asked = true;
  if (fresh && ends) wait.deadline = env_.loop.Now() + base::ToMicros(missing.timeout);
  if (!wait.over && ends && env_.loop.Now() >= wait.deadline) {
    wait.over = true;
    if (missing.timed_out != nullptr) env_.sheet.Add(missing.timed_out());
    HEDDLE_LOG(kWarning, "config") << missing.what << " did not come within " << missing.timeout
                                   << "; " << who << " goes on without";
  }
  if (!wait.over) waiting_.push_back(absl::StrCat(who, " waits for ", missing.what));
  return !wait.over;
}

bool ConfigStore::WaitsForSecrets(const std::string& who, const config::TransportSocket& socket) {
  bool waits = false;
  for (const config::SecretSource& source : secrets_.Missing(socket)) {
    waits |= Waits(who, {.what = absl::StrCat("secret ", source.name),
                         .timeout = source.fetch_timeout,
                         .timed_out = [this, &source] {
                           return env_.registry.Counter("sds.init_fetch_timeout",
                                                        {{"envoy_sds_secret", source.name}});
                         }});
  }
  return waits;
}

bool ConfigStore::WaitsForRoutes(const std::string& who, const config::FilterChain& chain) {
  const auto* terminal =
      std::get_if<std::shared_ptr<const config::HttpConnectionManager>>(&chain.terminal);
  if (terminal == nullptr) return false;
  const config::HttpConnectionManager& http = **terminal;
  if (http.rds_name.empty() || routes_.count(http.rds_name) != 0) return false;
  return Waits(who, {.what = absl::StrCat("routes ", http.rds_name),
                     .timeout = http.rds_fetch_timeout,
                     .timed_out = [this, &http] {
                       return env_.registry.Counter(
                           "http.rds.init_fetch_timeout",
                           {{"envoy_http_conn_manager_prefix", http.stat_prefix},
                            {"envoy_rds_route_config", http.rds_name}});
                     }});
}

bool ConfigStore::WaitsForEndpoints(const std::string& who, const BuiltCluster& built) {
  if (built.builder->ready()) return false;
  const std::string what = absl::StrCat("endpoints of ", built.config->name);
  if (built.config->discovery != config::Cluster::Discovery::kEds)
    return Waits(who, {.what = what, .timeout = kNameTimeout});
  return Waits(who, {.what = what, .timeout = built.config->eds_fetch_timeout, .timed_out = [&] {
                       return built.builder->spec()->stats->init_fetch_timeout;
                     }});
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
                                                     env_.span_queues.Get(config->tracing->target));
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

absl::StatusOr<upstream::Transports> ConfigStore::TransportsOf(const config::Cluster& config) {
  upstream::Transports out;
  HEDDLE_ASSIGN_OR_RETURN(auto transport, secrets_.Factory(config.transport));
  out.push_back(std::move(transport));
  for (const auto& match : config.transport_matches) {
    HEDDLE_ASSIGN_OR_RETURN(auto matched, secrets_.Factory(match.socket));
    out.push_back(std::move(matched));
  }
  return out;
}

std::unique_ptr<upstream::ClusterBuilder> ConfigStore::MakeBuilder(const BuiltCluster& of) {
  return std::make_unique<upstream::ClusterBuilder>(
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
      of.config, of.transports, env_.on_change);
}

void ConfigStore::BuildCluster(const std::shared_ptr<const config::Cluster>& config,
                               proxy::Snapshot* out) {
  const std::string& name = config->name;
  const std::string who = absl::StrCat("cluster ", name);
  BuiltCluster& built = built_clusters_[name];
  bool waits = WaitsForSecrets(who, config->transport);
  for (const auto& match : config->transport_matches) waits |= WaitsForSecrets(who, match.socket);
  absl::StatusOr<upstream::Transports> transports = TransportsOf(*config);
  if (!transports.ok()) {
    HEDDLE_LOG(kError, "config") << who << ": " << transports.status().message()
                                 << "; keeping its old form";
    if (built.builder == nullptr) return;
  } else if (built.builder == nullptr) {
    // Also when secrets are waited for: endpoints are waited for at the same time.
    built.config = config;
    built.transports = *std::move(transports);
    built.builder = MakeBuilder(built);
  } else if ((!waits || built.published == nullptr) &&
             (built.config != config || built.transports != *transports)) {
    built.config = config;
    built.transports = *std::move(transports);
    built.builder->SetConfig(built.config, built.transports);
  }
  const auto assignment = endpoints_.find(built.config->eds_name);
  if (built.config->discovery == config::Cluster::Discovery::kEds &&
      assignment != endpoints_.end() && built.assignment != assignment->second) {
    built.assignment = assignment->second;
    built.builder->SetAssignment(*assignment->second);
  }
  // While its new form waits for secrets the old one goes on, with the newest endpoints.
  if (!WaitsForEndpoints(who, built) && (!waits || built.published != nullptr))
    built.published = built.builder->spec();
  if (built.published != nullptr) out->clusters[name] = built.published;
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
  std::vector<std::shared_ptr<const net::TransportFactory>> transports;
  bool waits = false;
  const auto look_at = [&](const config::FilterChain& chain) {
    waits |= WaitsForSecrets(who, chain.transport);
    waits |= WaitsForRoutes(who, chain);
    const auto factory = secrets_.Factory(chain.transport);
    transports.push_back(factory.ok() ? *factory : nullptr);
  };
  for (const config::FilterChain& chain : config->chains) look_at(chain);
  if (config->default_chain.has_value()) look_at(*config->default_chain);
  if (waits) return keep_old();
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
  for (auto& [what, wait] : waits_) wait.asked = false;
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
  ArmWaitTimer();
  snapshot_ = std::move(snapshot);
  return snapshot_;
}

// Forgets what nobody waits for any more; Build is called again when the next wait is over.
void ConfigStore::ArmWaitTimer() {
  base::Micros next = 0;
  for (auto it = waits_.begin(); it != waits_.end();) {
    const Wait& wait = it->second;
    if (!wait.asked) {
      it = waits_.erase(it);
      continue;
    }
    if (!wait.over && wait.deadline != 0 && (next == 0 || wait.deadline < next))
      next = wait.deadline;
    ++it;
  }
  if (next == 0) return wait_timer_.Stop();
  wait_timer_.StartAt(next);
}

}  // namespace heddle::xds
