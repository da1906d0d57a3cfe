#include "tuning/memory_pace.h"

#include <gtest/gtest.h>

namespace dormouse::tuning {
namespace {

TEST(MemoryPace, what_stays_or_falls_counts_as_it_is) {
  MemoryPace pace;
  for (uint64_t now = 0; now < 10'000; now += 500) EXPECT_EQ(pace.ahead(now, 700), 700u);
  for (uint32_t less = 0; less < 10; ++less) {
    EXPECT_EQ(pace.ahead(10'000 + 500 * less, 700 - 30 * less), 700 - 30 * less);
  }
}

TEST(MemoryPace, what_rises_counts_as_what_it_will_be) {
  MemoryPace pace;
  EXPECT_EQ(pace.ahead(0, 400), 400u);
  EXPECT_EQ(pace.ahead(500, 450), 450u) << "half a second is no pace";
  EXPECT_EQ(pace.ahead(1000, 500), 650u) << "a tenth a second";
  EXPECT_EQ(pace.ahead(1500, 550), 700u);
  EXPECT_EQ(pace.ahead(2000, 550), 625u) << "half of it in the last second";
  EXPECT_EQ(pace.ahead(2500, 550), 550u) << "over";
}

TEST(MemoryPace, where_logins_are_paced_less_of_the_future_counts) {
  MemoryPace pace;
  pace.ahead(0, 400);
  EXPECT_EQ(pace.ahead(1000, 500, true), 550u);
}

TEST(MemoryPace, no_more_than_there_is) {
  MemoryPace pace;
  pace.ahead(0, 100);
  EXPECT_EQ(pace.ahead(1000, 900), 1000u);
}

TEST(MemoryPace, the_same_however_often_it_is_looked_at) {
  for (uint64_t step : {100u, 50u, 10u, 1u}) {
    MemoryPace pace;
    uint32_t last = 0;
    for (uint64_t now = 0; now <= 5'000; now += step) last = pace.ahead(now, uint32_t(now / 10));
    EXPECT_NEAR(last, 650, 2) << step;
  }
}

TEST(MemoryPace, looks_that_stopped_for_long_say_the_pace_since) {
  MemoryPace pace;
  pace.ahead(0, 100);
  EXPECT_EQ(pace.ahead(100'000, 300), 303u);
}

}  // namespace
}  // namespace dormouse::tuning
