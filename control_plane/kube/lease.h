// Who of several replicas writes: an election over a Lease object (coordination.k8s.io/v1).
//
//   Election election(client, {.ns = "heddle-system", .name = "heddle-control", .identity = pod},
//                     [](bool leads) { ... });
//   if (election.leading()) ...
//
// Clocks of replicas may differ: a holder is given up when its record did not change for a whole
// lease by *our* monotonic clock. Who cannot renew for `renew_deadline` steps down, before anybody
// else can have taken over.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "control_plane/kube/client.h"
#include "source/base/clock.h"

namespace heddle::kube {

struct ElectionOptions {
  std::string ns, name, identity;
  absl::Duration lease = absl::Seconds(15);
  absl::Duration renew_deadline = absl::Seconds(10);
  absl::Duration retry = absl::Seconds(2);
};

// What the Lease object says.
struct LeaseRecord {
  std::string holder;  // empty: given back
  absl::Duration duration;
  absl::Time acquired = absl::UnixEpoch(), renewed = absl::UnixEpoch();
  int64_t transitions = 0;
  std::string resource_version;  // empty: to be created
  friend bool operator==(const LeaseRecord&, const LeaseRecord&) = default;
};
absl::StatusOr<LeaseRecord> ParseLease(absl::string_view json);
std::string LeaseJson(const ElectionOptions& options, const LeaseRecord& record);

// The rules; pure.
class Candidate {
 public:
  // `clock` outlives it.
  Candidate(ElectionOptions options, const base::Clock& clock)
      : options_(std::move(options)), clock_(clock) {}

  // What the server has now (nullopt: no such object). Returns the record to write, or nullopt when
  // another one holds the lease.
  std::optional<LeaseRecord> Look(const std::optional<LeaseRecord>& there);
  // The write was taken; false: somebody was faster, or the server is away.
  void Wrote(bool taken);
  // Also called when nothing was heard: time alone ends a term.
  bool leading() const;

 private:
  const ElectionOptions options_;
  const base::Clock& clock_;
  std::optional<LeaseRecord> seen_;
  base::Micros seen_at_ = 0;
  std::optional<LeaseRecord> writing_;
  base::Micros writing_at_ = 0;
  bool holds_ = false;
  base::Micros renewed_at_ = 0;
};

// A Candidate on a Client.
class Election {
 public:
  // `client` outlives it. `on_change` is called on the client's thread.
  Election(Client& client, ElectionOptions options, std::function<void(bool leads)> on_change);
  ~Election();

  bool leading() const;  // any thread
  // Gives the lease back, so that another one leads at once. Waits for the server, 2 s at most. Not
  // on the client's thread.
  void Resign();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace heddle::kube
