#include "source/base/clock.h"

#include <sys/random.h>
#include <time.h>

#include "source/base/status.h"

namespace heddle::base {
namespace {

class MachineClock final : public Clock {
 public:
  Micros Now() const override {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<Micros>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000;
  }
  absl::Time WallNow() const override { return absl::Now(); }
};

uint64_t Rotate(uint64_t x, int by) { return (x << by) | (x >> (64 - by)); }

}  // namespace

const Clock& SystemClock() {
  static const MachineClock clock;
  return clock;
}

Random::Random() {
  do {
    HEDDLE_CHECK(getrandom(state_, sizeof(state_), 0) == sizeof(state_));
  } while ((state_[0] | state_[1] | state_[2] | state_[3]) == 0);
}

// splitmix64, as xoshiro's authors advise for seeding.
Random::Random(uint64_t seed) {
  for (uint64_t& word : state_) {
    seed += 0x9e3779b97f4a7c15U;
    uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    word = z ^ (z >> 31);
  }
}

uint64_t Random::Next() {
  const uint64_t result = Rotate(state_[1] * 5, 7) * 9;
  const uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = Rotate(state_[3], 45);
  return result;
}

// Lemire's multiplication with rejection: no bias, hardly ever a division.
uint64_t Random::Below(uint64_t bound) {
  if (bound == 0) return 0;
  unsigned __int128 product = static_cast<unsigned __int128>(Next()) * bound;
  if (static_cast<uint64_t>(product) < bound) {
    const uint64_t threshold = -bound % bound;
    while (static_cast<uint64_t>(product) < threshold) {
      product = static_cast<unsigned __int128>(Next()) * bound;
    }
  }
  return static_cast<uint64_t>(product >> 64);
}

}  // namespace heddle::base
