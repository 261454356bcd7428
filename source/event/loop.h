// One event loop of one thread, over libevent (the only folder that includes it). Everything that a
// worker owns lives on its loop's thread; other threads reach it by Post alone.
//
//   Loop loop;
//   Timer timer(loop, [&] { Expire(); });
//   timer.Start(absl::Seconds(5));
//   loop.Run();                                  // until loop.Stop()
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "source/base/clock.h"

struct event;
struct event_base;

namespace heddle::event {

class FileEvents;
class Loop;
class Timer;

// What is destroyed late, at the end of the iteration, because it may be on the stack now.
class Destroyable {
 public:
  virtual ~Destroyable() = default;
};

// Something with work to do once at the end of the iteration (a connection with bytes to flush).
// Intrusive: marking costs no allocation. Unmarks itself when destroyed.
class EndOfIteration {
 public:
  virtual void AtEnd() = 0;

 protected:
  ~EndOfIteration();

 private:
  friend class Loop;
  Loop* marked_in_ = nullptr;
  size_t slot_ = 0;
  uint64_t ran_in_ = 0;  // iteration of the last call
};

struct LoopOptions {
  // Tests hand in a clock they move; timers then fire by it alone, in RunOnce. See
  // test/support/fake_clock.h.
  const base::Clock* clock = nullptr;  // null = the machine's
};

class Loop {
 public:
  explicit Loop(const LoopOptions& options = {});
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void Run();                // returns after Stop()
  void RunOnce(bool block);  // one iteration, for tests
  void Stop();               // any thread; the iteration in progress is finished

  // Runs `task` on this loop's thread. The only member, with Stop, that another thread may call.
  void Post(std::function<void()> task);
  // Destroys `object` after everything of this iteration ran.
  void Destroy(std::unique_ptr<Destroyable> object);
  // Calls what->AtEnd() once after the ready events of this iteration; marking twice is one call.
  // Calls are in the order of marking. What is marked by an AtEnd is called too, in the next
  // iteration if it was called already in this one.
  void MarkDirty(EndOfIteration* what);

  // Gives memory that was freed back to the system, a little later and once: for whoever sees a
  // burst end.
  void ReleaseMemorySoon();

  // Monotonic time, read at most once per iteration: cheap, and the same for everything in the
  // iteration.
  base::Micros Now() const {
    if (now_ == 0) now_ = clock_.Now();
    return now_;
  }
  absl::Time WallNow() const { return clock_.WallNow(); }
  // When the next timer may fire; 0 when none runs.
  base::Micros NextDeadline() const { return timers_.empty() ? 0 : timers_[0].armed; }
  event_base* raw() { return base_; }

 private:
  friend class Timer;
  friend class FileEvents;
  friend class EndOfIteration;
  struct Armed {
    base::Micros armed;
    Timer* timer;
  };

  static void OnWake(int, short, void* self);
  void Iterate(bool block);
  void FireTimers();
  void RunActivated();
  void RunDirty();
  void DestroyDoomed();
  void DrainPosts();
  void TrimBuffersLater();
  void Trim();
  // The heap of armed timers: timers_[0] is the earliest. Each timer knows its place.
  void HeapInsert(Timer* timer);
  void HeapRemove(size_t at);
  void HeapUp(size_t at);
  void HeapDown(size_t at);
  void HeapPut(size_t at, Armed entry);
  void ArmTick();

  const base::Clock& clock_;
  const bool machine_time_;
  event_base* base_;
  ::event* wake_ = nullptr;
  ::event* tick_ = nullptr;   // wakes the loop for timers_[0]
  base::Micros tick_at_ = 0;  // 0 = not armed
  int wake_fd_ = -1;
  mutable base::Micros now_ = 0;  // 0 = not read yet in this iteration
  std::atomic<bool> stopped_{false};
  uint64_t iteration_ = 1;
  std::vector<Armed> timers_;
  Timer* firing_ = nullptr;
  std::vector<EndOfIteration*> dirty_;
  std::vector<FileEvents*> activated_;
  std::vector<FileEvents*> activating_;
  std::vector<std::unique_ptr<Destroyable>> doomed_;
  std::unique_ptr<Timer> trim_;
  bool release_memory_ = false;  // when trim_ fires
  absl::Mutex mutex_;
  std::vector<std::function<void()>> posts_ ABSL_GUARDED_BY(mutex_);
};

// One-shot timer, re-armed by Start. Coarse: fires up to a few ms late, never early. Start on a
// running or stopped timer with a later deadline costs no system call and no heap operation (lazy
// re-arm). May be destroyed from its own call.
class Timer {
 public:
  Timer(Loop& loop, std::function<void()> fire) : loop_(loop), fire_(std::move(fire)) {}
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  void Start(absl::Duration after) { StartAt(loop_.Now() + base::ToMicros(after)); }
  void StartAt(base::Micros deadline);
  void Stop() { deadline_ = 0; }
  bool running() const { return deadline_ != 0; }
  base::Micros deadline() const { return deadline_; }

 private:
  friend class Loop;
  static constexpr size_t kNotArmed = static_cast<size_t>(-1);

  Loop& loop_;
  std::function<void()> fire_;
  base::Micros deadline_ = 0;  // 0 = not running
  size_t place_ = kNotArmed;   // in the loop's heap, where it is armed for at most deadline_
};

// Readiness of one descriptor, registered once, edge-triggered, for reading, writing and hang-up.
// Destroy it before the descriptor is closed. May be destroyed from its own call only if on_ready
// touches nothing of its own afterwards.
class FileEvents {
 public:
  // kHangUp: the peer will send nothing more (FIN seen); data may still wait to be read.
  enum Ready : uint32_t { kRead = 1, kWrite = 2, kHangUp = 4 };
  FileEvents(Loop& loop, int fd, std::function<void(uint32_t ready)> on_ready);
  ~FileEvents();
  FileEvents(const FileEvents&) = delete;
  FileEvents& operator=(const FileEvents&) = delete;
  // Calls on_ready(ready) from the loop in its next iteration, as if the kernel had said so: to
  // resume a stopped read, or to go on reading after others had their turn.
  void Activate(uint32_t ready);

 private:
  friend class Loop;
  static void OnEvent(int, short what, void* self);
  Loop& loop_;
  std::function<void(uint32_t)> on_ready_;
  ::event* event_ = nullptr;
  uint32_t activated_ = 0;  // not 0: is in loop_.activated_
};

// Readiness of a descriptor that a library reads and writes at its own pace (c-ares):
// level-triggered, told again until it is dealt with.
class LevelEvents {
 public:
  // `interest` and `ready` are of FileEvents::kRead and kWrite.
  LevelEvents(Loop& loop, int fd, uint32_t interest, std::function<void(uint32_t ready)> on_ready);
  ~LevelEvents();
  LevelEvents(const LevelEvents&) = delete;
  LevelEvents& operator=(const LevelEvents&) = delete;

 private:
  static void OnEvent(int, short what, void* self);
  std::function<void(uint32_t)> on_ready_;
  ::event* event_ = nullptr;
};

// A signal turned into a call on the loop. One loop of the process handles signals.
class SignalEvent {
 public:
  SignalEvent(Loop& loop, int signal, std::function<void()> on_signal);
  ~SignalEvent();
  SignalEvent(const SignalEvent&) = delete;
  SignalEvent& operator=(const SignalEvent&) = delete;

 private:
  static void OnEvent(int, short, void* self);
  std::function<void()> on_signal_;
  ::event* event_ = nullptr;
};

}  // namespace heddle::event
