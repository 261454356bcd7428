#include "source/event/loop.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>
#include <thread>
#include <vector>

#include "source/base/buffer.h"
#include "test/support/fake_clock.h"

namespace heddle::event {
namespace {

using test::Advance;
using test::FakeClock;

SCENARIO("a timer fires once at its time, not before") {
  FakeClock clock;
  Loop loop({.clock = &clock});
  int fired = 0;
  Timer timer(loop, [&] { ++fired; });
  timer.Start(absl::Seconds(5));
  Advance(loop, clock, absl::Milliseconds(4999));
  CHECK(fired == 0);
  CHECK(timer.running());
  Advance(loop, clock, absl::Milliseconds(1));
  CHECK(fired == 1);
  CHECK_FALSE(timer.running());
  Advance(loop, clock, absl::Seconds(60));
  CHECK(fired == 1);
}

SCENARIO("a restarted timer fires at its last deadline, a stopped one not at all") {
  FakeClock clock;
  Loop loop({.clock = &clock});
  int fired = 0;
  Timer timer(loop, [&] { ++fired; });
  timer.Start(absl::Seconds(1));
  Advance(loop, clock, absl::Milliseconds(900));
  timer.Start(absl::Seconds(1));
  Advance(loop, clock, absl::Milliseconds(900));
  CHECK(fired == 0);
  timer.Start(absl::Milliseconds(10));
  Advance(loop, clock, absl::Milliseconds(10));
  CHECK(fired == 1);
  timer.Start(absl::Seconds(1));
  timer.Stop();
  Advance(loop, clock, absl::Seconds(2));
  CHECK(fired == 1);
  timer.Start(absl::Seconds(1));
  timer.Stop();
  timer.Start(absl::Seconds(3));
  Advance(loop, clock, absl::Seconds(2));
  CHECK(fired == 1);
  Advance(loop, clock, absl::Seconds(1));
  CHECK(fired == 2);
}

SCENARIO("timers fire in the order of their deadlines") {
  FakeClock clock;
  Loop loop({.clock = &clock});
  base::Random random(3);
  std::vector<base::Micros> fired;
  std::vector<std::unique_ptr<Timer>> timers;
  for (int i = 0; i < 500; ++i) {
    timers.push_back(std::make_unique<Timer>(loop, [&] { fired.push_back(loop.Now()); }));
    timers.back()->Start(absl::Microseconds(random.Below(1'000'000)));
  }
  for (int i = 0; i < 200; ++i) {
    auto& timer = timers[random.Below(timers.size())];
    switch (random.Below(3)) {
      case 0:
        timer->Start(absl::Microseconds(random.Below(1'000'000)));
        break;
      case 1:
        timer->Stop();
        break;
      case 2:
        timer.reset();
        timer = std::make_unique<Timer>(loop, [&] { fired.push_back(loop.Now()); });
        break;
    }
  }
  size_t running = 0;
  for (const auto& timer : timers) running += timer->running() ? 1 : 0;
  Advance(loop, clock, absl::Seconds(2));
  CHECK(fired.size() == running);
  CHECK(std::is_sorted(fired.begin(), fired.end()));
}

SCENARIO("a timer may restart or destroy itself and others while it fires") {
  FakeClock clock;
  Loop loop({.clock = &clock});
  int ticks = 0;
  Timer periodic(loop, [&] {
    ++ticks;
    periodic.Start(absl::ZeroDuration());
  });
  periodic.Start(absl::ZeroDuration());
  loop.RunOnce(false);
  CHECK(ticks == 1);  // a timer at zero does not starve the loop
  periodic.Stop();

  std::unique_ptr<Timer> other = std::make_unique<Timer>(loop, [] { FAIL("destroyed before"); });
  std::unique_ptr<Timer> self = std::make_unique<Timer>(loop, [&, big = std::string(100, 'x')] {
    self.reset();
    other.reset();
    CHECK(big.size() == 100);
  });
  self->Start(absl::Seconds(1));
  other->Start(absl::Milliseconds(1001));
  Advance(loop, clock, absl::Seconds(2));
  CHECK(self == nullptr);
}

SCENARIO("real timers wake a waiting loop") {
  Loop loop;
  const auto start = absl::Now();
  Timer timer(loop, [&] { loop.Stop(); });
  Timer later(loop, [] {});
  later.Start(absl::Seconds(100));
  timer.Start(absl::Milliseconds(20));
  loop.Run();
  const auto took = absl::Now() - start;
  CHECK(took >= absl::Milliseconds(20));
  CHECK(took < absl::Seconds(5));
}

struct Marked final : EndOfIteration {
  explicit Marked(std::vector<int>& log, int id) : log(log), id(id) {}
  void AtEnd() override {
    log.push_back(id);
    if (then) then();
  }
  std::vector<int>& log;
  int id;
  std::function<void()> then;
};

SCENARIO("end-of-iteration work runs once, in order, after the events") {
  Loop loop;
  std::vector<int> log;
  Marked a(log, 1), b(log, 2), c(log, 3);
  auto gone = std::make_unique<Marked>(log, 9);
  loop.Post([&] {
    loop.MarkDirty(&b);
    loop.MarkDirty(gone.get());
    loop.MarkDirty(&a);
    loop.MarkDirty(&b);
    gone.reset();
    log.push_back(0);
  });
  WHEN("one marks another that has not run, and itself") {
    b.then = [&] {
      loop.MarkDirty(&c);
      if (log.size() < 6) loop.MarkDirty(&b);
    };
    loop.RunOnce(true);
    CHECK(log == std::vector<int>{0, 2, 1, 3});
    loop.RunOnce(true);  // does not block: work is left
    CHECK(log == std::vector<int>{0, 2, 1, 3, 2, 3});
  }
}

struct Doomed : Destroyable {
  explicit Doomed(std::vector<int>& log) : log(log) {}
  ~Doomed() override { log.push_back(7); }
  std::vector<int>& log;
};

SCENARIO("destruction waits for the end of the iteration") {
  Loop loop;
  std::vector<int> log;
  Marked a(log, 1);
  loop.Post([&] {
    loop.Destroy(std::make_unique<Doomed>(log));
    loop.MarkDirty(&a);
    log.push_back(0);
  });
  loop.RunOnce(true);
  CHECK(log == std::vector<int>{0, 1, 7});
}

SCENARIO("posts from other threads run on the loop in order") {
  Loop loop;
  std::vector<int> got;
  std::thread poster([&] {
    for (int i = 0; i < 1000; ++i) loop.Post([&got, i] { got.push_back(i); });
    loop.Post([&] { loop.Stop(); });
  });
  loop.Run();
  poster.join();
  REQUIRE(got.size() == 1000);
  CHECK(std::is_sorted(got.begin(), got.end()));
}

SCENARIO("a descriptor tells readiness once per edge, and when told to") {
  Loop loop;
  int ends[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
  std::vector<uint32_t> ready;
  auto events =
      std::make_unique<FileEvents>(loop, ends[0], [&](uint32_t what) { ready.push_back(what); });
  loop.RunOnce(true);
  CHECK(ready == std::vector<uint32_t>{FileEvents::kWrite});
  ready.clear();
  REQUIRE(write(ends[1], "x", 1) == 1);
  loop.RunOnce(true);
  REQUIRE(ready.size() == 1);
  CHECK((ready[0] & FileEvents::kRead) != 0);
  CHECK((ready[0] & FileEvents::kHangUp) == 0);
  loop.RunOnce(false);
  CHECK(ready.size() == 1);  // unread data is no new edge

  ready.clear();
  events->Activate(FileEvents::kRead);
  CHECK(ready.empty());
  loop.RunOnce(true);
  CHECK(ready == std::vector<uint32_t>{FileEvents::kRead});

  ready.clear();
  shutdown(ends[1], SHUT_WR);
  loop.RunOnce(true);
  REQUIRE_FALSE(ready.empty());
  CHECK((ready[0] & FileEvents::kHangUp) != 0);

  events->Activate(FileEvents::kRead);
  events.reset();
  loop.RunOnce(false);
  close(ends[0]);
  close(ends[1]);
}

SCENARIO("a signal becomes a call") {
  Loop loop;
  int calls = 0;
  SignalEvent on_usr1(loop, SIGUSR1, [&] {
    ++calls;
    loop.Stop();
  });
  raise(SIGUSR1);
  loop.Run();
  CHECK(calls == 1);
}

#if !defined(__SANITIZE_ADDRESS__)
SCENARIO("the loop gives back buffer blocks that a burst left") {
  FakeClock clock;
  Loop loop({.clock = &clock});
  { base::Buffer burst(std::string(200 * base::Buffer::kBlockBytes, 'x')); }
  REQUIRE(base::Buffer::FreeBlocks() > 200);
  Advance(loop, clock, absl::Seconds(3));
  CHECK(base::Buffer::FreeBlocks() == base::Buffer::kKeepBlocks);
}
#endif

}  // namespace
}  // namespace heddle::event
