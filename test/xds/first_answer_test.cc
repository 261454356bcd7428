#include "source/xds/first_answer.h"

#include <catch2/catch.hpp>

#include "test/support/fake_clock.h"

namespace heddle::xds {
namespace {

SCENARIO("the first answer of LDS or CDS is waited for as long as its initial_fetch_timeout says") {
  test::FakeClock clock;
  event::Loop loop({.clock = &clock});
  int timed_out = 0;
  FirstAnswer first(loop, [&] { ++timed_out; });
  CHECK_FALSE(first.over());
  WHEN("it does not come, the wait ends, once") {
    first.Wait(absl::Seconds(15));
    test::Advance(loop, clock, absl::Milliseconds(14'999));
    first.Wait(absl::Seconds(15));  // began already
    CHECK_FALSE(first.over());
    test::Advance(loop, clock, absl::Milliseconds(10));
    CHECK(first.over());
    first.Wait(absl::Seconds(15));
    test::Advance(loop, clock, absl::Hours(1));
    CHECK(timed_out == 1);
  }
  WHEN("it comes, nothing timed out") {
    first.Wait(absl::Seconds(15));
    first.Came();
    CHECK(first.over());
    test::Advance(loop, clock, absl::Hours(1));
    CHECK(timed_out == 0);
  }
  WHEN("the timeout is zero, the wait has no end") {
    first.Wait(absl::ZeroDuration());
    test::Advance(loop, clock, absl::Hours(1));
    CHECK_FALSE(first.over());
    first.Came();
    CHECK(first.over());
  }
}

}  // namespace
}  // namespace heddle::xds
