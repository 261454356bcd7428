// Time that a test moves, and the way to move a loop along with it.
//
//   FakeClock clock;
//   event::Loop loop({.clock = &clock});
//   ...
//   Advance(loop, clock, absl::Seconds(5));    // fires what is due, each timer at its own time
#pragma once

#include <algorithm>

#include "absl/time/time.h"
#include "source/base/clock.h"
#include "source/event/loop.h"

namespace heddle::test {

class FakeClock final : public base::Clock {
 public:
  base::Micros Now() const override { return now_; }
  absl::Time WallNow() const override { return kStart + absl::Microseconds(now_); }
  void Set(base::Micros now) { now_ = now; }
  void Advance(absl::Duration by) { now_ += base::ToMicros(by); }

 private:
  // 2026-01-01T00:00:00Z.
  static inline const absl::Time kStart = absl::FromUnixSeconds(1'767'225'600);
  base::Micros now_ = 1'000'000;
};

// Runs iterations of `loop` until `clock` stands `by` later, stopping at each deadline on the way.
inline void Advance(event::Loop& loop, FakeClock& clock, absl::Duration by) {
  const base::Micros end = clock.Now() + base::ToMicros(by);
  loop.RunOnce(false);
  while (true) {
    const base::Micros next = loop.NextDeadline();
    if (next == 0 || next > end) break;
    clock.Set(std::max(next, clock.Now()));
    loop.RunOnce(false);
  }
  clock.Set(end);
  loop.RunOnce(false);
}

}  // namespace heddle::test
