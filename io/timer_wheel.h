#pragma once
// TimerWheel: timers for many slots of a table, 8 bytes each. A slot is in the wheel at most once.
// The wheel knows when a slot is next due only to its granularity, and only up to its span: a
// longer time is for the owner to keep, who is called early and puts the slot back.

#include <cstdint>
#include <vector>

namespace dormouse::io {

class TimerWheel {
 public:
  // `slots`: indexes 0 .. slots-1. `granularity_ms` x kBuckets is the span.
  TimerWheel(uint32_t slots, uint64_t granularity_ms, uint64_t now_ms);

  static constexpr uint32_t kBuckets = 1024;
  uint64_t span_ms() const { return granularity_ms_ * (kBuckets - 1); }

  // Due at `due_ms` rounded up to the granularity, or at the end of the span if that is earlier.
  void set(uint32_t slot, uint64_t due_ms);
  void clear(uint32_t slot);
  bool is_set(uint32_t slot) const { return previous_[slot] != kNone; }

  // Calls due(slot) for every slot whose time has come, after taking it out of the wheel; due()
  // may set and clear any slot.
  template <class Due>
  void advance(uint64_t now_ms, Due&& due) {
    uint64_t now_tick = now_ms / granularity_ms_;
    while (tick_ < now_tick) {
      ++tick_;
      uint32_t bucket = uint32_t(tick_ % kBuckets);
      while (heads_[bucket] != kNone) {
        uint32_t slot = heads_[bucket];
        clear(slot);
        due(slot);
      }
    }
  }

  static constexpr uint64_t kBytesPerSlot = 8;

 private:
  static constexpr uint32_t kNone = 0xffffffff;
  static constexpr uint32_t kIsHead = 0x80000000;  // previous_ then holds the bucket

  uint64_t granularity_ms_;
  uint64_t tick_;
  std::vector<uint32_t> next_;
  std::vector<uint32_t> previous_;
  std::vector<uint32_t> heads_;
};

}  // namespace dormouse::io
