#pragma once
// Coalescer: what happens to one mailbox in a burst is told in one piece. The first change is told
// at once and opens a window; what comes within it waits for its end, is told then, and opens the
// next. So a sleeper is woken at most once per window, and a lone delivery waits for nothing. Under
// pressure the window is longer, and from some level on the first change opens it and waits for its
// end too: a lone delivery to each of many thousand sleepers is a storm as well. Knows slots and
// times only.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <unordered_map>
#include <utility>
#include <vector>

namespace dormouse::hibernate {

class Coalescer {
 public:
  // Windows that a shorter one cuts short end at so many different times.
  static constexpr uint32_t kSpread = 64;

  // 0: nothing ever waits.
  explicit Coalescer(uint64_t window_ms) : window_ms_(window_ms) {}

  // `first_waits`: so does the change that opens a window. Windows that are open for longer than
  // the new one end within it, spread over it.
  void set_window(uint64_t window_ms, bool first_waits, uint64_t now_ms) {
    window_ms_ = window_ms;
    first_waits_ = first_waits;
    std::vector<std::pair<uint64_t, uint32_t>> ends;
    ends.reserve(windows_.size());
    for (auto& [slot, window] : windows_) {
      if (window.end_ms > now_ms + window_ms) {
        window.end_ms = now_ms + window_ms * (slot % kSpread + 1) / kSpread;
      }
      ends.emplace_back(window.end_ms, slot);
    }
    ends_ = Ends(std::greater<>(), std::move(ends));
  }

  // False: tell it now; a window is open from `now_ms` on. True: it waits for due().
  bool hold(uint32_t slot, uint64_t now_ms) {
    if (window_ms_ == 0 && windows_.empty()) return false;
    forget_ended(now_ms);
    auto found = windows_.find(slot);
    if (found != windows_.end() && (now_ms < found->second.end_ms || first_waits_)) {
      found->second.waits = true;
      return true;
    }
    open(slot, now_ms);
    if (!first_waits_ || window_ms_ == 0) return false;
    windows_[slot].waits = true;
    return true;
  }

  // Opens the next window of a slot whose changes are being told.
  void open(uint32_t slot, uint64_t now_ms) {
    if (window_ms_ == 0) {
      windows_.erase(slot);
      return;
    }
    windows_[slot] = Window{now_ms + window_ms_};
    ends_.emplace(now_ms + window_ms_, slot);
  }

  // When due() has something to do; nothing while no window is open.
  std::optional<uint64_t> next_end_ms() const {
    if (ends_.empty()) return std::nullopt;
    return ends_.top().first;
  }

  // Closes the windows that ended and gives the slots that wait for that.
  std::vector<uint32_t> due(uint64_t now_ms) {
    std::vector<uint32_t> waiting;
    while (!ends_.empty() && ends_.top().first <= now_ms) {
      auto [end_ms, slot] = ends_.top();
      ends_.pop();
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
    while (!ends_.empty() && ends_.top().first <= now_ms) {
      auto window = windows_.find(ends_.top().second);
      if (window != windows_.end() && window->second.end_ms == ends_.top().first) {
        if (window->second.waits) return;
        windows_.erase(window);
      }
      ends_.pop();
    }
  }

  struct Window {
    uint64_t end_ms = 0;
    bool waits = false;
  };
  // (end, slot), the next one on top. Stale where the window was forgotten or opened anew.
  using Ends = std::priority_queue<std::pair<uint64_t, uint32_t>,
                                   std::vector<std::pair<uint64_t, uint32_t>>, std::greater<>>;

  uint64_t window_ms_;
  bool first_waits_ = false;
  std::unordered_map<uint32_t, Window> windows_;
  Ends ends_;
};

}  // namespace dormouse::hibernate
