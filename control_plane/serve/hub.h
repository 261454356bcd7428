// The middle of the control plane: holds the newest World, every open stream, and gives each the
// configuration of its workload when either changes. Knows no gRPC.
//
//   Hub hub(options, secrets, clock);
//   hub.SetWorld(world, generation, now);                          // from the source; last good
//   one stays otherwise auto session = hub.Open(peer, Session::Variant::kDelta, &outlet);   // from
//   the transport
//
// Locks: `mutex_` (world, streams, translation) before a Session's before the leaf `tally_mutex_`.
// Nothing is pushed while `mutex_` is held.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "control_plane/model/world.h"
#include "control_plane/serve/session.h"
#include "control_plane/translate/translate.h"
#include "source/base/clock.h"

namespace heddle::serve {

// A response that a proxy did not take.
struct Rejection {
  std::string node_id;
  std::string type;  // "LDS"
  std::string why;   // the proxy's words, at most 4 KiB
};

struct HubOptions {
  size_t max_streams = 20000;
  size_t max_streams_per_workload = 16;
  double new_streams_per_second = 500;  // sustained; bursts of twice as many
  // Of each one, on a thread of the transport; must not wait nor call the hub.
  std::function<void(const Rejection&)> on_rejection = {};
};

// How a change of the configuration spreads.
struct Convergence {
  uint64_t generation = 0;
  absl::Time made_at = absl::InfinitePast();
  size_t proxies = 0;      // connected when it was made
  size_t outstanding = 0;  // of them, not answered yet and not gone
  absl::Duration time;     // to the last answer; valid when outstanding is 0
};

// How far one configuration came among the proxies that are connected to this process.
struct Spread {
  size_t total = 0;
  size_t acked = 0;   // have it whole, or a newer one, and refuse nothing
  size_t nacked = 0;  // answered, and refuse some of it; the rest has not answered yet
  std::vector<Rejection> rejections = {};  // the first few by node id
};

// The newest certificate of an identity.
struct Issued {
  std::string serial_hex;
  absl::Time not_after;
  absl::Time at;
  uint64_t count = 0;  // since this process began
};

struct HubReport {
  std::vector<SessionReport> sessions;  // connected ones, by node id
  std::vector<SessionReport> departed;  // last seen, not connected now
  Convergence convergence;
  std::map<std::string, Issued> issued;  // by SPIFFE URI
};

// Monotonic counters for the metrics page.
struct HubCounters {
  std::array<std::atomic<uint64_t>, kServedTypes + 1> pushes{};  // responses by Type
  std::atomic<uint64_t> requests{0}, rejections{0}, streams_opened{0}, streams_refused{0};
  std::atomic<uint64_t> certificates{0}, certificates_refused{0};
  // Time from a configuration's making to a proxy's whole answer.
  static constexpr std::array<double, 10> kBuckets = {.005, .01, .025, .05, .1,
                                                      .2,   .5,  1,    5,   30};  // seconds
  std::array<std::atomic<uint64_t>, kBuckets.size() + 1> settle_buckets{};
  std::atomic<uint64_t> settle_micros{0};
};

class Hub {
 public:
  // Both outlive it.
  Hub(HubOptions options, Secrets& secrets, const base::Clock& clock);
  ~Hub();

  // The newest configuration. Streams whose workload is gone, or now belongs to another service
  // account, are ended.
  void SetWorld(std::shared_ptr<const model::World> world, uint64_t generation);
  std::shared_ptr<const model::World> world() const;

  // ResourceExhausted beyond the limits. The caller keeps `outlet` alive until Session::OnClosed.
  absl::StatusOr<std::shared_ptr<Session>> Open(Peer peer, Session::Variant variant,
                                                Outlet* outlet);

  void SecretsChanged();  // after Secrets::RenewAll or RefreshBundle
  void Tick();            // every 250 ms or so
  // Ends every stream (Unavailable) and refuses new ones: the proxies go elsewhere or come back.
  void Shutdown();

  HubReport Report() const;
  // Of the World that is served; 0: none yet.
  uint64_t generation() const;
  Spread SpreadOf(uint64_t generation) const;
  const HubCounters& counters() const { return counters_; }
  translate::Translator::Stats translation() const;

  Secrets& secrets() { return secrets_; }
  absl::Time Now() const { return clock_.WallNow(); }
  void CountIssued(const identity::WorkloadId& id, const std::string& serial, absl::Time not_after,
                   absl::Time now);
  void CountRefusedCertificate() { counters_.certificates_refused++; }

  // For Session only.
  absl::StatusOr<Session::Push> Admit(const Session& session, const Node& node);
  void Leave(const Session& session);
  void Settled(uint64_t session, uint64_t generation, absl::Time now);
  void CountRequest();
  void CountRejection(const Rejection& rejection);
  void CountPush(const Response& response);

 private:
  // What one stream is, to the hub. Kept from admission to the end.
  struct Member {
    std::shared_ptr<Session> session;
    model::Key workload;  // empty name: not admitted yet
    translate::ProxyFacts facts;
  };
  absl::StatusOr<Session::Push> PushFor(const model::Key& workload, const Peer& peer,
                                        const translate::ProxyFacts& facts)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<std::shared_ptr<Session>> Sessions() const;

  const HubOptions options_;
  Secrets& secrets_;
  const base::Clock& clock_;

  mutable absl::Mutex mutex_;
  std::shared_ptr<const model::World> world_ ABSL_GUARDED_BY(mutex_);
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time made_at_ ABSL_GUARDED_BY(mutex_);
  translate::Translator translator_ ABSL_GUARDED_BY(mutex_);
  // By Snapshot::version, of the present World: equal snapshots share their sets.
  absl::flat_hash_map<std::string, View> views_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, std::shared_ptr<const TypeSet>> sets_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<uint64_t, Member> members_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<model::Key, size_t> streams_of_
      ABSL_GUARDED_BY(mutex_);                                             // admitted, by workload
  std::map<std::string, SessionReport> departed_ ABSL_GUARDED_BY(mutex_);  // by node id
  uint64_t next_session_ ABSL_GUARDED_BY(mutex_) = 1;
  double stream_tokens_ ABSL_GUARDED_BY(mutex_);
  base::Micros tokens_at_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;

  mutable absl::Mutex tally_mutex_;
  Convergence convergence_ ABSL_GUARDED_BY(tally_mutex_);
  absl::flat_hash_set<uint64_t> outstanding_ ABSL_GUARDED_BY(tally_mutex_);
  std::map<std::string, Issued> issued_ ABSL_GUARDED_BY(tally_mutex_);
  HubCounters counters_;
};

}  // namespace heddle::serve
