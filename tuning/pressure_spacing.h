#pragma once
// Spacing: so many of something a second and no burst. Pure.

#include <algorithm>
#include <cstdint>
#include <optional>

namespace dormouse::tuning {

class Spacing {
 public:
  // 0: no bound.
  void set_rate(double per_second) { interval_ms_ = per_second > 0 ? 1000 / per_second : 0; }

  // How long the next one waits; its turn is then taken. Nothing: longer than `patience_ms`, and no
  // turn is taken.
  std::optional<uint64_t> take(uint64_t now_ms, uint64_t patience_ms) {
    double now = double(now_ms);
    double turn = std::max(next_ms_, now);
    if (turn - now > double(patience_ms)) return std::nullopt;
    next_ms_ = turn + interval_ms_;
    return uint64_t(turn - now);
  }

 private:
  double interval_ms_ = 0;
  double next_ms_ = 0;
};

}  // namespace dormouse::tuning
