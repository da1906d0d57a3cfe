#pragma once
// RefreshQueue: the slots whose mailbox changed, first come first served, each at most once; and
// behind them those that are looked at only to be sure (a sweep after a notice may have been lost).
// At most kRunningMax are under way at a time, kSweepsRunningMax of them sweeps. A refresh that
// could not be had is put off: until its time it is not queued again, whatever changes meanwhile.
//
// Where the tracker's queue is full, that is nothing of this slot's: the slot stays first in line,
// all wait for a while, and fewer run at a time from then on (half as many, and one more for each
// that is answered), so that however many dens there are, they find together what the workers
// sustain. Nothing is lost meanwhile: what waits is queued here, and in the records.

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <queue>
#include <utility>
#include <vector>

namespace dormouse::hibernate {

class RefreshQueue {
 public:
  // A worker answers a refresh in well under a millisecond, so 64 keep two cores busy while a burst
  // still leaves room for clients' input, which is not queued here.
  static constexpr uint32_t kRunningMax = 64;
  static constexpr uint32_t kSweepsRunningMax = 4;
  // Put-off refreshes that come back in one second: where all of a shard's fail (a file system that
  // is gone), they must not take the time of those that can be had.
  static constexpr uint32_t kReturnsMax = 256;

  explicit RefreshQueue(uint32_t slots) : queued_(slots, 0) {}

  // A change goes before a sweep: a slot queued for a sweep moves up.
  void add(uint32_t slot, bool sweep) {
    uint8_t bit = sweep ? kSweep : kChange;
    if ((queued_[slot] & (bit | kChange | kPutOff)) != 0) return;
    queued_[slot] |= bit;
    (sweep ? sweeps_ : changes_).push_back(slot);
  }
  void put_off(uint32_t slot, uint64_t due_ms) {
    queued_[slot] = kPutOff;
    later_.emplace(due_ms, slot);
  }
  // Queues those whose time has come, at most kReturnsMax of them.
  void take_back(uint64_t now_ms) {
    for (uint32_t i = 0; i < kReturnsMax && !later_.empty() && later_.top().first <= now_ms; ++i) {
      uint32_t slot = later_.top().second;
      later_.pop();
      if ((queued_[slot] & kPutOff) == 0) continue;  // it has been forgotten
      queued_[slot] = 0;
      add(slot, false);
    }
  }
  // This one was refused since there are too many of all dens: it is next, from `until_ms` on.
  void hold_back(uint32_t slot, bool sweep, uint64_t until_ms) {
    // A window's worth is refused together, once.
    if (until_ms > held_until_ms_ + kHoldsApartMs) running_max_ = std::max(running_max_ / 2, 1u);
    held_until_ms_ = std::max(held_until_ms_, until_ms);
    uint8_t bit = sweep ? kSweep : kChange;
    if ((queued_[slot] & (bit | kChange)) != 0) return;
    queued_[slot] = bit;
    (sweep ? sweeps_ : changes_).push_front(slot);
  }
  void forget(uint32_t slot) { queued_[slot] = 0; }
  bool queued(uint32_t slot) const { return queued_[slot] != 0; }

  struct Next {
    uint32_t slot;
    bool sweep;
  };
  // The next slot to refresh, counted as running until done().
  std::optional<Next> next(uint64_t now_ms) {
    if (now_ms < held_until_ms_) return std::nullopt;
    while (running_ < running_max_ && !changes_.empty()) {
      uint32_t slot = changes_.front();
      changes_.pop_front();
      if ((queued_[slot] & kChange) == 0) continue;
      queued_[slot] = 0;
      ++running_;
      return Next{slot, false};
    }
    while (running_ < std::min(kSweepsRunningMax, running_max_) && !sweeps_.empty()) {
      uint32_t slot = sweeps_.front();
      sweeps_.pop_front();
      if ((queued_[slot] & kSweep) == 0) continue;
      queued_[slot] = 0;
      ++running_;
      return Next{slot, true};
    }
    return std::nullopt;
  }
  void done(bool answered) {
    --running_;
    if (answered) running_max_ = std::min(running_max_ + 1, kRunningMax);
  }

  size_t waiting() const { return changes_.size() + sweeps_.size(); }
  size_t put_off() const { return later_.size(); }
  uint32_t running() const { return running_; }
  uint32_t running_max() const { return running_max_; }

 private:
  // Refusals of one moment differ in their time by half a second (the tracker spreads them).
  static constexpr uint64_t kHoldsApartMs = 500;
  static constexpr uint8_t kChange = 1;
  static constexpr uint8_t kSweep = 2;
  static constexpr uint8_t kPutOff = 4;

  std::vector<uint8_t> queued_;
  std::deque<uint32_t> changes_;
  std::deque<uint32_t> sweeps_;
  // (due, slot), the next one on top. At most one for each slot, and stale ones of slots forgotten.
  std::priority_queue<std::pair<uint64_t, uint32_t>, std::vector<std::pair<uint64_t, uint32_t>>,
                      std::greater<>>
      later_;
  uint32_t running_ = 0;
  uint32_t running_max_ = kRunningMax;
  uint64_t held_until_ms_ = 0;
};

}  // namespace dormouse::hibernate
