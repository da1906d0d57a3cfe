#pragma once
// RefreshQueue: the slots whose mailbox changed, first come first served, each at most once; and
// behind them those that are looked at only to be sure (a sweep after a notice may have been lost).
// At most kRunningMax are under way at a time, kSweepsRunningMax of them sweeps.

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace dormouse::hibernate {

class RefreshQueue {
 public:
  // A worker answers a refresh in well under a millisecond, so 64 keep two cores busy while a burst
  // still leaves room for clients' input, which is not queued here.
  static constexpr uint32_t kRunningMax = 64;
  static constexpr uint32_t kSweepsRunningMax = 4;

  explicit RefreshQueue(uint32_t slots) : queued_(slots, 0) {}

  // A change goes before a sweep: a slot queued for a sweep moves up.
  void add(uint32_t slot, bool sweep) {
    uint8_t bit = sweep ? kSweep : kChange;
    if ((queued_[slot] & (bit | kChange)) != 0) return;
    queued_[slot] |= bit;
    (sweep ? sweeps_ : changes_).push_back(slot);
  }
  void forget(uint32_t slot) { queued_[slot] = 0; }
  bool queued(uint32_t slot) const { return queued_[slot] != 0; }

  struct Next {
    uint32_t slot;
    bool sweep;
  };
  // The next slot to refresh, counted as running until done().
  std::optional<Next> next() {
    while (running_ < kRunningMax && !changes_.empty()) {
      uint32_t slot = changes_.front();
      changes_.pop_front();
      if ((queued_[slot] & kChange) == 0) continue;
      queued_[slot] = 0;
      ++running_;
      return Next{slot, false};
    }
    while (running_ < kSweepsRunningMax && !sweeps_.empty()) {
      uint32_t slot = sweeps_.front();
      sweeps_.pop_front();
      if ((queued_[slot] & kSweep) == 0) continue;
      queued_[slot] = 0;
      ++running_;
      return Next{slot, true};
    }
    return std::nullopt;
  }
  void done() { --running_; }

  size_t waiting() const { return changes_.size() + sweeps_.size(); }
  uint32_t running() const { return running_; }

 private:
  static constexpr uint8_t kChange = 1;
  static constexpr uint8_t kSweep = 2;

  std::vector<uint8_t> queued_;
  std::deque<uint32_t> changes_;
  std::deque<uint32_t> sweeps_;
  uint32_t running_ = 0;
};

}  // namespace dormouse::hibernate
