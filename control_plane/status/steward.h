// What one of several heddle-controls writes to the cluster, the one that leads: conditions of
// routes and policies, Events on what was refused, and the trust bundle (ConfigMap heddle-root) in
// each namespace whose pods need it. One thread of its own; waits for the API server there.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "control_plane/ingest/kubernetes_source.h"
#include "control_plane/kube/client.h"
#include "control_plane/kube/events.h"
#include "control_plane/model/problem.h"

namespace heddle::status {

struct StewardOptions {
  std::string instance;  // of this replica, for Events
  absl::Duration look_every = absl::Milliseconds(200);
  absl::Duration between_writes = absl::Milliseconds(20);  // at most 50 a second
  absl::Duration again_after = absl::Minutes(10);  // a ConfigMap that somebody deleted comes back
};

class Steward {
 public:
  // What is to be written; called on the steward's thread.
  struct Wanted {
    std::shared_ptr<const ingest::ClusterView> view;  // never null
    std::vector<model::Problem> problems;             // of the newest update
    bool problems_known = false;                      // an update has come
    std::string bundle;                               // PEM
    bool leading = false;
  };
  using Look = std::function<Wanted()>;

  // `client` outlives it.
  Steward(kube::Client& client, StewardOptions options, Look look);
  ~Steward();  // waits for the write under way

  struct Counters {
    uint64_t statuses = 0, bundles = 0, failures = 0;
  };
  Counters counters() const;

 private:
  struct Written {
    std::string what;  // of the conditions, by which a change is known
    absl::Time retry = absl::InfinitePast();
  };
  void Run();
  void Round(const Wanted& wanted);
  void WriteBundles(const Wanted& wanted);
  void WriteStatuses(const Wanted& wanted);
  absl::Status WriteStatus(const ingest::StatusTarget& target,
                           const std::vector<model::Problem>& problems, std::string* what);
  bool Rest(absl::Duration how_long);  // false: stopping
  void Count(uint64_t Counters::*which);

  kube::Client& client_;
  const StewardOptions options_;
  const Look look_;
  kube::EventRecorder events_;
  bool led_ = false;
  std::map<std::string, std::pair<std::string, absl::Time>> bundles_;  // by namespace
  std::map<std::string, Written> written_;                             // by file
  mutable absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  Counters counters_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace heddle::status
