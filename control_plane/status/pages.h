// What heddle-control tells people and machines about itself: pure functions from a snapshot of its
// state to text.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "control_plane/identity/ca.h"
#include "control_plane/model/problem.h"
#include "control_plane/model/world.h"
#include "control_plane/serve/hub.h"
#include "control_plane/trace/store.h"
#include "control_plane/translate/translate.h"

namespace heddle::status {

struct Overview {
  absl::Time now, started;
  std::string version, trust_domain;
  uint64_t generation = 0;                    // of the source's last update
  std::shared_ptr<const model::World> world;  // being served; null: none yet
  std::vector<model::Problem> problems;       // of the source's last update
  serve::HubReport hub;
  const serve::HubCounters* counters = nullptr;  // never null
  translate::Translator::Stats translation;
  std::vector<identity::RootInfo> roots;
  absl::Time serving_not_after;
  std::string renewal_epoch;
  trace::Store::Stats traces;
  struct Forwarded {
    uint64_t sent = 0, failed = 0, dropped = 0;
  };
  std::optional<Forwarded> forwarded;  // unset: no --otlp-forward
  // How a cluster is followed, by resource; empty: the configuration is a directory's.
  struct Watch {
    std::string resource;
    uint64_t lists = 0, watches = 0, events = 0, failures = 0, expired = 0;
  };
  std::vector<Watch> watches;
};

// A workload that has a sidecar, and what is known of it.
struct ProxyLine {
  std::string node_id;
  enum class State {
    kSynced,        // has the newest configuration and accepted all of it
    kPending,       // an answer is outstanding
    kRejecting,     // refused some of it and goes on with what it had
    kDisconnected,  // was here
    kNeverSeen,
  } state = State::kNeverSeen;
  const serve::SessionReport* session = nullptr;  // null: never seen
  const model::Workload* workload = nullptr;      // null: not in the configuration
};
const char* StateName(ProxyLine::State state);
// Every workload with a sidecar, and every other session, by node id. Points into `overview`.
std::vector<ProxyLine> ProxyLines(const Overview& overview);

std::string StatusJson(const Overview& overview);
std::string StatusPage(const Overview& overview);  // HTML
std::string Metrics(const Overview& overview);     // Prometheus text format 0.0.4
// Serving: a configuration is there and, of what connected, nothing waits longer than a minute.
bool Ready(const Overview& overview, std::string* why);

std::string TraceJson(const std::vector<trace::Span>& spans);
std::string TracesJson(const std::vector<trace::Summary>& traces);
// Every resource that a proxy is given, as JSON.
std::string SnapshotJson(const translate::Snapshot& snapshot);

}  // namespace heddle::status
