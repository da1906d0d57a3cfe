#pragma once
// Coalescer: what happens to one mailbox in a burst is told in one piece. The first change is told
// at once and opens a window; what comes within it waits for its end, is told then, and opens the
// next. So a sleeper is woken at most once per window, and a lone delivery waits for nothing. Knows
// slots and times only.

#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

namespace dormouse::hibernate {

class Coalescer {
 public:
  // 0: nothing ever waits.
  explicit Coalescer(uint64_t window_ms) : window_ms_(window_ms) {}

  // False: tell it now; a window is open from `now_ms` on. True: it waits for due().
  bool hold(uint32_t slot, uint64_t now_ms) {
    if (window_ms_ == 0) return false;
    forget_ended(now_ms);
    auto [found, fresh] = windows_.try_emplace(slot, Window{now_ms + window_ms_});
    if (!fresh && now_ms < found->second.end_ms) {
      found->second.waits = true;
      return true;
    }
    found->second = Window{now_ms + window_ms_};
    ends_.emplace_back(found->second.end_ms, slot);
    return false;
  }

  // When due() has something to do; nothing while no window is open.
  std::optional<uint64_t> next_end_ms() const {
    if (ends_.empty()) return std::nullopt;
    return ends_.front().first;
  }

  // Closes the windows that ended and gives the slots that wait for that.
  std::vector<uint32_t> due(uint64_t now_ms) {
    std::vector<uint32_t> waiting;
    while (!ends_.empty() && ends_.front().first <= now_ms) {
      auto [end_ms, slot] = ends_.front();
      ends_.pop_front();
      auto window = windows_.find(slot);
      if (window == windows_.end() || window->second.end_ms != end_ms) continue;
      if (window->second.waits) waiting.push_back(slot);
      windows_.erase(window);
    }
    return waiting;
  }

  void forget(uint32_t slot) { windows_.erase(slot); }
  size_t open() const { return windows_.size(); }

 private:
  // Windows that ended with nobody waiting: due() is not called for those.
  void forget_ended(uint64_t now_ms) {
    while (!ends_.empty() && ends_.front().first <= now_ms) {
      auto window = windows_.find(ends_.front().second);
      if (window != windows_.end() && window->second.end_ms == ends_.front().first) {
        if (window->second.waits) return;
        windows_.erase(window);
      }
      ends_.pop_front();
    }
  }

  struct Window {
    uint64_t end_ms = 0;
    bool waits = false;
  };
  uint64_t window_ms_;
  std::unordered_map<uint32_t, Window> windows_;
  // (end, slot), in the order of their ends: all windows are of one length. Stale where the window
  // was forgotten or opened anew.
  std::deque<std::pair<uint64_t, uint32_t>> ends_;
};

}  // namespace dormouse::hibernate
