#pragma once
// Times of the driver's commands: for driver.cc and driver_hold.cc only.

#include <cstdint>

#include "loadtest/clock.h"
#include "loadtest/command.h"

namespace dormouse::loadtest {

inline constexpr uint64_t kSecondUs = 1'000'000;
// How often a condition is looked at while waiting; what is measured is not taken from it.
inline constexpr uint64_t kLookMs = 2;
inline constexpr double kTimeoutDefaultSeconds = 60;

inline uint64_t seconds_us(double seconds) { return uint64_t(seconds * double(kSecondUs)); }

// When act `k` of an open loop that began at `begun_us` is due; a fraction: as much of an interval
// later.
inline uint64_t due_us(uint64_t begun_us, double k, double rate) {
  return rate > 0 ? begun_us + uint64_t(k * double(kSecondUs) / rate) : begun_us;
}

inline uint64_t timeout_us(const Command& command) {
  return seconds_us(command.option("timeout", kTimeoutDefaultSeconds));
}

inline double seconds_since(uint64_t begun_us) {
  return double(now_us() - begun_us) / double(kSecondUs);
}

}  // namespace dormouse::loadtest
