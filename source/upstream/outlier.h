// Outlier detection, the main thread's half: ejects hosts whose runs of failures or success rates
// say so, and takes them back. Workers count (intake.h). Time and chance are handed in.
//
//   OutlierDetector detector(config, {...});
//   detector.SetHosts(hosts);                         // each new assignment
//   detector.OnFailureRun(host, Ejection::kConsecutive5xx, now);   // posted by a worker
//   detector.OnInterval(now);                         // each config.interval
//
// Rules and numbers: as in Envoy (outlier_detection_impl.cc).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "source/base/clock.h"
#include "source/config/cluster.h"
#include "source/stats/stats.h"
#include "source/upstream/cluster_stats.h"
#include "source/upstream/endpoint.h"
#include "source/upstream/spec.h"

namespace heddle::upstream {

// One line of the event log.
struct OutlierEvent {
  bool eject = true;                          // false: taken back
  Ejection type = Ejection::kConsecutive5xx;  // of the ejection; the last one for a take-back
  std::string cluster, address;
  uint32_t num_ejections = 0;  // of this host so far
  bool enforced = true;        // false: the dice of enforcing_* said no
  std::optional<absl::Duration> since_last_action;
  // Success rate and failure percentage only.
  double host_success_rate = -1, average_success_rate = -1, threshold = -1;
};
// Envoy's outlier event log: one JSON object, without a line end.
std::string ToJson(const OutlierEvent& event, absl::Time now);
absl::string_view EjectionName(Ejection type);  // "consecutive_5xx"

class OutlierDetector {
 public:
  struct Context {
    std::string cluster;
    std::shared_ptr<const ClusterStats> stats;
    stats::Sheet& sheet;    // the main thread's
    SharedCluster& shared;  // its generation is raised after each change
    base::Random& random;
    std::function<void(const OutlierEvent&)> on_event;  // may be null
  };
  OutlierDetector(const config::OutlierDetection& config, Context context);
  // Takes back what is ejected.
  ~OutlierDetector();
  OutlierDetector(const OutlierDetector&) = delete;
  OutlierDetector& operator=(const OutlierDetector&) = delete;

  void SetConfig(const config::OutlierDetection& config) { config_ = config; }
  const config::OutlierDetection& config() const { return config_; }
  // History is kept of those that stay.
  void SetHosts(absl::Span<const std::shared_ptr<HostState>> hosts);
  void OnFailureRun(const std::shared_ptr<HostState>& host, Ejection type, base::Micros now);
  void OnInterval(base::Micros now);
  uint32_t active() const { return active_; }

 private:
  struct Monitor {
    std::shared_ptr<HostState> host;
    uint32_t ejections = 0;
    uint32_t backoff = 0;  // multiplies base_ejection_time
    absl::Duration jitter;
    std::optional<base::Micros> ejected_at, taken_back_at;
    Ejection last = Ejection::kConsecutive5xx;
  };
  struct Rate {
    Monitor* monitor;
    double success;  // percent
  };
  struct Verdict {  // what the event says of rates
    double host = -1, average = -1, threshold = -1;
  };

  void Eject(Monitor& monitor, Ejection type, base::Micros now, const Verdict& verdict);
  void TakeBack(Monitor& monitor, base::Micros now);
  void CheckTakeBack(Monitor& monitor, base::Micros now);
  void JudgeRates(size_t origin, base::Micros now);
  void JudgeSuccessRate(const std::vector<Rate>& rates, size_t origin, base::Micros now);
  void JudgeFailurePercentage(const std::vector<Rate>& rates, size_t origin, base::Micros now);
  bool Allowed() const;
  uint32_t Enforcing(Ejection type) const;
  void SetEjected(HostState& host, bool ejected);
  void Tell(const Monitor& monitor, bool eject, bool enforced, base::Micros now, const Verdict& v);

  config::OutlierDetection config_;
  Context context_;
  absl::flat_hash_map<const HostState*, Monitor> monitors_;
  uint32_t active_ = 0;  // hosts ejected now
};

}  // namespace heddle::upstream
