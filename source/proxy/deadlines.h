// Coarse timeouts of one worker, cheap enough for several on each request: a Deadline is a few
// words inside its owner, starting and stopping are list operations without a system call, and
// moving one later only writes a number.
//
//   Deadline idle_;                                             // a member
//   idle_.Init(this, [](void* self) { static_cast<Stream*>(self)->OnIdle(); });
//   deadlines.Start(idle_, now, ToMicros(absl::Minutes(5)));
//
// A hashed wheel of 4 ms ticks: never early, up to one tick (and one loop iteration) late. The
// owner drives it: `Advance(now)` fires what is due, `NextWake()` says when to call it next.
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "source/base/clock.h"

namespace heddle::proxy {

class Deadlines;

// Stops itself when destroyed.
class Deadline {
 public:
  using Fire = void (*)(void* owner);
  Deadline() = default;
  ~Deadline() { Stop(); }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;
  void Init(void* owner, Fire fire) { owner_ = owner, fire_ = fire; }
  void Stop();
  bool running() const { return at_ != 0; }

 private:
  friend class Deadlines;
  void Unlink();
  void* owner_ = nullptr;
  Fire fire_ = nullptr;
  Deadlines* wheel_ = nullptr;  // set while linked
  Deadline* next_ = nullptr;
  Deadline* previous_ = nullptr;
  base::Micros at_ = 0;         // 0 = not running
  base::Micros linked_at_ = 0;  // the tick it hangs at; at most at_
  uint32_t slot_ = 0;
};

class Deadlines {
 public:
  static constexpr base::Micros kTick = 4096;  // microseconds
  static constexpr base::Micros kNever = INT64_MAX;

  // `wake_earlier` is called when NextWake() became earlier than it was.
  explicit Deadlines(std::function<void()> wake_earlier) : wake_earlier_(std::move(wake_earlier)) {}
  ~Deadlines();
  Deadlines(const Deadlines&) = delete;
  Deadlines& operator=(const Deadlines&) = delete;

  // Fires once, `after` microseconds from `now`; re-arms when running.
  void Start(Deadline& deadline, base::Micros now, base::Micros after);
  // Fires everything due. Any deadline may be started, stopped or destroyed from a call.
  void Advance(base::Micros now);
  // When Advance should be called next, kNever when nothing waits. May be earlier than any real
  // deadline.
  base::Micros NextWake() const { return wake_; }

 private:
  friend class Deadline;
  static constexpr uint32_t kSlots =
      4096;  // one turn = 16.8 s; what is later stays for another turn
  void Link(Deadline& deadline, base::Micros at);
  base::Micros FirstBusyTick(base::Micros from_tick) const;
  void FireSlot(uint32_t slot, base::Micros now);

  std::array<Deadline*, kSlots> slots_{};
  std::array<uint64_t, kSlots / 64> busy_{};  // slots that are not empty
  Deadline* next_in_slot_ = nullptr;          // what FireSlot looks at next; Unlink moves it on
  size_t count_ = 0;
  base::Micros done_tick_ = 0;  // ticks up to here have been fired
  base::Micros wake_ = kNever;
  std::function<void()> wake_earlier_;
};

}  // namespace heddle::proxy
