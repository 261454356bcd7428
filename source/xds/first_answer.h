// Whether the first answer about all clusters, or all listeners, has come: the
// initial_fetch_timeout of CDS and LDS. What comes later is an update like any other. Main thread
// only.
//
//   FirstAnswer clusters(loop, [&] { counter; build });
//   clusters.Wait(bootstrap.cds_fetch_timeout);
//   ... OnUpdate: clusters.Came();   if (clusters.over()) go on
#pragma once

#include <functional>
#include <utility>

#include "absl/time/time.h"
#include "source/event/loop.h"

namespace heddle::xds {

class FirstAnswer {
 public:
  // `timed_out` is called once, from the loop, when the wait ended without an answer.
  FirstAnswer(event::Loop& loop, std::function<void()> timed_out)
      : timer_(loop, [this, timed_out = std::move(timed_out)] {
          over_ = true;
          timed_out();
        }) {}

  // Starts the wait; zero: it has no end. Nothing when it began before or is over.
  void Wait(absl::Duration timeout) {
    if (over_ || waiting_) return;
    waiting_ = true;
    if (timeout > absl::ZeroDuration()) timer_.Start(timeout);
  }
  void Came() {
    over_ = true;
    timer_.Stop();
  }
  // It came, was never asked for, or did not come in time.
  bool over() const { return over_; }

 private:
  bool waiting_ = false, over_ = false;
  event::Timer timer_;
};

}  // namespace heddle::xds
