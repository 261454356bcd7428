// What everything on one worker shares: its loop, its counters, its configuration, its timeouts,
// its sessions. Made by server::Worker on its own thread, one for each worker.
#pragma once

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "source/base/clock.h"
#include "source/event/loop.h"
#include "source/proxy/deadlines.h"
#include "source/proxy/epoch.h"
#include "source/proxy/mirror.h"
#include "source/proxy/session.h"
#include "source/stats/stats.h"

namespace heddle::proxy {

// The date header's text, made once a second.
class DateText {
 public:
  absl::string_view At(
      absl::Time now);  // "Sun, 22 Nov 2026 13:15:12 GMT"; valid until the next call

 private:
  int64_t second_ = -1;
  std::string text_;
};

struct Context {
  Context(event::Loop& loop, stats::Sheet& sheet, base::Random& random, const base::Clock& clock,
          Epochs::MakeCluster make_cluster);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  // The usual make_cluster: keeps `before` and brings it up to date.
  static Epochs::MakeCluster KeepClusters(event::Loop& loop, stats::Sheet& sheet,
                                          base::Random& random);

  event::Loop& loop;
  stats::Sheet& sheet;
  base::Random& random;
  const base::Clock& clock;  // wall time only; monotonic time is loop.Now()
  DateText date;

 private:
  void Wake();
  event::Timer wake_;  // drives `deadlines`

 public:
  // In this order: sessions end first, then mirrors, then the configuration they pin.
  Deadlines deadlines;
  Epochs epochs;
  Mirrors mirrors;
  Sessions sessions;
};

}  // namespace heddle::proxy
