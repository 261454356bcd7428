// One proxy's ADS stream: its subscriptions, the newest view for it, and the way out. Knows no
// gRPC: bytes come in by OnMessage, responses leave by Outlet. Shared between the transport's
// threads and the hub's; all state under one lock.
//
// Life: made when a stream opens (its peer is authenticated by then), admitted by the hub on its
// first message (which names the workload), detached when the stream ends.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "control_plane/serve/auth.h"
#include "control_plane/serve/secrets.h"
#include "control_plane/serve/stream.h"
#include "control_plane/serve/wire.h"

namespace heddle::serve {

class Hub;
struct Rejection;
struct Spread;

// The transport's side of a session. Called under the session's lock: must not call back into the
// session.
class Outlet {
 public:
  virtual ~Outlet() = default;
  // One at a time: the next only after Session::OnSent.
  virtual void Send(std::vector<Piece> message) = 0;
  // Ends the stream; nothing is sent after it.
  virtual void Close(const absl::Status& why) = 0;
};

// What the status page shows of a session.
struct SessionReport {
  std::string node_id;
  std::string agent, agent_version;
  Peer peer;
  bool delta = false;
  bool intercept = false;
  bool connected = true;
  absl::Time connected_at = absl::InfinitePast();
  absl::Time ended_at = absl::InfinitePast();
  std::string ended_why;
  uint64_t generation = 0;          // of the configuration it was last given
  uint64_t settled_generation = 0;  // that it answered whole (accepted or rejected)
  absl::Time settled_at = absl::InfinitePast();
  absl::Duration settle_time;  // from the generation's making to the last answer
  bool rejecting = false;
  std::vector<TypeReport> types;
  StreamCounters counters;
  std::vector<std::string> notices;
};

class Session {
 public:
  enum class Variant { kDelta, kSotw };
  // Made by Hub::Open. `outlet` lives until OnClosed.
  Session(Hub& hub, uint64_t id, Peer peer, Variant variant, Outlet* outlet, absl::Time now);

  // A message of the client.
  void OnMessage(absl::string_view bytes);
  // The transport took the last Send.
  void OnSent();
  // The stream is gone; `outlet` is not touched again.
  void OnClosed(absl::string_view why);

  // A configuration made at `made_at`; ignored when older than what it has.
  struct Push {
    View view;  // without secrets
    uint64_t generation = 0;
    absl::Time made_at;
    std::vector<std::string> notices;
  };
  void Give(const Push& push);
  void SecretsChanged() { Pump(); }
  // Ends the stream with `why`.
  void End(const absl::Status& why);
  // Timers: renewal of its secret, held removals, a first message or a write that never comes.
  // Every 250 ms or so.
  void Tick(absl::Time now);

  SessionReport Report() const;
  // Counts itself, once admitted.
  void AddTo(uint64_t generation, Spread* out) const;
  uint64_t id() const { return id_; }  // never used twice
  const Peer& peer() const { return peer_; }

 private:
  absl::Status Admit(const Node& node);
  absl::Status Handle(absl::string_view bytes, std::optional<Rejection>* rejection);
  void Pump() ABSL_LOCKS_EXCLUDED(mutex_);
  void PumpLocked(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RefreshSecrets(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CloseLocked(const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Hub& hub_;
  const uint64_t id_;
  const Peer peer_;
  const Variant variant_;

  mutable absl::Mutex mutex_;
  Outlet* outlet_ ABSL_GUARDED_BY(mutex_);  // null: ended
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Time write_began_ ABSL_GUARDED_BY(mutex_);
  bool admitted_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<DeltaStream> delta_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<SotwStream> sotw_ ABSL_GUARDED_BY(mutex_);
  Stream* stream_ ABSL_GUARDED_BY(mutex_) = nullptr;  // one of the two
  View view_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const Secrets::Shared> shared_secrets_ ABSL_GUARDED_BY(mutex_);
  std::optional<Secrets::Identity> identity_ ABSL_GUARDED_BY(mutex_);
  absl::Time made_at_ ABSL_GUARDED_BY(mutex_);
  SessionReport report_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace heddle::serve
