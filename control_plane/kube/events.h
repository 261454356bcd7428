// Events (core/v1) on objects: what was refused and why, for `kubectl describe`. The same thing
// said again within an hour is counted, not repeated; bounded per minute; lost rather than waited
// for.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "control_plane/kube/client.h"
#include "source/base/clock.h"

namespace heddle::kube {

struct EventObject {
  std::string api_version, kind, ns, name, uid;
};

struct Event {
  EventObject object;
  bool warning = true;
  std::string reason;   // CamelCase
  std::string message;  // cut at 1 KiB
};

struct EventOptions {
  std::string component = "heddle-control";
  std::string instance;  // the pod's name
  int burst = 25;
  double per_second = 1;
  absl::Duration same_for = absl::Hours(1);
  absl::Duration repeat_every = absl::Minutes(5);  // a count is written at most this often
  size_t remembered = 4096;
};

// What to ask of the server for an event; pure. One thread.
class EventLedger {
 public:
  // `clock` outlives it.
  EventLedger(EventOptions options, const base::Clock& clock);
  // Empty `path`: nothing now.
  Request Add(const Event& event);
  uint64_t dropped() const { return dropped_; }

 private:
  struct Known {
    std::string name;
    absl::Time first;
    base::Micros began = 0, written = 0;
    int count = 1;
  };
  bool Allowed(base::Micros now);

  const EventOptions options_;
  const base::Clock& clock_;
  std::map<std::string, Known> known_;
  std::deque<std::string> order_;  // oldest first
  double tokens_;
  base::Micros refilled_ = 0;
  uint64_t dropped_ = 0;
  uint64_t sequence_ = 0;
};

class EventRecorder {
 public:
  // `client` outlives it.
  EventRecorder(Client& client, EventOptions options);
  void Record(Event event);  // any thread

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace heddle::kube
