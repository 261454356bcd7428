// What one of several heddle-controls writes to the cluster, the one that leads: conditions of
// routes and policies, Events on what was refused, the trust bundle (ConfigMap heddle-root) in each
// namespace whose pods need it, and what invalid objects said when they were valid (ConfigMap
// heddle-last-good). One thread of its own; waits for the API server there.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "control_plane/ingest/kubernetes_source.h"
#include "control_plane/ingest/parse.h"
#include "control_plane/kube/client.h"
#include "control_plane/kube/events.h"
#include "control_plane/model/problem.h"
#include "control_plane/serve/hub.h"
#include "control_plane/status/conditions.h"

namespace heddle::status {

struct StewardOptions {
  std::string instance;          // of this replica, for Events
  std::string system_namespace;  // where ConfigMap heddle-last-good is; empty: not written
  absl::Duration look_every = absl::Milliseconds(200);
  absl::Duration between_writes = absl::Milliseconds(20);  // at most 50 a second
  absl::Duration again_after = absl::Minutes(10);  // a ConfigMap that somebody deleted comes back
  absl::Duration round = absl::Seconds(5);         // of writing, then a look at what is wanted now
};

class Steward {
 public:
  // What is to be written; called on the steward's thread.
  struct Wanted {
    std::shared_ptr<const ingest::ClusterView> view;  // never null
    std::vector<model::Problem> problems;             // of the newest update
    std::vector<ingest::Kept> kept;                   // of the newest update
    // Of the World that is served: the objects of `view` are in it, or in one that equals it.
    uint64_t served = 0;
    bool problems_known = false;  // an update has come
    std::string bundle;           // PEM
    bool leading = false;
  };
  using Look = std::function<Wanted()>;
  // How far that configuration came; called on the steward's thread.
  using SpreadOf = std::function<serve::Spread(uint64_t generation)>;

  // `client` outlives it.
  Steward(kube::Client& client, StewardOptions options, Look look, SpreadOf spread_of);
  ~Steward();  // waits for the write under way

  struct Counters {
    uint64_t statuses = 0, bundles = 0, last_goods = 0, failures = 0;
  };
  Counters counters() const;

 private:
  struct Written {
    std::string what;  // of the conditions, by which a change is known
    absl::Time retry = absl::InfinitePast();
    // Of a policy: since which served generation proxies have its present one; 0: not accepted.
    uint64_t since = 0;
    std::string version;      // uid and generation that `since` is about
    bool programmed = false;  // by all proxies once: stays
  };
  void Run();
  void Round(const Wanted& wanted);
  void WriteBundles(const Wanted& wanted);
  bool Enough() const { return absl::Now() >= round_until_; }
  void WriteStatuses(const Wanted& wanted);
  void WriteLastGood(const Wanted& wanted);
  absl::Status PutLastGood(const std::string& text);
  absl::Status WriteStatus(const ingest::StatusTarget& target,
                           const std::vector<model::Problem>& problems, uint64_t served,
                           Written* written);
  // Adds the condition Programmed of a policy.
  const serve::Spread* AddProgrammed(const ingest::StatusTarget& target, uint64_t served,
                                     std::vector<Condition>* conditions, Written* written);
  bool Rest(absl::Duration how_long);  // false: stopping
  void Count(uint64_t Counters::*which);

  kube::Client& client_;
  const StewardOptions options_;
  const Look look_;
  const SpreadOf spread_of_;
  kube::EventRecorder events_;
  bool led_ = false;
  std::map<std::string, std::pair<std::string, absl::Time>> bundles_;  // by namespace
  std::map<std::string, Written> written_;                             // by file
  std::optional<std::string> last_good_;  // as the ConfigMap has it; unset: not looked yet
  absl::Time last_good_retry_ = absl::InfinitePast();
  absl::Time round_until_ = absl::InfinitePast();
  // By generation; asked anew once a second.
  std::map<uint64_t, serve::Spread> spreads_;
  absl::Time spreads_until_ = absl::InfinitePast();
  mutable absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  Counters counters_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace heddle::status
