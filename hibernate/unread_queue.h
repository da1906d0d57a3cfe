#pragma once
// UnreadQueue: sleepers whose socket has something for us that nobody has read yet, in the order in
// which it will be read. Each is in it at most once. Knows slots and times only.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>

namespace dormouse::hibernate {

class UnreadQueue {
 public:
  // `due_ms` is no earlier than that of the slot before; else this one waits for that one's time.
  void add(uint32_t slot, uint64_t due_ms) {
    if (!numbers_.emplace(slot, last_number_ + 1).second) return;
    queue_.push_back({due_ms, slot, ++last_number_});
  }
  // Its connection has ended; the slot may be another's soon.
  void forget(uint32_t slot) { numbers_.erase(slot); }

  bool contains(uint32_t slot) const { return numbers_.contains(slot); }
  size_t size() const { return numbers_.size(); }
  // When the next one may be read; nothing: none waits.
  std::optional<uint64_t> next_due_ms() {
    while (!queue_.empty() && is_stale(queue_.front())) queue_.pop_front();
    if (queue_.empty()) return std::nullopt;
    return queue_.front().due_ms;
  }
  // Nothing: none waits, or the next one still has to.
  std::optional<uint32_t> take(uint64_t now_ms) {
    auto due_ms = next_due_ms();
    if (!due_ms || *due_ms > now_ms) return std::nullopt;
    uint32_t slot = queue_.front().slot;
    queue_.pop_front();
    numbers_.erase(slot);
    return slot;
  }

 private:
  struct Entry {
    uint64_t due_ms = 0;
    uint32_t slot = 0;
    uint64_t number = 0;
  };
  bool is_stale(const Entry& entry) const {
    auto found = numbers_.find(entry.slot);
    return found == numbers_.end() || found->second != entry.number;
  }

  std::deque<Entry> queue_;
  std::unordered_map<uint32_t, uint64_t> numbers_;  // slot -> which entry is its own
  uint64_t last_number_ = 0;
};

}  // namespace dormouse::hibernate
