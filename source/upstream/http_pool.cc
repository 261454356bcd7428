#include "source/upstream/http_pool.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "source/upstream/pooled_connection.h"

namespace heddle::upstream {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
// Connections begun for one new lease at most, as Envoy.
constexpr int kConnectsAtOnce = 3;
// Leases kept for the next request, for each thread.
constexpr size_t kSpareLeases = 256;

struct SpareLeases {
  std::vector<void*> memory;
  ~SpareLeases() {
    for (void* m : memory) std::free(m);
  }
};
thread_local SpareLeases spare_leases;

}  // namespace

// -------------------------------------------------------------------------------------------------
// PoolLease

void* PoolLease::operator new(size_t size) {
  std::vector<void*>& spare = spare_leases.memory;
  if (spare.empty()) return std::malloc(size);
  void* memory = spare.back();
  spare.pop_back();
  return memory;
}

void PoolLease::operator delete(void* memory, size_t) {
  std::vector<void*>& spare = spare_leases.memory;
  if (spare.size() < kSpareLeases)
    spare.push_back(memory);
  else
    std::free(memory);
}

PoolLease::~PoolLease() {
  switch (state_) {
    case State::kWaiting:
      pool_->StopWaiting(this);
      return;
    case State::kActive:
      connection_->Return(this);
      return;
    case State::kNew:
    case State::kDead:
      return;
  }
}

void PoolLease::UpdateReading() {
  if (state_ == State::kActive) connection_->UpdateReading();
}

// -------------------------------------------------------------------------------------------------
// HttpPool: leases

HttpPool::HttpPool(PoolOptions options, Owner* owner)
    : options_(std::move(options)),
      owner_(owner),
      expect_http2_(options_.kind != config::UpstreamHttp::Kind::kHttp1),
      upkeep_(options_.loop, [this] { Upkeep(); }) {}

HttpPool::~HttpPool() {
  closing_ = true;
  FailWaiting(LeaseFailure::kConnectFailed, "cluster removed");
  while (!connections_.empty()) connections_.back()->Close(PooledConnection::Cause::kLocal);
}

void HttpPool::Lease(PoolLease* lease) {
  if (closing_) return Fail(lease, LeaseFailure::kConnectFailed, "cluster removed");
  PooledConnection* ready = waiting_.empty() ? ready_.Front() : nullptr;
  if (ready != nullptr) {
    if (usage().requests.load(kRelaxed) < limits().max_requests) return Grant(lease, ready);
  } else if (usage().pending.load(kRelaxed) < limits().max_pending) {
    return Wait(lease);
  }
  options_.sheet.Add(options_.stats->rq_pending_overflow);
  Fail(lease, LeaseFailure::kOverflow, "");
}

void HttpPool::Wait(PoolLease* lease) {
  lease->state_ = PoolLease::State::kWaiting;
  lease->pool_ = this;
  waiting_.PushBack(lease);
  ++waiting_count_;
  usage().pending.fetch_add(1, kRelaxed);
  options_.sheet.Add(options_.stats->rq_pending_total);
  options_.sheet.Add(options_.stats->rq_pending_active);
  ShowPending();
  ConnectWhatIsNeeded();
}

void HttpPool::StopWaiting(PoolLease* lease) {
  lease->Unlink();
  lease->state_ = PoolLease::State::kDead;
  --waiting_count_;
  usage().pending.fetch_sub(1, kRelaxed);
  options_.sheet.Sub(options_.stats->rq_pending_active);
  ShowPending();
}

void HttpPool::Grant(PoolLease* lease, PooledConnection* connection) {
  usage().requests.fetch_add(1, kRelaxed);
  options_.host->active_requests.fetch_add(1, kRelaxed);
  options_.host->total_requests.fetch_add(1, kRelaxed);
  options_.sheet.Add(options_.stats->rq_total);
  options_.sheet.Add(options_.stats->rq_active);
  ShowRequests();
  lease->state_ = PoolLease::State::kActive;
  lease->connection_ = connection;
  connection->Attach(lease);
  lease->events_->OnLeaseReady(connection->grant());
}

void HttpPool::Fail(PoolLease* lease, LeaseFailure failure, absl::string_view reason) {
  lease->state_ = PoolLease::State::kDead;
  lease->events_->OnLeaseFailed(failure, reason);
}

void HttpPool::ServeWaiting() {
  if (serving_) return;  // the outer call goes on
  serving_ = true;
  while (!waiting_.empty() && !ready_.empty()) {
    PoolLease* lease = waiting_.Front();
    StopWaiting(lease);
    if (usage().requests.load(kRelaxed) < limits().max_requests) {
      Grant(lease, ready_.Front());
    } else {
      options_.sheet.Add(options_.stats->rq_pending_overflow);
      Fail(lease, LeaseFailure::kOverflow, "");
    }
  }
  serving_ = false;
}

void HttpPool::FailWaiting(LeaseFailure failure, absl::string_view reason) {
  IntrusiveList<PoolLease>
      failed;  // who waits again from inside the call belongs to the next connection
  failed.TakeAll(waiting_);
  while (PoolLease* lease = failed.Front()) {
    StopWaiting(lease);
    options_.sheet.Add(options_.stats->rq_pending_failure_eject);
    Fail(lease, failure, reason);
  }
}

void HttpPool::ShowRequests() {
  options_.sheet.Set(options_.stats->rq_open[static_cast<size_t>(options_.priority)],
                     usage().requests.load(kRelaxed) >= limits().max_requests);
}

void HttpPool::ShowPending() {
  options_.sheet.Set(options_.stats->rq_pending_open[static_cast<size_t>(options_.priority)],
                     usage().pending.load(kRelaxed) >= limits().max_pending);
}

void HttpPool::ShowConnections() {
  options_.sheet.Set(options_.stats->cx_open[static_cast<size_t>(options_.priority)],
                     usage().connections.load(kRelaxed) >= limits().max_connections);
}

// -------------------------------------------------------------------------------------------------
// HttpPool: connections

uint64_t HttpPool::ConnectingCapacity() const {
  uint64_t each = expect_http2_ ? options_.config->http.http2.max_concurrent_streams : 1;
  if (const uint32_t max = options_.config->http.common.max_requests_per_connection; max != 0)
    each = std::min<uint64_t>(each, max);
  return connecting_ * std::max<uint64_t>(each, 1);
}

void HttpPool::ConnectWhatIsNeeded() {
  if (!ready_.empty()) return;
  for (int i = 0; i < kConnectsAtOnce && waiting_count_ > ConnectingCapacity(); ++i) {
    if (!Connect()) return;
  }
}

bool HttpPool::Connect() {
  if (closing_) return false;
  if (usage().connections.load(kRelaxed) >= limits().max_connections) {
    options_.sheet.Add(options_.stats->cx_overflow);
    // A pool without any connection gets one, so that its queue can move.
    if (!connections_.empty()) return false;
  }
  auto connection = std::make_unique<PooledConnection>(*this);
  PooledConnection* started = connection.get();
  started->slot_ = connections_.size();
  connections_.push_back(std::move(connection));
  ++connecting_;
  usage().connections.fetch_add(1, kRelaxed);
  options_.host->active_connections.fetch_add(1, kRelaxed);
  options_.host->total_connections.fetch_add(1, kRelaxed);
  options_.sheet.Add(options_.stats->cx_total);
  options_.sheet.Add(options_.stats->cx_active);
  ShowConnections();
  started->Start();
  return true;
}

void HttpPool::Remove(PooledConnection* connection) {
  std::unique_ptr<PooledConnection>& at = connections_[connection->slot_];
  std::unique_ptr<PooledConnection> removed = std::move(at);
  if (&at != &connections_.back()) {
    at = std::move(connections_.back());
    at->slot_ = connection->slot_;
  }
  connections_.pop_back();
  options_.loop.Destroy(std::move(removed));
  usage().connections.fetch_sub(1, kRelaxed);
  options_.host->active_connections.fetch_sub(1, kRelaxed);
  options_.sheet.Sub(options_.stats->cx_active);
  ShowConnections();
}

void HttpPool::SetTransport(std::shared_ptr<const net::TransportFactory> transport) {
  options_.transport = std::move(transport);
}

void HttpPool::Drain() {
  draining_ = true;
  const std::vector<PooledConnection*> all = Connections();
  for (PooledConnection* connection : all) connection->Drain();
  CheckDrained();
}

std::vector<PooledConnection*> HttpPool::Connections() const {
  std::vector<PooledConnection*> all;
  all.reserve(connections_.size());
  for (const auto& connection : connections_) all.push_back(connection.get());
  return all;
}

bool HttpPool::busy() const {
  return waiting_count_ > 0 || std::any_of(connections_.begin(), connections_.end(),
                                           [](const auto& c) { return c->busy(); });
}

void HttpPool::AfterClose() {
  ConnectWhatIsNeeded();
  CheckDrained();
}

void HttpPool::CheckDrained() {
  if (!draining_ || !empty() || closing_ || told_drained_) return;
  told_drained_ = true;
  owner_->OnPoolDrained(this);
}

void HttpPool::ScheduleUpkeep(base::Micros at) {
  if (at == 0 || (upkeep_.running() && upkeep_at_ <= at)) return;
  upkeep_at_ = at;
  upkeep_.Start(absl::Microseconds(std::max<base::Micros>(at - options_.loop.Now(), 1)));
}

void HttpPool::Upkeep() {
  base::Micros next = 0;
  // Closed ones stay alive until the end of the iteration.
  for (PooledConnection* connection : Connections()) {
    const base::Micros at = connection->Upkeep(options_.loop.Now());
    if (at != 0 && (next == 0 || at < next)) next = at;
  }
  ScheduleUpkeep(next);
}

}  // namespace heddle::upstream
