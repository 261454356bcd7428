#include "source/event/loop.h"

#include <event2/event.h>
#include <malloc.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/base/dynamic_annotations.h"
#include "source/base/buffer.h"
#include "source/base/status.h"
#include "source/event/memory.h"

namespace heddle::event {
namespace {

constexpr absl::Duration kTrimPeriod = absl::Seconds(1);

event_base* NewBase() {
  SetLibeventMemory();
  event_config* config = event_config_new();
  HEDDLE_CHECK(config != nullptr);
  event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
  event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
  event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_O1 | EV_FEATURE_EARLY_CLOSE);
  event_base* base = event_base_new_with_config(config);
  event_config_free(config);
  HEDDLE_CHECK(base != nullptr) << "no epoll";
  return base;
}

}  // namespace

EndOfIteration::~EndOfIteration() {
  if (marked_in_ != nullptr) marked_in_->dirty_[slot_] = nullptr;
}

// ----------------------------------------------------------------------------------------------------------
// Loop

Loop::Loop(const LoopOptions& options)
    : clock_(options.clock != nullptr ? *options.clock : base::SystemClock()),
      machine_time_(options.clock == nullptr),
      base_(NewBase()) {
  wake_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  HEDDLE_CHECK(wake_fd_ >= 0);
  wake_ = event_new(base_, wake_fd_, EV_READ | EV_PERSIST, OnWake, this);
  HEDDLE_CHECK(wake_ != nullptr && event_add(wake_, nullptr) == 0);
  // Only to end the wait: Iterate fires what is due.
  tick_ = event_new(
      base_, -1, 0, [](int, short, void*) {}, nullptr);
  HEDDLE_CHECK(tick_ != nullptr);
  trim_ = std::make_unique<Timer>(*this, [this] { Trim(); });
}

Loop::~Loop() {
  DestroyDoomed();
  trim_.reset();
  HEDDLE_CHECK(timers_.empty()) << "a timer outlives its loop";
  for (EndOfIteration* what : dirty_) {
    if (what != nullptr) what->marked_in_ = nullptr;
  }
  event_free(tick_);
  event_free(wake_);
  event_base_free(base_);
  close(wake_fd_);
}

void Loop::Run() {
  while (!stopped_.load(std::memory_order_relaxed)) Iterate(true);
  stopped_ = false;
}

void Loop::RunOnce(bool block) { Iterate(block); }

void Loop::Iterate(bool block) {
  ++iteration_;
  now_ = 0;
  // What the last iteration left over must not wait for an event.
  activating_.swap(activated_);
  if (!activating_.empty() || !dirty_.empty()) block = false;
  if (machine_time_) ArmTick();
  event_base_loop(base_, EVLOOP_ONCE | (block ? 0 : EVLOOP_NONBLOCK));
  RunActivated();
  FireTimers();
  RunDirty();
  DestroyDoomed();
  TrimBuffersLater();
  now_ = 0;
}

void Loop::Stop() {
  stopped_ = true;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = write(wake_fd_, &one, sizeof(one));
}

void Loop::Post(std::function<void()> task) {
  bool first;
  {
    absl::MutexLock lock(&mutex_);
    ABSL_ANNOTATE_RWLOCK_ACQUIRED(&mutex_, 1);  // ThreadSanitizer does not see a lock of Abseil's
    first = posts_.empty();
    posts_.push_back(std::move(task));
    ABSL_ANNOTATE_RWLOCK_RELEASED(&mutex_, 1);
  }
  if (!first) return;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = write(wake_fd_, &one, sizeof(one));
}

void Loop::OnWake(int fd, short, void* self) {
  uint64_t count;
  [[maybe_unused]] const ssize_t n = read(fd, &count, sizeof(count));
  static_cast<Loop*>(self)->DrainPosts();
}

void Loop::DrainPosts() {
  std::vector<std::function<void()>> tasks;
  {
    absl::MutexLock lock(&mutex_);
    ABSL_ANNOTATE_RWLOCK_ACQUIRED(&mutex_, 1);  // ThreadSanitizer does not see a lock of Abseil's
    tasks.swap(posts_);
    ABSL_ANNOTATE_RWLOCK_RELEASED(&mutex_, 1);
  }
  for (auto& task : tasks) {
    task();
    task = nullptr;  // what it captured goes now, in order
  }
}

void Loop::Destroy(std::unique_ptr<Destroyable> object) { doomed_.push_back(std::move(object)); }

void Loop::DestroyDoomed() {
  while (!doomed_.empty()) {
    std::vector<std::unique_ptr<Destroyable>> doomed;
    doomed.swap(doomed_);
  }
}

void Loop::MarkDirty(EndOfIteration* what) {
  if (what->marked_in_ != nullptr) return;
  what->marked_in_ = this;
  what->slot_ = dirty_.size();
  dirty_.push_back(what);
}

void Loop::RunDirty() {
  size_t kept = 0;
  for (size_t i = 0; i < dirty_.size(); ++i) {
    EndOfIteration* what = dirty_[i];
    if (what == nullptr) continue;
    if (what->ran_in_ == iteration_) {  // marked again by itself or by another: next time
      dirty_[i] = nullptr;
      what->slot_ = kept;
      dirty_[kept++] = what;
      continue;
    }
    what->ran_in_ = iteration_;
    what->marked_in_ = nullptr;
    dirty_[i] = nullptr;
    what->AtEnd();
  }
  dirty_.resize(kept);
}

void Loop::RunActivated() {
  for (size_t i = 0; i < activating_.size(); ++i) {
    FileEvents* file = activating_[i];
    if (file == nullptr) continue;
    activating_[i] = nullptr;
    file->on_ready_(std::exchange(file->activated_, 0));
  }
  activating_.clear();
}

void Loop::TrimBuffersLater() {
  if (base::Buffer::FreeBlocks() > base::Buffer::kKeepBlocks && !trim_->running())
    trim_->Start(kTrimPeriod);
}

void Loop::ReleaseMemorySoon() {
  release_memory_ = true;
  if (!trim_->running()) trim_->Start(kTrimPeriod / 4);
}

void Loop::Trim() {
  base::Buffer::TrimFreeBlocks();
  if (!std::exchange(release_memory_, false)) return;
  // Connections of one burst are spread over pages that later ones share: only a walk over the heap
  // finds the holes.
  malloc_trim(0);
}

// ---------------------------------------------------------------------------------------------------------
// timers

void Loop::ArmTick() {
  if (timers_.empty() || timers_[0].armed == tick_at_) return;
  tick_at_ = timers_[0].armed;
  const base::Micros wait = std::max<base::Micros>(tick_at_ - Now(), 0);
  now_ = 0;  // the wait comes after this
  const timeval tv = {static_cast<time_t>(wait / 1'000'000),
                      static_cast<suseconds_t>(wait % 1'000'000)};
  event_add(tick_, &tv);
}

void Loop::FireTimers() {
  if (timers_.empty() || timers_[0].armed > Now()) {
    // The tick may have come a little early by its coarser clock: have it armed again.
    if (!timers_.empty() && timers_[0].armed == tick_at_ && evtimer_pending(tick_, nullptr) == 0)
      tick_at_ = 0;
    return;
  }
  tick_at_ = 0;
  // A timer started from here is due in the next iteration at the earliest, so this ends.
  const base::Micros now = Now();
  while (!timers_.empty() && timers_[0].armed <= now) {
    Timer* timer = timers_[0].timer;
    HeapRemove(0);
    if (timer->deadline_ == 0) continue;
    if (timer->deadline_ > now) {
      HeapInsert(timer);
      continue;
    }
    timer->deadline_ = 0;
    // The call may destroy the timer, and must not destroy itself meanwhile.
    firing_ = timer;
    std::function<void()> fire = std::move(timer->fire_);
    fire();
    if (firing_ == timer) timer->fire_ = std::move(fire);
    firing_ = nullptr;
  }
}

void Loop::HeapPut(size_t at, Armed entry) {
  timers_[at] = entry;
  entry.timer->place_ = at;
}

void Loop::HeapInsert(Timer* timer) {
  timers_.push_back({timer->deadline_, timer});
  timer->place_ = timers_.size() - 1;
  HeapUp(timer->place_);
}

void Loop::HeapRemove(size_t at) {
  timers_[at].timer->place_ = Timer::kNotArmed;
  const Armed last = timers_.back();
  timers_.pop_back();
  if (at == timers_.size()) return;
  HeapPut(at, last);
  HeapDown(at);
  HeapUp(last.timer->place_);
}

void Loop::HeapUp(size_t at) {
  const Armed entry = timers_[at];
  while (at > 0) {
    const size_t parent = (at - 1) / 4;
    if (timers_[parent].armed <= entry.armed) break;
    HeapPut(at, timers_[parent]);
    at = parent;
  }
  HeapPut(at, entry);
}

void Loop::HeapDown(size_t at) {
  const Armed entry = timers_[at];
  while (true) {
    const size_t first = at * 4 + 1;
    if (first >= timers_.size()) break;
    size_t least = first;
    for (size_t child = first + 1; child < std::min(first + 4, timers_.size()); ++child) {
      if (timers_[child].armed < timers_[least].armed) least = child;
    }
    if (timers_[least].armed >= entry.armed) break;
    HeapPut(at, timers_[least]);
    at = least;
  }
  HeapPut(at, entry);
}

Timer::~Timer() {
  if (place_ != kNotArmed) loop_.HeapRemove(place_);
  if (loop_.firing_ == this) loop_.firing_ = nullptr;
}

void Timer::StartAt(base::Micros deadline) {
  // A restart from within its own firing must be later than now, or FireTimers would not end.
  if (loop_.firing_ != nullptr) deadline = std::max(deadline, loop_.Now() + 1);
  deadline_ = std::max<base::Micros>(deadline, 1);
  if (place_ == kNotArmed) {
    loop_.HeapInsert(this);
  } else if (loop_.timers_[place_].armed > deadline_) {
    loop_.timers_[place_].armed = deadline_;
    loop_.HeapUp(place_);
  }
}

// -----------------------------------------------------------------------------------------------------
// FileEvents

FileEvents::FileEvents(Loop& loop, int fd, std::function<void(uint32_t)> on_ready)
    : loop_(loop), on_ready_(std::move(on_ready)) {
  event_ =
      event_new(loop.raw(), fd, EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST, OnEvent, this);
  HEDDLE_CHECK(event_ != nullptr && event_add(event_, nullptr) == 0) << "descriptor " << fd;
}

FileEvents::~FileEvents() {
  event_free(event_);
  if (activated_ == 0) return;
  std::replace(loop_.activated_.begin(), loop_.activated_.end(), this,
               static_cast<FileEvents*>(nullptr));
  std::replace(loop_.activating_.begin(), loop_.activating_.end(), this,
               static_cast<FileEvents*>(nullptr));
}

void FileEvents::Activate(uint32_t ready) {
  if (activated_ == 0) loop_.activated_.push_back(this);
  activated_ |= ready;
}

void FileEvents::OnEvent(int, short what, void* self) {
  uint32_t ready = 0;
  if (what & EV_READ) ready |= kRead;
  if (what & EV_WRITE) ready |= kWrite;
  if (what & EV_CLOSED) ready |= kRead | kHangUp;
  static_cast<FileEvents*>(self)->on_ready_(ready);
}

// ----------------------------------------------------------------------------------------------------
// LevelEvents

LevelEvents::LevelEvents(Loop& loop, int fd, uint32_t interest,
                         std::function<void(uint32_t)> on_ready)
    : on_ready_(std::move(on_ready)) {
  const int what = EV_PERSIST | ((interest & FileEvents::kRead) ? EV_READ : 0) |
                   ((interest & FileEvents::kWrite) ? EV_WRITE : 0);
  event_ = event_new(loop.raw(), fd, static_cast<short>(what), OnEvent, this);
  HEDDLE_CHECK(event_ != nullptr && event_add(event_, nullptr) == 0) << "descriptor " << fd;
}

LevelEvents::~LevelEvents() { event_free(event_); }

void LevelEvents::OnEvent(int, short what, void* self) {
  const uint32_t ready =
      ((what & EV_READ) ? FileEvents::kRead : 0U) | ((what & EV_WRITE) ? FileEvents::kWrite : 0U);
  // The call may destroy this.
  const auto on_ready = static_cast<LevelEvents*>(self)->on_ready_;
  on_ready(ready);
}

// ----------------------------------------------------------------------------------------------------
// SignalEvent

SignalEvent::SignalEvent(Loop& loop, int signal, std::function<void()> on_signal)
    : on_signal_(std::move(on_signal)) {
  event_ = evsignal_new(loop.raw(), signal, OnEvent, this);
  HEDDLE_CHECK(event_ != nullptr && event_add(event_, nullptr) == 0) << "signal " << signal;
}

SignalEvent::~SignalEvent() { event_free(event_); }

void SignalEvent::OnEvent(int, short, void* self) { static_cast<SignalEvent*>(self)->on_signal_(); }

}  // namespace heddle::event
