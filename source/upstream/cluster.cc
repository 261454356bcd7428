#include "source/upstream/cluster.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "source/upstream/codec_factory.h"
#include "source/upstream/intake.h"

namespace heddle::upstream {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
// Pools of one host differ by protocol, priority and, with auto_sni, by names that clients choose:
// bounded.
constexpr size_t kMaxPoolsOfHost = 64;
// Hosts of an ORIGINAL_DST cluster between two clean-ups.
constexpr size_t kMaxOriginalHosts = 65536;

bool SamePools(const ClusterSpec& a, const ClusterSpec& b) {
  if (a.shared != b.shared) return false;
  return a.config == b.config || (a.config->hash != 0 && a.config->hash == b.config->hash);
}

}  // namespace

Cluster::Cluster(const Context& context, std::shared_ptr<const ClusterSpec> spec)
    : context_(context), spec_(std::move(spec)), balancer_(context.random) {
  if (context_.make_codec == nullptr) context_.make_codec = MakeUpstreamCodec;
  generation_ = spec_->shared->generation.load(std::memory_order_acquire);
  balancer_.Reset(*spec_);
  if (config().discovery == config::Cluster::Discovery::kOriginalDst)
    original_timer_ = std::make_unique<event::Timer>(context_.loop, [this] { CleanOriginal(); });
}

Cluster::~Cluster() {
  closing_ = true;
  draining_.clear();
  pools_.clear();
}

// -------------------------------------------------------------------------------------------------
// configuration

void Cluster::Adopt(std::shared_ptr<const ClusterSpec> spec) {
  if (spec == spec_) return;
  const bool keep = SamePools(*spec_, *spec);
  spec_.swap(spec);  // the old one stays until the balancer has let go
  ++adoption_;
  generation_ = spec_->shared->generation.load(std::memory_order_acquire);
  balancer_.Reset(*spec_);
  const bool original = config().discovery == config::Cluster::Discovery::kOriginalDst;
  if (original && original_timer_ == nullptr)
    original_timer_ = std::make_unique<event::Timer>(context_.loop, [this] { CleanOriginal(); });
  absl::flat_hash_map<const HostState*, uint16_t> transports;
  for (const Host& host : spec_->hosts) transports.emplace(host.state.get(), host.transport);
  for (auto it = pools_.begin(); it != pools_.end();) {
    const auto now = transports.find(it->first);
    const bool stays =
        now != transports.end() || (original && original_.contains(it->second.host->address));
    if (keep && stays) {
      const uint16_t index = now == transports.end() ? 0 : now->second;
      for (const auto& pool : it->second.pools) pool->SetTransport(Transport(index));
      ++it;
      continue;
    }
    DrainPools(it->second);
    pools_.erase(it++);
  }
}

void Cluster::Drain() {
  for (auto& [state, pools] : pools_) DrainPools(pools);
  pools_.clear();
}

void Cluster::DrainPools(HostPools& pools) {
  for (std::unique_ptr<HttpPool>& pool : pools.pools) Retire(std::move(pool));
  pools.pools.clear();
}

// A host that was ejected loses its connections, as in Envoy: what made it fail may be the path to
// it, and it shall come back by fresh ones. In panic it is used meanwhile, by fresh ones too.
void Cluster::DrainEjected() {
  for (auto& [state, pools] : pools_) {
    const bool ejected = state->ejected.load(kRelaxed);
    if (ejected && !pools.ejected) DrainPools(pools);
    pools.ejected = ejected;
  }
}

void Cluster::Retire(std::unique_ptr<HttpPool> pool) {
  HttpPool* retired = pool.get();
  draining_.push_back(std::move(pool));
  retired->Drain();
}

void Cluster::OnPoolDrained(HttpPool* pool) {
  auto at = std::find_if(draining_.begin(), draining_.end(),
                         [&](const auto& p) { return p.get() == pool; });
  if (at == draining_.end()) return;
  context_.loop.Destroy(std::move(*at));
  draining_.erase(at);
}

size_t Cluster::open_connections() const {
  size_t n = 0;
  for (const auto& [state, pools] : pools_) {
    for (const auto& pool : pools.pools) n += pool->connections();
  }
  for (const auto& pool : draining_) n += pool->connections();
  return n;
}

// -------------------------------------------------------------------------------------------------
// choosing

Pick Cluster::Choose(const LoadContext& context) {
  if (config().discovery == config::Cluster::Discovery::kOriginalDst)
    return ChooseOriginal(context.original_destination);
  if (const uint64_t now = spec_->shared->generation.load(std::memory_order_acquire);
      now != generation_) {
    generation_ = now;
    balancer_.Reset(*spec_);
    DrainEjected();
  }
  const Balancer::Choice choice = balancer_.Choose(
      {.hash = context.hash, .avoid = context.avoid, .avoid_attempts = context.avoid_attempts});
  if (choice.panic) sheet().Add(stats().lb_healthy_panic);
  if (choice.host == nullptr) {
    sheet().Add(stats().cx_none_healthy);
    return {};
  }
  return {.host = choice.host->state, .transport = choice.host->transport, .adoption = adoption_};
}

Pick Cluster::ChooseOriginal(const net::Address& address) {
  if (!address.is_ip() || address.port() == 0) {
    sheet().Add(stats().original_dst_host_invalid);
    return {};
  }
  auto at = original_.find(address);
  if (at == original_.end()) {
    if (original_.size() >= kMaxOriginalHosts) {
      sheet().Add(stats().cx_none_healthy);
      return {};
    }
    at = original_.emplace(address, OriginalHost{std::make_shared<HostState>(address)}).first;
  }
  at->second.used = true;
  if (!original_timer_->running()) original_timer_->Start(config().original_dst_cleanup);
  return {.host = at->second.host, .transport = 0, .adoption = adoption_};
}

void Cluster::CleanOriginal() {
  for (auto it = original_.begin(); it != original_.end();) {
    OriginalHost& original = it->second;
    const bool busy = original.host->active_connections.load(kRelaxed) > 0 ||
                      original.host->active_requests.load(kRelaxed) > 0;
    if (std::exchange(original.used, false) || busy) {
      ++it;
      continue;
    }
    if (auto pools = pools_.find(original.host.get()); pools != pools_.end()) {
      DrainPools(pools->second);
      pools_.erase(pools);
    }
    original_.erase(it++);
  }
  if (!original_.empty()) original_timer_->Start(config().original_dst_cleanup);
}

// -------------------------------------------------------------------------------------------------
// leases

std::shared_ptr<const net::TransportFactory> Cluster::Transport(uint16_t index) const {
  return index < spec_->transports.size() ? spec_->transports[index] : nullptr;
}

std::optional<uint16_t> Cluster::TransportFor(const Pick& pick) const {
  if (pick.host == nullptr || closing_) return std::nullopt;
  if (pick.adoption == adoption_) return pick.transport;
  if (original_.contains(pick.host->address)) return 0;
  for (const Host& host : spec_->hosts) {
    if (host.state == pick.host) return host.transport;
  }
  return std::nullopt;
}

std::unique_ptr<HttpLease> Cluster::LeaseHttp(const Pick& pick, const HttpLeaseOptions& options,
                                              HttpLeaseEvents* events) {
  auto lease = std::make_unique<PoolLease>(events);
  LeaseFailure failure = LeaseFailure::kConnectFailed;
  HttpPool* pool = PoolFor(pick, options, &failure);
  if (pool != nullptr) {
    pool->Lease(lease.get());
  } else {
    events->OnLeaseFailed(failure, "");
  }
  return lease;
}

HttpPool* Cluster::PoolFor(const Pick& pick, const HttpLeaseOptions& options,
                           LeaseFailure* failure) {
  using Kind = config::UpstreamHttp::Kind;
  const std::optional<uint16_t> transport = TransportFor(pick);
  if (!transport) return nullptr;
  Kind kind = config().http.kind;
  if (kind == Kind::kDownstream)
    kind = options.downstream == http::Protocol::kHttp2 ? Kind::kHttp2 : Kind::kHttp1;
  const net::TransportFactory* factory =
      *transport < spec_->transports.size() ? spec_->transports[*transport].get() : nullptr;
  absl::string_view sni;
  if (factory != nullptr && factory->secure()) {
    sni = options.sni;
    const auto& tls = config().transport.upstream_tls;
    if (sni.empty() && tls != nullptr && tls->auto_host_sni) sni = pick.host->hostname;
  }
  HostPools& pools = pools_[pick.host.get()];
  if (pools.host == nullptr) {
    pools.host = pick.host;
    pools.ejected = pick.host->ejected.load(kRelaxed);
  }
  for (const auto& pool : pools.pools) {
    if (pool->Matches(kind, options.priority, sni)) return pool.get();
  }
  if (pools.pools.size() >= kMaxPoolsOfHost && !MakeRoom(pools)) {
    sheet().Add(stats().cx_pool_overflow);
    *failure = LeaseFailure::kOverflow;
    return nullptr;
  }
  HttpPool::Owner* owner = this;
  pools.pools.push_back(std::make_unique<HttpPool>(PoolOptions{.loop = context_.loop,
                                                               .sheet = context_.sheet,
                                                               .make_codec = context_.make_codec,
                                                               .config = spec_->config,
                                                               .shared = spec_->shared,
                                                               .stats = spec_->stats,
                                                               .transport = Transport(*transport),
                                                               .host = pick.host,
                                                               .priority = options.priority,
                                                               .kind = kind,
                                                               .sni = std::string(sni)},
                                                   owner));
  return pools.pools.back().get();
}

bool Cluster::MakeRoom(HostPools& pools) {
  for (auto it = pools.pools.begin(); it != pools.pools.end(); ++it) {
    if ((*it)->busy()) continue;
    std::unique_ptr<HttpPool> idle = std::move(*it);
    pools.pools.erase(it);
    Retire(std::move(idle));
    return true;
  }
  return false;
}

std::unique_ptr<TcpLease> Cluster::ConnectTcp(const Pick& pick, const TcpOptions& options,
                                              net::ConnectionEvents* events,
                                              LeaseFailure* failure) {
  *failure = LeaseFailure::kConnectFailed;
  const std::optional<uint16_t> transport = TransportFor(pick);
  if (!transport) return nullptr;
  const Usage& usage = spec_->shared->limits.usage[static_cast<size_t>(options.priority)];
  if (usage.connections.load(kRelaxed) >= LimitsOf(config(), options.priority).max_connections) {
    sheet().Add(stats().cx_overflow);
    *failure = LeaseFailure::kOverflow;
    return nullptr;
  }
  return MakeTcpLease({.loop = context_.loop,
                       .sheet = context_.sheet,
                       .spec = spec_,
                       .transport = Transport(*transport),
                       .host = pick.host},
                      options, events);
}

// -------------------------------------------------------------------------------------------------
// results

void Cluster::Report(const std::shared_ptr<HostState>& host, const Result& result) {
  TakeResult(config(), *spec_->shared, host, result);
}

void Cluster::CountResponse(int status, bool retried) {
  const ClusterStats& s = stats();
  if (!retried) sheet().Add(s.rq_completed);
  if (status < 100 || status > 599) return;
  sheet().Add((retried ? s.retry_rq_xx : s.rq_xx)[static_cast<size_t>(status / 100)]);
  const int code = ClusterStats::CodeIndex(status);
  if (code >= 0) sheet().Add((retried ? s.retry_rq_code : s.rq_code)[static_cast<size_t>(code)]);
}

RetryPermit Cluster::AcquireRetry(Priority priority) {
  const size_t p = static_cast<size_t>(priority);
  const Usage& usage = spec_->shared->limits.usage[p];
  const uint32_t max = MaxRetries(LimitsOf(config(), priority), usage);
  const uint32_t used = usage.retries.load(kRelaxed);
  if (used >= max) {
    sheet().Add(stats().rq_retry_overflow);
    sheet().Set(stats().rq_retry_open[p], 1);
    return {};
  }
  sheet().Set(stats().rq_retry_open[p], used + 1 >= max);
  return RetryPermit(std::shared_ptr<SharedLimits>(spec_->shared, &spec_->shared->limits),
                     priority);
}

}  // namespace heddle::upstream
