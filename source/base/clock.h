// Time and chance as values handed in, so that every test owns both.
#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace heddle::base {

// Microseconds of a monotonic clock; only differences mean anything.
using Micros = int64_t;

inline Micros ToMicros(absl::Duration d) { return absl::ToInt64Microseconds(d); }

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Micros Now() const = 0;          // monotonic
  virtual absl::Time WallNow() const = 0;  // for logs, spans and certificates only
};

// The machine's clocks. Stateless; one for the process.
const Clock& SystemClock();

// xoshiro256** seeded from the kernel: for load balancing, jitter and sampling. Never for secrets.
class Random {
 public:
  Random();                        // seeded by getrandom(2)
  explicit Random(uint64_t seed);  // for tests
  uint64_t Next();
  uint64_t Below(uint64_t bound);  // uniform in [0, bound); 0 when bound is 0

 private:
  uint64_t state_[4];
};

}  // namespace heddle::base
