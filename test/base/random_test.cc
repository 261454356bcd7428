#include <array>
#include <catch2/catch.hpp>

#include "source/base/clock.h"

namespace heddle::base {
namespace {

SCENARIO("chance is repeatable from a seed and even over a range") {
  Random a(42), b(42), c(43);
  CHECK(a.Next() == b.Next());
  CHECK(a.Next() != c.Next());
  CHECK(a.Below(0) == 0);
  CHECK(a.Below(1) == 0);
  std::array<int, 10> counts{};
  for (int i = 0; i < 100'000; ++i) ++counts[a.Below(10)];
  for (const int count : counts) CHECK(std::abs(count - 10'000) < 500);
  CHECK(Random().Next() != Random().Next());
}

SCENARIO("the system clock goes forward") {
  const Micros before = SystemClock().Now();
  CHECK(SystemClock().Now() >= before);
  CHECK(SystemClock().WallNow() > absl::FromUnixSeconds(1'600'000'000));
}

}  // namespace
}  // namespace heddle::base
