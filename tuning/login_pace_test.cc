#include "tuning/login_pace.h"

#include <gtest/gtest.h>

namespace dormouse::tuning {
namespace {

constexpr LoginPaceSettings kSettings{.goal_ms = 10, .least = 50, .most = 2000};

TEST(LoginPace, bounds_nothing_while_nobody_is_late) {
  LoginPace pace(kSettings);
  EXPECT_EQ(pace.per_second(), 2000u) << "before there is anything to protect";
  for (uint64_t now_ms = 100; now_ms < 5'000; now_ms += 100) pace.sample(now_ms, 2, 30);
  EXPECT_EQ(pace.per_second(), 2000u);
  EXPECT_NEAR(pace.served(), 300, 10);
}

TEST(LoginPace, falls_below_what_was_served_when_wakes_are_late) {
  LoginPace pace(kSettings);
  for (uint64_t now_ms = 100; now_ms <= 3'000; now_ms += 100) pace.sample(now_ms, 3, 40);
  EXPECT_NEAR(pace.served(), 400, 10);
  pace.sample(3'100, 11, 40);
  EXPECT_EQ(pace.per_second(), 2000u) << "once is no queue";
  pace.sample(3'200, 11, 40);
  uint32_t after = pace.per_second();
  EXPECT_NEAR(after, 400 * LoginPace::kDown, 10);
  pace.sample(3'300, 200, 40);
  EXPECT_EQ(pace.per_second(), after) << "who was let in before is still being served";
  pace.sample(3'600, 200, 120);
  EXPECT_NEAR(pace.per_second(), after * LoginPace::kDown, 2);
  EXPECT_EQ(pace.late(), 4u);
  uint32_t slow = pace.per_second();
  pace.sample(3'700, 5, 20);
  EXPECT_NEAR(pace.per_second(), slow * LoginPace::kUp, 1);
}

TEST(LoginPace, never_falls_below_the_least) {
  LoginPace pace(kSettings);
  for (uint64_t now_ms = 100; now_ms < 60'000; now_ms += 100) pace.sample(now_ms, 500, 1);
  EXPECT_EQ(pace.per_second(), 50u);
}

TEST(LoginPace, without_probes_or_without_a_goal_there_is_no_bound) {
  LoginPace pace(kSettings);
  for (uint64_t now_ms = 100; now_ms < 3'000; now_ms += 100) pace.sample(now_ms, 500, 10);
  EXPECT_LT(pace.per_second(), 100u);
  pace.sample(3'000, std::nullopt, 10);
  EXPECT_EQ(pace.per_second(), 2000u);
  LoginPace none({.goal_ms = 0, .least = 50, .most = 2000});
  none.sample(100, 500, 10);
  EXPECT_EQ(none.per_second(), 0u);
}

// A machine that serves 400 logins a second, whose sleepers wait behind what is queued, and more
// logins than that at once: the pace comes to rest near what it can do, and the queue stays short.
TEST(LoginPace, settles_near_what_the_machine_can_do) {
  LoginPace pace(kSettings);
  constexpr double kServedPerTick = 40;
  double queued = 0;
  double served = 0;
  unsigned late = 0;
  constexpr unsigned kTicks = 600;
  for (unsigned tick = 1; tick <= kTicks; ++tick) {
    queued += double(pace.per_second()) / 10;
    double done = std::min(queued, kServedPerTick);
    queued -= done;
    served += done;
    auto late_ms = uint32_t(2 + queued * 1000 / 400);
    late += late_ms > 10 ? 1 : 0;
    pace.sample(tick * 100, late_ms, uint32_t(done));
  }
  EXPECT_GT(served, 0.75 * kServedPerTick * kTicks);
  EXPECT_LT(late, kTicks / 5);
}

}  // namespace
}  // namespace dormouse::tuning
