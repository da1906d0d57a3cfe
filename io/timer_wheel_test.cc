#include "io/timer_wheel.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace dormouse::io {
namespace {

TEST(TimerWheel, fires_each_slot_once_and_never_early) {
  std::mt19937 random(1);
  TimerWheel wheel(1000, 10, 5'000);
  std::map<uint32_t, uint64_t> due;
  uint64_t now = 5'000;
  for (int round = 0; round < 20'000; ++round) {
    uint32_t slot = random() % 1000;
    if (random() % 4 == 0) {
      wheel.clear(slot);
      due.erase(slot);
    } else {
      uint64_t when = now + random() % wheel.span_ms();
      wheel.set(slot, when);
      due[slot] = when;
    }
    now += random() % 25;
    wheel.advance(now, [&](uint32_t fired) {
      ASSERT_TRUE(due.contains(fired));
      EXPECT_LE(due[fired], now);
      due.erase(fired);
    });
    for (auto& [left, when] : due) EXPECT_TRUE(wheel.is_set(left));
  }
  now += wheel.span_ms() + 10;
  wheel.advance(now, [&](uint32_t fired) { due.erase(fired); });
  EXPECT_TRUE(due.empty());
}

TEST(TimerWheel, a_slot_costs_eight_bytes) {
  static_assert(TimerWheel::kBytesPerSlot == 2 * sizeof(uint32_t));
}

}  // namespace
}  // namespace dormouse::io
