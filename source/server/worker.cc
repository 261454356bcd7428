#include "source/server/worker.h"

#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "source/base/log.h"
#include "source/proxy/listener_chains.h"
#include "source/proxy/session.h"

namespace heddle::server {
namespace {

// Connections whose first bytes are still being looked at, per listener: a bound on what silent
// clients can hold.
constexpr size_t kMaxPeeking = 10000;

bool IsInbound(const config::Listener& listener) {
  return listener.direction == config::Listener::Direction::kInbound;
}

}  // namespace

// Accepts for one listener, finds out where each connection wants to go, and starts its session.
class Worker::Door {
 public:
  Door(Worker& worker, std::shared_ptr<const proxy::ListenerSpec> spec, net::Fd fd)
      : worker_(worker), spec_(std::move(spec)) {
    if (!fd.valid()) return;  // bind_to_port: false, reached through use_original_dst
    listener_ = std::make_unique<net::Listener>(
        worker.loop_, std::move(fd), net::ListenerOptions{},
        [this](int accepted, const net::Address& peer) { Take(accepted, peer); });
  }

  ~Door() {
    for (Waiting& waiting : waiting_) {
      waiting.peek.reset();
      close(waiting.accepted.fd);
    }
    worker_.sheet_.Sub(spec_->stats.pre_cx_active, static_cast<int64_t>(waiting_.size()));
  }
  Door(const Door&) = delete;
  Door& operator=(const Door&) = delete;

  const proxy::ListenerSpec& spec() const { return *spec_; }
  void SetSpec(std::shared_ptr<const proxy::ListenerSpec> spec) { spec_ = std::move(spec); }
  void Close() {
    if (listener_ != nullptr) listener_->Close();
  }
  size_t waiting() const { return waiting_.size(); }

 private:
  struct Waiting {
    proxy::Accepted accepted;
    std::unique_ptr<net::Peek> peek;
  };

  void Take(int fd, const net::Address& peer) {
    proxy::Accepted accepted;
    accepted.fd = fd;
    accepted.remote = accepted.direct_remote = peer;
    accepted.listener = spec_;
    accepted.local = net::LocalAddress(fd);
    const config::Listener& config = *spec_->config;
    if (config.max_connections != 0 &&
        worker_.sheet_.Value(spec_->stats.cx_active) >= config.max_connections) {
      worker_.sheet_.Add(spec_->stats.cx_overflow);
      close(fd);
      return;
    }
    if (config.original_dst) {
      if (const auto original = net::OriginalDestination(fd)) accepted.local = *original;
    }
    if (config.use_original_dst) HandOver(&accepted);
    if (accepted.listener->config->tls_inspector || accepted.listener->config->http_inspector) {
      return Look(std::move(accepted));
    }
    Begin(std::move(accepted), {});
  }

  // use_original_dst: another listener that stands for the original destination serves the
  // connection.
  void HandOver(proxy::Accepted* accepted) const {
    const auto* other = worker_.FindByAddress(accepted->local);
    if (other != nullptr && *other != spec_) accepted->listener = *other;
  }

  void Look(proxy::Accepted accepted) {
    if (waiting_.size() >= kMaxPeeking) {
      worker_.sheet_.Add(spec_->stats.cx_overflow);
      close(accepted.fd);
      return;
    }
    const config::Listener& config = *accepted.listener->config;
    const net::Peek::Options options{.tls = config.tls_inspector,
                                     .http = config.http_inspector,
                                     .timeout = config.listener_filters_timeout};
    const int fd = accepted.fd;
    waiting_.push_back({std::move(accepted), nullptr});
    const auto place = std::prev(waiting_.end());
    worker_.sheet_.Add(spec_->stats.pre_cx_active);
    place->peek = std::make_unique<net::Peek>(
        worker_.loop_, fd, options,
        [this, place](const net::Peeked& seen) { OnSeen(place, seen); });
  }

  void OnSeen(std::list<Waiting>::iterator place, const net::Peeked& seen) {
    proxy::Accepted accepted = std::move(place->accepted);
    worker_.loop_.Destroy(std::move(place->peek));
    waiting_.erase(place);
    worker_.sheet_.Sub(spec_->stats.pre_cx_active);
    const bool timed_out = seen.end == net::Peeked::End::kTimeout;
    if (timed_out) worker_.sheet_.Add(spec_->stats.pre_cx_timeout);
    if (seen.end == net::Peeked::End::kClosed ||
        (timed_out && !accepted.listener->config->continue_on_timeout)) {
      close(accepted.fd);
      return;
    }
    Begin(std::move(accepted), seen);
  }

  void Begin(proxy::Accepted accepted, const net::Peeked& seen) {
    proxy::ChainFacts facts;
    facts.destination = accepted.local;
    facts.source = accepted.remote;
    facts.direct_source = accepted.direct_remote;
    facts.server_name = seen.sni;
    facts.alpn = seen.alpn;
    facts.transport = seen.tls ? "tls" : "raw_buffer";
    accepted.chain = proxy::ChooseChain(*accepted.listener, facts);
    if (accepted.chain == nullptr) {
      worker_.sheet_.Add(accepted.listener->stats.no_filter_chain_match);
      HEDDLE_LOG(kDebug, "listener")
          << accepted.listener->config->name << ": no filter chain for a " << facts.transport
          << " connection from " << accepted.remote.ToString() << " to "
          << accepted.local.ToString() << "; closed";
      close(accepted.fd);
      return;
    }
    proxy::StartSession(*worker_.context_, accepted);
  }

  Worker& worker_;
  std::shared_ptr<const proxy::ListenerSpec> spec_;
  std::list<Waiting> waiting_;
  std::unique_ptr<net::Listener> listener_;
};

Worker::Worker(stats::Sheet& sheet, const base::Clock& clock) : sheet_(sheet), clock_(clock) {}

Worker::~Worker() { Stop(); }

void Worker::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Worker::Stop() {
  if (!thread_.joinable()) return;
  loop_.Stop();
  thread_.join();
}

void Worker::Run() {
  context_ = std::make_unique<proxy::Context>(loop_, sheet_, random_, clock_,
                                              proxy::Context::KeepClusters(loop_, sheet_, random_));
  count_timer_ = std::make_unique<event::Timer>(loop_, [this] { CountConnections(); });
  CountConnections();
  loop_.Run();
  for (auto& [name, door] : doors_) door->Close();
  context_->sessions.ForEach([](proxy::Session& session) { session.Abort(); });
  doors_.clear();
  count_timer_.reset();
  snapshot_.reset();
  context_.reset();
}

void Worker::CountConnections() {
  uint64_t count = context_->sessions.size(), inbound = 0;
  context_->sessions.ForEach(
      [&](proxy::Session& session) { inbound += IsInbound(*session.listener().config) ? 1 : 0; });
  for (const auto& [name, door] : doors_) {
    count += door->waiting();
    if (IsInbound(*door->spec().config)) inbound += door->waiting();
  }
  connections_.store(count, std::memory_order_relaxed);
  inbound_connections_.store(inbound, std::memory_order_relaxed);
  // A tick while there is something to watch; the drain asks for a fresh count by itself.
  count_timer_->Start(draining_ ? absl::Milliseconds(20) : absl::Seconds(5));
}

void Worker::Adopt(std::shared_ptr<const proxy::Snapshot> snapshot, NewSockets sockets,
                   std::function<void()> done) {
  // std::function must be copyable and sockets are not: they travel by shared pointer.
  auto moved = std::make_shared<NewSockets>(std::move(sockets));
  loop_.Post([this, snapshot = std::move(snapshot), moved, done = std::move(done)] {
    AdoptHere(snapshot, std::move(*moved));
    if (done != nullptr) done();
  });
}

void Worker::AdoptHere(const std::shared_ptr<const proxy::Snapshot>& snapshot, NewSockets sockets) {
  const std::shared_ptr<const proxy::Snapshot> before = std::exchange(snapshot_, snapshot);
  context_->epochs.Adopt(snapshot);
  std::map<std::string, std::unique_ptr<Door>> doors;
  for (const auto& spec : snapshot->listeners) {
    const std::string& name = spec->config->name;
    auto fresh = sockets.find(name);
    auto old = doors_.find(name);
    if (old != doors_.end() && old->second->spec().config->hash != spec->config->hash) {
      DrainSessionsOf(*old->second->spec().config);
    }
    if (old != doors_.end() && fresh == sockets.end()) {
      old->second->SetSpec(spec);
      doors[name] = std::move(old->second);
      doors_.erase(old);
      continue;
    }
    doors[name] = std::make_unique<Door>(
        *this, spec, fresh == sockets.end() ? net::Fd() : std::move(fresh->second));
  }
  // What is left has gone from the configuration, or got another address.
  for (auto& [name, door] : doors_) {
    door->Close();
    DrainSessionsOf(*door->spec().config);
  }
  doors_ = std::move(doors);
}

void Worker::DrainSessionsOf(const config::Listener& old) {
  context_->sessions.ForEach([&](proxy::Session& session) {
    if (session.listener().config->name == old.name && session.listener().config->hash == old.hash)
      session.Drain();
  });
}

const std::shared_ptr<const proxy::ListenerSpec>* Worker::FindByAddress(
    const net::Address& address) const {
  const std::shared_ptr<const proxy::ListenerSpec>* any = nullptr;
  for (const auto& spec : snapshot_->listeners) {
    const net::Address& own = spec->config->address;
    if (own == address) return &spec;
    if (own.any() && own.port() == address.port() && own.family() == address.family()) any = &spec;
  }
  return any;
}

void Worker::CloseListeners(bool inbound_only) {
  loop_.Post([this, inbound_only] {
    for (auto& [name, door] : doors_) {
      if (!inbound_only || IsInbound(*door->spec().config)) door->Close();
    }
  });
}

void Worker::Drain(bool inbound_only) {
  loop_.Post([this, inbound_only] {
    draining_ = true;
    context_->sessions.ForEach([&](proxy::Session& session) {
      if (!inbound_only || IsInbound(*session.listener().config)) session.Drain();
    });
    CountConnections();
  });
}

void Worker::CloseIdle(bool inbound_only) {
  loop_.Post([this, inbound_only] {
    context_->sessions.ForEach([&](proxy::Session& session) {
      if (!inbound_only || IsInbound(*session.listener().config)) session.CloseIdle();
    });
    CountConnections();
  });
}

void Worker::Abort() {
  loop_.Post(
      [this] { context_->sessions.ForEach([](proxy::Session& session) { session.Abort(); }); });
}

}  // namespace heddle::server
