#include "hibernate/coalescer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dormouse::hibernate {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Coalescer, a_lone_change_waits_for_nothing) {
  Coalescer coalescer(100);
  EXPECT_FALSE(coalescer.hold(1, 1000));
  EXPECT_EQ(coalescer.next_end_ms(), 1100u);
  EXPECT_THAT(coalescer.due(1100), IsEmpty());
  EXPECT_FALSE(coalescer.hold(1, 1100));
}

TEST(Coalescer, what_comes_within_the_window_is_told_once_at_its_end) {
  Coalescer coalescer(100);
  EXPECT_FALSE(coalescer.hold(1, 1000));
  EXPECT_TRUE(coalescer.hold(1, 1001));
  EXPECT_TRUE(coalescer.hold(1, 1099));
  EXPECT_THAT(coalescer.due(1099), IsEmpty());
  EXPECT_THAT(coalescer.due(1100), ElementsAre(1));
  EXPECT_THAT(coalescer.due(5000), IsEmpty());
}

TEST(Coalescer, telling_at_the_end_opens_the_next_window) {
  Coalescer coalescer(100);
  EXPECT_FALSE(coalescer.hold(1, 1000));
  EXPECT_TRUE(coalescer.hold(1, 1050));
  EXPECT_THAT(coalescer.due(1100), ElementsAre(1));
  EXPECT_FALSE(coalescer.hold(1, 1100));
  EXPECT_TRUE(coalescer.hold(1, 1199));
  EXPECT_THAT(coalescer.due(1200), ElementsAre(1));
}

TEST(Coalescer, slots_do_not_wait_for_one_another) {
  Coalescer coalescer(100);
  EXPECT_FALSE(coalescer.hold(1, 1000));
  EXPECT_FALSE(coalescer.hold(2, 1050));
  EXPECT_TRUE(coalescer.hold(2, 1060));
  EXPECT_TRUE(coalescer.hold(1, 1060));
  EXPECT_THAT(coalescer.due(1100), ElementsAre(1));
  EXPECT_THAT(coalescer.due(1150), ElementsAre(2));
}

TEST(Coalescer, a_late_look_does_not_keep_a_change_waiting) {
  Coalescer coalescer(100);
  EXPECT_FALSE(coalescer.hold(1, 1000));
  EXPECT_FALSE(coalescer.hold(1, 1200)) << "its window is over, whether due() saw that or not";
  EXPECT_TRUE(coalescer.hold(1, 1250));
  EXPECT_THAT(coalescer.due(1299), IsEmpty()) << "the first window's end is stale";
  EXPECT_THAT(coalescer.due(1300), ElementsAre(1));
}

TEST(Coalescer, a_slot_that_is_used_anew_owes_nothing) {
  Coalescer coalescer(100);
  EXPECT_FALSE(coalescer.hold(1, 1000));
  EXPECT_TRUE(coalescer.hold(1, 1010));
  coalescer.forget(1);
  EXPECT_FALSE(coalescer.hold(1, 1020));
  EXPECT_THAT(coalescer.due(1100), IsEmpty());
  EXPECT_EQ(coalescer.open(), 1u);
  EXPECT_THAT(coalescer.due(1120), IsEmpty());
  EXPECT_EQ(coalescer.open(), 0u);
}

TEST(Coalescer, lone_changes_leave_nothing_behind) {
  Coalescer coalescer(100);
  for (uint32_t slot = 0; slot < 1000; ++slot) EXPECT_FALSE(coalescer.hold(slot, slot * 200));
  EXPECT_EQ(coalescer.open(), 1u);
  EXPECT_EQ(coalescer.next_end_ms(), 999u * 200 + 100) << "and no ends of former windows";
}

TEST(Coalescer, under_pressure_the_first_change_waits_too) {
  Coalescer coalescer(100);
  coalescer.set_window(5000, true, 900);
  EXPECT_TRUE(coalescer.hold(1, 1000));
  EXPECT_TRUE(coalescer.hold(1, 3000));
  EXPECT_THAT(coalescer.due(5999), IsEmpty());
  EXPECT_THAT(coalescer.due(6000), ElementsAre(1));
  coalescer.open(1, 6000);  // told
  EXPECT_TRUE(coalescer.hold(1, 6001));
  EXPECT_THAT(coalescer.due(10'999), IsEmpty());
  EXPECT_THAT(coalescer.due(11'000), ElementsAre(1));
}

TEST(Coalescer, a_change_after_an_end_that_nobody_has_looked_at_is_told_with_it) {
  Coalescer coalescer(100);
  coalescer.set_window(5000, true, 900);
  EXPECT_TRUE(coalescer.hold(1, 1000));
  EXPECT_TRUE(coalescer.hold(1, 9000));
  EXPECT_THAT(coalescer.due(9000), ElementsAre(1));
}

TEST(Coalescer, when_the_pressure_falls_what_waits_is_told_within_the_shorter_window_not_at_once) {
  Coalescer coalescer(100);
  coalescer.set_window(120'000, true, 0);
  for (uint32_t slot = 0; slot < 640; ++slot) EXPECT_TRUE(coalescer.hold(slot, 1000));
  coalescer.set_window(10'000, true, 2000);
  EXPECT_GT(*coalescer.next_end_ms(), 2000u);
  size_t told = 0;
  size_t most = 0;
  for (uint64_t now_ms = 2000; now_ms <= 12'000; ++now_ms) {
    size_t due = coalescer.due(now_ms).size();
    told += due;
    most = std::max(most, due);
  }
  EXPECT_EQ(told, 640u);
  EXPECT_EQ(most, 10u);
  EXPECT_EQ(coalescer.open(), 0u);
}

TEST(Coalescer, windows_of_different_lengths_end_in_the_order_of_their_ends) {
  Coalescer coalescer(100);
  coalescer.set_window(10'000, false, 0);
  EXPECT_FALSE(coalescer.hold(1, 1000));
  EXPECT_TRUE(coalescer.hold(1, 1001));
  coalescer.set_window(20'000, false, 2000);
  EXPECT_FALSE(coalescer.hold(2, 2000));
  EXPECT_TRUE(coalescer.hold(2, 2001));
  EXPECT_THAT(coalescer.due(11'000), ElementsAre(1));
  EXPECT_THAT(coalescer.due(22'000), ElementsAre(2));
}

TEST(Coalescer, a_window_that_is_taken_away_leaves_nothing_waiting) {
  Coalescer coalescer(100);
  EXPECT_FALSE(coalescer.hold(1, 1000));
  EXPECT_TRUE(coalescer.hold(1, 1001));
  coalescer.set_window(0, false, 1002);
  EXPECT_THAT(coalescer.due(1002), ElementsAre(1));
  EXPECT_FALSE(coalescer.hold(1, 1003));
  EXPECT_EQ(coalescer.open(), 0u);
}

TEST(Coalescer, without_a_window_nothing_waits) {
  Coalescer coalescer(0);
  EXPECT_FALSE(coalescer.hold(1, 1000));
  EXPECT_FALSE(coalescer.hold(1, 1000));
  EXPECT_FALSE(coalescer.next_end_ms());
}

}  // namespace
}  // namespace dormouse::hibernate
