#include "source/proxy/deadlines.h"

#include <algorithm>
#include <utility>

namespace heddle::proxy {

void Deadline::Stop() {
  at_ = 0;
  if (wheel_ != nullptr) Unlink();
}

void Deadline::Unlink() {
  if (wheel_->next_in_slot_ == this) wheel_->next_in_slot_ = next_;
  if (previous_ != nullptr) {
    previous_->next_ = next_;
  } else {
    wheel_->slots_[slot_] = next_;
    if (next_ == nullptr) wheel_->busy_[slot_ / 64] &= ~(1ull << (slot_ % 64));
  }
  if (next_ != nullptr) next_->previous_ = previous_;
  --wheel_->count_;
  next_ = previous_ = nullptr;
  wheel_ = nullptr;
}

Deadlines::~Deadlines() {
  for (Deadline* head : slots_) {
    while (head != nullptr) {
      Deadline* deadline = std::exchange(head, head->next_);
      deadline->wheel_ = nullptr;
      deadline->next_ = deadline->previous_ = nullptr;
    }
  }
}

void Deadlines::Start(Deadline& deadline, base::Micros now, base::Micros after) {
  const base::Micros at = std::max<base::Micros>(now + std::max<base::Micros>(after, 0), 1);
  deadline.at_ = at;
  if (deadline.wheel_ != nullptr) {
    if (at >= deadline.linked_at_) return;  // found to be later when its slot comes up
    deadline.Unlink();
  }
  if (count_ == 0) done_tick_ = std::max(done_tick_, now / kTick - 1);
  Link(deadline, at);
}

void Deadlines::Link(Deadline& deadline, base::Micros at) {
  const base::Micros tick = std::max((at + kTick - 1) / kTick, done_tick_ + 1);
  const uint32_t slot = static_cast<uint32_t>(tick) % kSlots;
  deadline.wheel_ = this;
  deadline.linked_at_ = at;
  deadline.slot_ = slot;
  deadline.previous_ = nullptr;
  deadline.next_ = slots_[slot];
  if (deadline.next_ != nullptr) deadline.next_->previous_ = &deadline;
  slots_[slot] = &deadline;
  busy_[slot / 64] |= 1ull << (slot % 64);
  ++count_;
  // Beyond one turn of the wheel the slot comes up early; that costs a look, not a fire.
  const base::Micros wake = std::min(tick, done_tick_ + kSlots) * kTick;
  if (wake < wake_) {
    wake_ = wake;
    if (wake_earlier_) wake_earlier_();
  }
}

base::Micros Deadlines::FirstBusyTick(base::Micros from_tick) const {
  for (uint32_t ahead = 0; ahead < kSlots;) {
    const uint32_t slot = static_cast<uint32_t>(from_tick + ahead) % kSlots;
    const uint64_t rest = busy_[slot / 64] >> (slot % 64);
    if (rest != 0) return from_tick + ahead + __builtin_ctzll(rest);
    ahead += 64 - slot % 64;
  }
  return from_tick + kSlots;
}

void Deadlines::FireSlot(uint32_t slot, base::Micros now) {
  Deadline* deadline = slots_[slot];
  while (deadline != nullptr) {
    next_in_slot_ = deadline->next_;
    if (deadline->at_ <= now) {
      deadline->at_ = 0;
      deadline->Unlink();
      deadline->fire_(deadline->owner_);  // may destroy it, and others of this slot
    } else {
      const base::Micros tick = (deadline->at_ + kTick - 1) / kTick;
      deadline->linked_at_ = deadline->at_;
      if (static_cast<uint32_t>(tick) % kSlots != slot) {
        const base::Micros at = deadline->at_;
        deadline->Unlink();
        Link(*deadline, at);
      }
    }
    deadline = next_in_slot_;
  }
  next_in_slot_ = nullptr;
}

void Deadlines::Advance(base::Micros now) {
  const base::Micros last = now / kTick;
  wake_ = 0;  // nothing needs to be woken for while we are awake
  if (last - done_tick_ > kSlots) done_tick_ = last - kSlots;
  while (done_tick_ < last) {
    const base::Micros tick = FirstBusyTick(done_tick_ + 1);
    if (tick > last) break;
    done_tick_ = tick;
    FireSlot(static_cast<uint32_t>(tick) % kSlots, now);
  }
  done_tick_ = std::max(done_tick_, last);
  wake_ = count_ == 0 ? kNever : FirstBusyTick(done_tick_ + 1) * kTick;
}

}  // namespace heddle::proxy
