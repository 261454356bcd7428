#include "source/upstream/builder.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"

namespace heddle::upstream {
namespace {

using Discovery = config::Cluster::Discovery;
using HostKey = std::pair<net::Address, std::string>;

DnsWatch::Options WatchOptions(const config::Cluster& config) {
  using Family = config::Cluster::DnsFamily;
  DnsWatch::Options options;
  options.refresh = config.dns_refresh;
  options.respect_ttl = config.respect_dns_ttl;
  options.keep_when_gone = config.discovery == Discovery::kLogicalDns;
  switch (config.dns_family) {
    case Family::kAuto:
      options.family = net::IpFamily::kAuto;
      break;
    case Family::kV4Only:
      options.family = net::IpFamily::kV4Only;
      break;
    case Family::kV6Only:
      options.family = net::IpFamily::kV6Only;
      break;
    case Family::kV4Preferred:
      options.family = net::IpFamily::kV4Preferred;
      break;
    case Family::kAll:
      options.family = net::IpFamily::kAll;
      break;
  }
  return options;
}

bool Usable(const net::Address& address) { return address.family() != AF_UNSPEC; }

// Its address has to be asked for.
bool Named(const config::Endpoint& endpoint) {
  return !Usable(endpoint.address) && !endpoint.hostname.empty();
}

size_t CountNew(const ClusterSpec& spec, const ClusterSpec* previous) {
  absl::flat_hash_map<const HostState*, bool> before;
  if (previous != nullptr) {
    for (const Host& host : previous->hosts) before.emplace(host.state.get(), true);
  }
  size_t kept = 0;
  for (const Host& host : spec.hosts) kept += before.contains(host.state.get()) ? 1 : 0;
  return (spec.hosts.size() - kept) + (before.size() - std::min(kept, before.size()));
}

}  // namespace

std::shared_ptr<const ClusterSpec> MakeClusterSpec(SpecParts parts,
                                                   const config::LoadAssignment& assignment,
                                                   const ClusterSpec* previous) {
  absl::flat_hash_map<HostKey, std::shared_ptr<HostState>> states;
  if (previous != nullptr) {
    for (const Host& host : previous->hosts)
      states.emplace(HostKey(host.state->address, host.state->hostname), host.state);
  }
  auto spec = std::make_shared<ClusterSpec>();
  spec->overprovisioning_factor = assignment.overprovisioning_factor;
  for (const config::Locality& from : assignment.localities) {
    const uint32_t locality = static_cast<uint32_t>(spec->localities.size());
    spec->localities.push_back({.region = from.region,
                                .zone = from.zone,
                                .sub_zone = from.sub_zone,
                                .priority = from.priority,
                                .weight = from.weight});
    for (const config::Endpoint& endpoint : from.endpoints) {
      if (!Usable(endpoint.address)) continue;
      std::shared_ptr<HostState>& state = states[HostKey(endpoint.address, endpoint.hostname)];
      if (state == nullptr)
        state = std::make_shared<HostState>(endpoint.address, endpoint.hostname);
      spec->hosts.push_back({.state = state,
                             .weight = std::max(endpoint.weight, 1u),
                             .health = endpoint.health,
                             .priority = from.priority,
                             .locality = locality,
                             .transport = TransportOf(*parts.config, endpoint.metadata),
                             .metadata = endpoint.metadata});
    }
  }
  spec->config = std::move(parts.config);
  spec->transports = std::move(parts.transports);
  spec->shared = std::move(parts.shared);
  spec->stats = std::move(parts.stats);
  return spec;
}

ClusterBuilder::ClusterBuilder(Context context, std::shared_ptr<const config::Cluster> config,
                               Transports transports, std::function<void()> on_change)
    : context_(std::move(context)),
      config_(std::move(config)),
      transports_(std::move(transports)),
      on_change_(std::move(on_change)),
      anchor_(std::make_shared<Anchor>(Anchor{this})),
      shared_(std::make_shared<SharedCluster>()),
      stats_(ClusterStats::Create(context_.registry, config_->alt_stat_name.empty()
                                                         ? config_->name
                                                         : config_->alt_stat_name)),
      interval_(context_.loop, [this] { OnInterval(); }) {
  shared_->on_failure_run = [&loop = context_.loop, anchor = anchor_](
                                const std::shared_ptr<HostState>& host, Ejection type) {
    loop.Post([&loop, anchor, host, type] {
      ClusterBuilder* builder = anchor->builder;
      if (builder == nullptr || builder->outlier_ == nullptr) return;
      builder->outlier_->OnFailureRun(host, type, loop.Now());
      builder->ShowMembership();
    });
  };
  SetOutlier();
  WatchNames();
  Rebuild();
}

ClusterBuilder::~ClusterBuilder() { anchor_->builder = nullptr; }

void ClusterBuilder::SetConfig(std::shared_ptr<const config::Cluster> config,
                               Transports transports) {
  config_ = std::move(config);
  transports_ = std::move(transports);
  SetOutlier();
  WatchNames();
  Rebuild();
}

void ClusterBuilder::SetAssignment(config::LoadAssignment assignment) {
  assignment_ = std::move(assignment);
  assigned_ = true;
  context_.sheet.Add(stats_->update_attempt);
  context_.sheet.Add(stats_->update_success);
  Rebuild();
}

bool ClusterBuilder::named() const {
  return config_->discovery == Discovery::kStrictDns ||
         config_->discovery == Discovery::kLogicalDns;
}

bool ClusterBuilder::ready() const {
  switch (config_->discovery) {
    case Discovery::kEds:
      return assigned_;
    case Discovery::kStrictDns:
    case Discovery::kLogicalDns:
      return watch_ == nullptr || watch_->ready();
    case Discovery::kStatic:
    case Discovery::kOriginalDst:
      return true;
  }
  return true;
}

void ClusterBuilder::WatchNames() {
  if (!named() || context_.resolver == nullptr) {
    watch_.reset();
    return;
  }
  const DnsWatch::Options options = WatchOptions(*config_);
  if (watch_ == nullptr) {
    watch_ = std::make_unique<DnsWatch>(context_.loop, *context_.resolver, options,
                                        [this](DnsWatch::Outcome outcome) { OnAnswer(outcome); });
  }
  watch_->SetOptions(options);
  std::vector<std::string> names;
  for (const config::Locality& locality : config_->assignment.localities) {
    for (const config::Endpoint& endpoint : locality.endpoints) {
      if (Named(endpoint)) names.push_back(endpoint.hostname);
    }
  }
  watch_->SetNames(names);
}

void ClusterBuilder::OnAnswer(DnsWatch::Outcome outcome) {
  context_.sheet.Add(stats_->update_attempt);
  switch (outcome) {
    case DnsWatch::Outcome::kFailed:
      context_.sheet.Add(stats_->update_failure);
      break;
    case DnsWatch::Outcome::kSame:
      context_.sheet.Add(stats_->update_success);
      context_.sheet.Add(stats_->update_no_rebuild);
      return;
    case DnsWatch::Outcome::kChanged:
      context_.sheet.Add(stats_->update_success);
      break;
  }
  Rebuild();
  if (on_change_ != nullptr) on_change_();
}

std::vector<net::Address> ClusterBuilder::AddressesOf(const config::Endpoint& endpoint) const {
  if (watch_ == nullptr) return {};
  std::vector<net::Address> out = watch_->AddressesOf(endpoint.hostname);
  for (net::Address& address : out) address = address.WithPort(endpoint.dns_port);
  if (config_->discovery != Discovery::kLogicalDns || out.size() < 2) return out;
  // One host; the address that is in use while the name still has it.
  if (spec_ != nullptr)
    for (const Host& host : spec_->hosts)
      if (std::find(out.begin(), out.end(), host.state->address) != out.end())
        return {host.state->address};
  return {out.front()};
}

// The configured assignment with an endpoint for each address of each name.
config::LoadAssignment ClusterBuilder::Resolve() const {
  config::LoadAssignment out = config_->assignment;
  for (config::Locality& locality : out.localities) {
    std::vector<config::Endpoint> endpoints;
    for (const config::Endpoint& endpoint : locality.endpoints) {
      if (!Named(endpoint)) {
        endpoints.push_back(endpoint);
        continue;
      }
      for (const net::Address& address : AddressesOf(endpoint)) {
        endpoints.push_back(endpoint);
        endpoints.back().address = address;
      }
    }
    locality.endpoints = std::move(endpoints);
  }
  return out;
}

void ClusterBuilder::Rebuild() {
  SpecParts parts{config_, transports_, shared_, stats_};
  const std::shared_ptr<const ClusterSpec> before = spec_;
  switch (config_->discovery) {
    case Discovery::kEds:
      spec_ = MakeClusterSpec(std::move(parts), assignment_, before.get());
      break;
    case Discovery::kStrictDns:
    case Discovery::kLogicalDns:
      spec_ = MakeClusterSpec(std::move(parts), Resolve(), before.get());
      break;
    case Discovery::kStatic:
      spec_ = MakeClusterSpec(std::move(parts), config_->assignment, before.get());
      break;
    case Discovery::kOriginalDst:
      spec_ = MakeClusterSpec(std::move(parts), {}, before.get());
      break;
  }
  if (CountNew(*spec_, before.get()) > 0) context_.sheet.Add(stats_->membership_change);
  if (outlier_ != nullptr) {
    std::vector<std::shared_ptr<HostState>> hosts;
    for (const Host& host : spec_->hosts) hosts.push_back(host.state);
    outlier_->SetHosts(hosts);
  }
  ShowMembership();
}

void ClusterBuilder::SetOutlier() {
  if (!config_->outlier) {
    outlier_.reset();
    interval_.Stop();
    return;
  }
  if (outlier_ != nullptr) {
    const bool same_interval = outlier_->config().interval == config_->outlier->interval;
    outlier_->SetConfig(*config_->outlier);
    if (!same_interval) interval_.Start(config_->outlier->interval);
    return;
  }
  outlier_ = std::make_unique<OutlierDetector>(
      *config_->outlier, OutlierDetector::Context{.cluster = config_->name,
                                                  .stats = stats_,
                                                  .sheet = context_.sheet,
                                                  .shared = *shared_,
                                                  .random = context_.random,
                                                  .on_event = context_.on_outlier});
  interval_.Start(config_->outlier->interval);
}

void ClusterBuilder::OnInterval() {
  outlier_->OnInterval(context_.loop.Now());
  ShowMembership();
  interval_.Start(config_->outlier->interval);
}

void ClusterBuilder::ShowMembership() {
  int64_t healthy = 0, degraded = 0;
  uint32_t weight = 0;
  for (const Host& host : spec_->hosts) {
    weight = std::max(weight, host.weight);
    if (host.state->ejected.load(std::memory_order_relaxed)) continue;
    healthy += host.health == config::Health::kHealthy ? 1 : 0;
    degraded += host.health == config::Health::kDegraded ? 1 : 0;
  }
  context_.sheet.Set(stats_->membership_total, static_cast<int64_t>(spec_->hosts.size()));
  context_.sheet.Set(stats_->membership_healthy, healthy);
  context_.sheet.Set(stats_->membership_degraded, degraded);
  context_.sheet.Set(stats_->max_host_weight, weight);
}

}  // namespace heddle::upstream
