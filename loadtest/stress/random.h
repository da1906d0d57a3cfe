#pragma once
// Random: a generator whose numbers are the same on every machine for the same seed (SplitMix64:
// a counter in steps of the golden ratio, mixed), which the standard's distributions are not.

#include <cstdint>

namespace dormouse::loadtest::stress {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    state_ += 0x9e3779b97f4a7c15;
    uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    return mixed ^ (mixed >> 31);
  }
  // 0 to bound - 1; the bias of the remainder is below 2^-32 for bounds of 32 bits.
  uint32_t below(uint32_t bound) { return bound == 0 ? 0 : uint32_t(next() % bound); }
  bool percent(uint32_t chance) { return below(100) < chance; }

 private:
  uint64_t state_;
};

}  // namespace dormouse::loadtest::stress
