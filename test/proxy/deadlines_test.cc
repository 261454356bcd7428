#include "source/proxy/deadlines.h"

#include <catch2/catch.hpp>
#include <memory>
#include <vector>

namespace heddle::proxy {
namespace {

struct Alarm {
  Alarm() {
    deadline.Init(this, [](void* self) { ++static_cast<Alarm*>(self)->fired; });
  }
  Deadline deadline;
  int fired = 0;
};

constexpr base::Micros kSecond = 1'000'000;

// Advances as a loop would: only when asked to wake.
void RunTo(Deadlines& wheel, base::Micros& now, base::Micros to) {
  while (wheel.NextWake() <= to) {
    now = std::max(now, wheel.NextWake());
    wheel.Advance(now);
  }
  now = to;
}

SCENARIO("a deadline fires once, never early and at most a tick late") {
  int wakes = 0;
  Deadlines wheel([&] { ++wakes; });
  base::Micros now = 5 * kSecond;
  for (const base::Micros after :
       {base::Micros{0}, base::Micros{1}, base::Micros{4095}, base::Micros{4096}, 3 * kSecond,
        17 * kSecond, 300 * kSecond, 3600 * kSecond}) {
    Alarm alarm;
    wheel.Start(alarm.deadline, now, after);
    const base::Micros at = now + after;
    RunTo(wheel, now, at - 1);
    CHECK(alarm.fired == 0);
    RunTo(wheel, now, at + Deadlines::kTick);
    CHECK(alarm.fired == 1);
    CHECK_FALSE(alarm.deadline.running());
    CHECK(wheel.NextWake() == Deadlines::kNever);
  }
  CHECK(wakes >= 8);
}

SCENARIO("a deadline moved later does not fire at its old time") {
  Deadlines wheel(nullptr);
  base::Micros now = kSecond;
  Alarm alarm;
  wheel.Start(alarm.deadline, now, kSecond);
  for (int i = 0; i < 50; ++i) {
    RunTo(wheel, now, now + kSecond / 2);
    wheel.Start(alarm.deadline, now, kSecond);
  }
  CHECK(alarm.fired == 0);
  RunTo(wheel, now, now + kSecond + Deadlines::kTick);
  CHECK(alarm.fired == 1);
}

SCENARIO("a deadline moved earlier fires at the new time") {
  Deadlines wheel(nullptr);
  base::Micros now = kSecond;
  Alarm alarm;
  wheel.Start(alarm.deadline, now, 100 * kSecond);
  wheel.Start(alarm.deadline, now, kSecond);
  RunTo(wheel, now, now + kSecond + Deadlines::kTick);
  CHECK(alarm.fired == 1);
}

SCENARIO("stopped and destroyed deadlines do not fire") {
  Deadlines wheel(nullptr);
  base::Micros now = kSecond;
  Alarm stopped;
  {
    Alarm gone;
    wheel.Start(gone.deadline, now, kSecond);
  }
  wheel.Start(stopped.deadline, now, kSecond);
  stopped.deadline.Stop();
  RunTo(wheel, now, 5 * kSecond);
  CHECK(stopped.fired == 0);
}

SCENARIO("a firing deadline may start, stop and destroy others of the same tick") {
  Deadlines wheel(nullptr);
  base::Micros now = kSecond;
  struct Chain {
    Deadlines* wheel;
    base::Micros* now;
    std::vector<std::unique_ptr<Alarm>>* others;
    Deadline deadline;
    int fired = 0;
  } chain{&wheel, &now, nullptr, {}, 0};
  std::vector<std::unique_ptr<Alarm>> others;
  chain.others = &others;
  chain.deadline.Init(&chain, [](void* self) {
    auto* c = static_cast<Chain*>(self);
    c->others->clear();
    if (++c->fired < 3) c->wheel->Start(c->deadline, *c->now, kSecond);
  });
  for (int i = 0; i < 5; ++i) {
    others.push_back(std::make_unique<Alarm>());
    wheel.Start(others.back()->deadline, now, kSecond);
  }
  wheel.Start(chain.deadline, now, kSecond);
  RunTo(wheel, now, 10 * kSecond);
  CHECK(chain.fired == 3);
  CHECK(others.empty());
}

SCENARIO("ten thousand deadlines at random times fire in their tick") {
  Deadlines wheel(nullptr);
  base::Random random(7);
  base::Micros now = kSecond;
  struct Timed {
    Deadline deadline;
    base::Micros at = 0, fired_at = 0;
    base::Micros* now = nullptr;
  };
  std::vector<std::unique_ptr<Timed>> all;
  for (int i = 0; i < 10000; ++i) {
    all.push_back(std::make_unique<Timed>());
    Timed& t = *all.back();
    t.now = &now;
    t.deadline.Init(&t, [](void* self) {
      static_cast<Timed*>(self)->fired_at = *static_cast<Timed*>(self)->now;
    });
    t.at = now + static_cast<base::Micros>(random.Below(60 * kSecond));
    wheel.Start(t.deadline, now, t.at - now);
  }
  RunTo(wheel, now, 70 * kSecond);
  for (const auto& t : all) {
    REQUIRE(t->fired_at >= t->at);
    REQUIRE(t->fired_at <= t->at + Deadlines::kTick);
  }
}

}  // namespace
}  // namespace heddle::proxy
