#pragma once
// PressedPace: how many new connections a second are served by the level of pressure. Pure.
//
// From pressed on as many as logins may take, and not fewer when critical, so that a refusal is
// heard soon: who waits before the greeting costs next to nothing. Then the door opens slowly. All
// who were refused or had to wait knock at once, and a burst of them is what it was closed for.

#include <cmath>
#include <cstdint>
#include <optional>

#include "tuning/pressure_level.h"

namespace dormouse::tuning {

class PressedPace {
 public:
  // By a quarter more each second: eighty times as many in the end, which is no bound any more.
  static constexpr double kUpPerSecond = 1.25;
  static constexpr uint64_t kOpeningMs = 20'000;

  // `pressed`: the pace from pressed on. 0: no bound. `now_ms` never goes back.
  uint32_t per_second(uint64_t now_ms, Pressure level, uint32_t pressed) {
    if (level >= Pressure::kPressed) {
      pressed_ms_ = now_ms;
      return pressed;
    }
    if (pressed_ms_ && now_ms - *pressed_ms_ >= kOpeningMs) pressed_ms_.reset();
    if (!pressed_ms_) return 0;
    return uint32_t(pressed * std::pow(kUpPerSecond, double(now_ms - *pressed_ms_) / 1000));
  }

 private:
  std::optional<uint64_t> pressed_ms_;  // when it was so last
};

}  // namespace dormouse::tuning
