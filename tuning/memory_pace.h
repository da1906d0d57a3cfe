#pragma once
// MemoryPace: what the memory in use comes to soon, at the pace of the last second. A limit that is
// noticed when it is reached is noticed too late: those who were let in before go on taking memory.
// Pure.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace dormouse::tuning {

class MemoryPace {
 public:
  // How far ahead: a look (PressureKeeper), the way to the roles, and the logins and SELECTs that
  // are under way by then, some 200 of them at 150 a second.
  static constexpr uint64_t kAheadMs = 1'500;
  // Where logins are paced already, few are under way. Looking farther ahead says critical of a
  // growth that is bounded, again and again, and clients are refused while there is room.
  static constexpr uint64_t kPacedAheadMs = 500;
  // The pace is taken over so long at least, so that one allocation is no pace of its own.
  static constexpr uint64_t kWindowMs = 900;

  // `permille` of the limit in use at `now_ms`. Answers no less than that, and 1000 at most. What
  // falls or stays counts as it is. `paced`: logins are.
  uint32_t ahead(uint64_t now_ms, uint32_t permille, bool paced = false) {
    while (count_ > 1 && now_ms - seen_[1].at_ms >= kWindowMs) drop_first();
    // Kept so far apart that the array spans a window.
    bool apart = count_ == 0 || now_ms - seen_[count_ - 1].at_ms >= kApartMs;
    if (apart && count_ == seen_.size()) drop_first();
    if (apart) seen_[count_++] = {now_ms, permille};
    const Seen& first = seen_[0];
    if (permille <= first.permille || now_ms - first.at_ms < kWindowMs) return permille;
    uint64_t more =
        (permille - first.permille) * (paced ? kPacedAheadMs : kAheadMs) / (now_ms - first.at_ms);
    return uint32_t(std::min<uint64_t>(permille + more, 1000));
  }

 private:
  struct Seen {
    uint64_t at_ms = 0;
    uint32_t permille = 0;
  };
  void drop_first() {
    std::copy(seen_.begin() + 1, seen_.begin() + ptrdiff_t(count_), seen_.begin());
    --count_;
  }

  static constexpr uint64_t kApartMs = 150;
  std::array<Seen, 8> seen_{};  // ascending
  size_t count_ = 0;
};

}  // namespace dormouse::tuning
