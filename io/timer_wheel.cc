#include "io/timer_wheel.h"

#include <algorithm>

#include "io/result.h"

namespace dormouse::io {

TimerWheel::TimerWheel(uint32_t slots, uint64_t granularity_ms, uint64_t now_ms)
    : granularity_ms_(granularity_ms),
      tick_(now_ms / granularity_ms),
      next_(slots, kNone),
      previous_(slots, kNone),
      heads_(kBuckets, kNone) {
  DORMOUSE_CHECK(slots < kIsHead, "a slot index fits 31 bits");
}

void TimerWheel::set(uint32_t slot, uint64_t due_ms) {
  clear(slot);
  uint64_t due_tick = (due_ms + granularity_ms_ - 1) / granularity_ms_;
  due_tick = std::clamp(due_tick, tick_ + 1, tick_ + kBuckets - 1);
  uint32_t bucket = uint32_t(due_tick % kBuckets);
  next_[slot] = heads_[bucket];
  if (heads_[bucket] != kNone) previous_[heads_[bucket]] = slot;
  previous_[slot] = kIsHead | bucket;
  heads_[bucket] = slot;
}

void TimerWheel::clear(uint32_t slot) {
  uint32_t previous = previous_[slot];
  if (previous == kNone) return;
  uint32_t next = next_[slot];
  if ((previous & kIsHead) != 0) {
    heads_[previous & ~kIsHead] = next;
  } else {
    next_[previous] = next;
  }
  if (next != kNone) previous_[next] = previous;
  previous_[slot] = kNone;
  next_[slot] = kNone;
}

}  // namespace dormouse::io
