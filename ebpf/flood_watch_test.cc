#include "ebpf/flood_watch.h"

#include <gtest/gtest.h>

namespace dormouse::ebpf {
namespace {

struct Second {
  uint64_t let_in = 0;
  uint64_t dropped = 0;
  uint64_t completed = 0;
};

class FloodWatchTest : public testing::Test {
 protected:
  // What it says after as many such seconds.
  bool after(unsigned seconds, const Second& each) {
    bool flooded = false;
    for (unsigned i = 0; i < seconds; ++i) {
      counters_[ADMISSION_WITHIN] += each.let_in;
      counters_[ADMISSION_DROPPED_RATE] += each.dropped;
      counters_[ADMISSION_COMPLETED] += each.completed;
      flooded = watch_.look(counters_);
    }
    return flooded;
  }
  AdmissionCounters counters_{};
  FloodWatch watch_;
};

TEST_F(FloodWatchTest, a_storm_of_honest_clients_is_no_flood) {
  EXPECT_FALSE(after(60, {.let_in = 2000, .dropped = 50'000, .completed = 1900}));
  EXPECT_FALSE(after(60, {.let_in = 2000, .dropped = 50'000, .completed = 600})) << "bad lines";
}

TEST_F(FloodWatchTest, syns_that_nobody_completes_are_one_after_some_seconds) {
  EXPECT_FALSE(after(2, {.let_in = 2000, .dropped = 50'000, .completed = 50}));
  EXPECT_TRUE(after(1, {.let_in = 2000, .dropped = 50'000, .completed = 50}));
}

TEST_F(FloodWatchTest, a_moment_without_completions_is_not) {
  for (int i = 0; i < 20; ++i) {
    EXPECT_FALSE(after(2, {.let_in = 2000, .dropped = 50'000, .completed = 0}));
    EXPECT_FALSE(after(1, {.let_in = 2000, .dropped = 50'000, .completed = 2000}));
  }
}

TEST_F(FloodWatchTest, where_nothing_is_dropped_there_is_nothing_to_lift) {
  EXPECT_FALSE(after(60, {.let_in = 1000, .dropped = 0, .completed = 0}));
}

TEST_F(FloodWatchTest, a_few_tries_of_one_client_are_not_a_flood) {
  EXPECT_FALSE(after(60, {.let_in = 5, .dropped = 5, .completed = 0}));
}

TEST_F(FloodWatchTest, it_is_over_when_it_was_quiet_or_honest_for_long_enough) {
  ASSERT_TRUE(after(3, {.let_in = 2000, .dropped = 50'000, .completed = 50}));
  EXPECT_TRUE(after(100, {.let_in = 50'000, .dropped = 0, .completed = 900})) << "while it lasts";
  EXPECT_TRUE(after(9, {.let_in = 100, .dropped = 0, .completed = 95}));
  EXPECT_FALSE(after(1, {.let_in = 100, .dropped = 0, .completed = 95}));
  ASSERT_TRUE(after(3, {.let_in = 2000, .dropped = 50'000, .completed = 50})) << "again";
  EXPECT_FALSE(after(10, {}));
}

TEST_F(FloodWatchTest, while_nobody_comes_it_looks_less_often) {
  after(1, {.let_in = 1, .completed = 1});
  EXPECT_EQ(watch_.next_look_ms(), FloodWatch::kLookMs);
  after(1, {});
  EXPECT_EQ(watch_.next_look_ms(), FloodWatch::kQuietLookMs);
  after(1, {.dropped = 1});
  EXPECT_EQ(watch_.next_look_ms(), FloodWatch::kLookMs);
  ASSERT_TRUE(after(3, {.let_in = 2000, .dropped = 50'000, .completed = 50}));
  after(1, {});
  EXPECT_EQ(watch_.next_look_ms(), FloodWatch::kLookMs) << "it counts its end by seconds";
}

}  // namespace
}  // namespace dormouse::ebpf
