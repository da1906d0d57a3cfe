#pragma once
// DenCounts: how many sessions of one user (or from one address) each den holds, in 8 bytes for the
// usual case of one den. A den is named by its census slot (den_slots.h), which changes with every
// census, so the counts of a den that was restarted can be dropped without visiting every user.

#include <cstdint>
#include <memory>
#include <vector>

#include "io/result.h"

namespace dormouse::tracker {

class DenCounts {
 public:
  using Slot = uint16_t;

  DenCounts() = default;
  DenCounts(DenCounts&& other) noexcept : word_(std::exchange(other.word_, kEmpty)) {}
  DenCounts& operator=(DenCounts&& other) noexcept {
    if (this != &other) {
      reset();
      word_ = std::exchange(other.word_, kEmpty);
    }
    return *this;
  }
  ~DenCounts() { reset(); }

  // Saturates at 2^32 - 1.
  void add(Slot slot, uint32_t sessions);
  // False when the slot has none: the den's count and ours disagree.
  bool subtract(Slot slot);
  // Forgets every slot for which dead(slot) is true. True when nothing is left.
  template <class Dead>
  bool drop(Dead&& dead) {
    if (word_ == kEmpty) return true;
    if (is_inline()) {
      if (dead(inline_entry().slot)) word_ = kEmpty;
      return word_ == kEmpty;
    }
    std::erase_if(*list(), [&](const Entry& entry) { return dead(entry.slot); });
    shrink();
    return word_ == kEmpty;
  }
  // The sum over the slots for which live(slot) is true.
  template <class Live>
  uint64_t sum(Live&& live) const {
    if (word_ == kEmpty) return 0;
    if (is_inline()) return live(inline_entry().slot) ? inline_entry().sessions : 0;
    uint64_t total = 0;
    for (const Entry& entry : *list()) total += live(entry.slot) ? entry.sessions : 0;
    return total;
  }
  bool empty() const { return word_ == kEmpty; }

 private:
  struct Entry {
    uint32_t sessions;
    Slot slot;
  };
  using List = std::vector<Entry>;
  // Lowest bit set: one entry, sessions << 32 | slot << 16 | 1. Else a List*, or kEmpty.
  static constexpr uint64_t kEmpty = 0;

  bool is_inline() const { return (word_ & 1) != 0; }
  Entry inline_entry() const { return Entry{uint32_t(word_ >> 32), Slot(word_ >> 16)}; }
  void set_inline(Entry entry) {
    word_ = uint64_t(entry.sessions) << 32 | uint64_t(entry.slot) << 16 | 1;
  }
  List* list() const { return reinterpret_cast<List*>(word_); }
  void shrink();
  void reset() {
    if (word_ != kEmpty && !is_inline()) delete list();
    word_ = kEmpty;
  }

  uint64_t word_ = kEmpty;
};

}  // namespace dormouse::tracker
