#include "tracker/wake_probe.h"

#include <gtest/gtest.h>

namespace dormouse::tracker {
namespace {

void open_many(WakeProbe& probe, uint64_t now_ms) {
  for (uint32_t i = 0; i < WakeProbe::kOpensLeast; ++i) probe.opened(now_ms);
}

TEST(WakeProbe, is_wanted_only_while_new_sessions_come_and_sleepers_wake) {
  WakeProbe probe;
  EXPECT_FALSE(probe.wanted(10'000));
  open_many(probe, 10'000);
  EXPECT_FALSE(probe.wanted(10'001)) << "nobody wakes";
  probe.woke(10'100);
  EXPECT_TRUE(probe.wanted(10'100));
  EXPECT_TRUE(probe.wanted(11'500)) << "they came within the last second or so";
  EXPECT_FALSE(probe.wanted(13'000)) << "nobody logs in any more";
  open_many(probe, 10'100 + WakeProbe::kWakesMs);
  EXPECT_FALSE(probe.wanted(10'100 + WakeProbe::kWakesMs)) << "nobody has woken for long";
}

TEST(WakeProbe, a_few_logins_are_in_nobodys_way) {
  WakeProbe probe;
  probe.woke(5'000);
  probe.opened(5'000);
  EXPECT_FALSE(probe.wanted(5'001));
}

TEST(WakeProbe, reports_what_came_back_and_what_is_not_back) {
  WakeProbe probe;
  uint64_t first = 0;
  uint64_t second = 0;
  ASSERT_TRUE(probe.ask(1, 1'000, &first));
  ASSERT_TRUE(probe.ask(2, 1'000, &second));
  EXPECT_NE(first, second);
  EXPECT_FALSE(probe.ask(1, 1'010, &first)) << "one at a time";
  probe.answered(1, first, 1'004);
  WakeProbe::Report report = probe.take(1'030);
  EXPECT_EQ(report.late_ms, 30u) << "the second worker has not answered";
  probe.answered(2, second, 1'040);
  report = probe.take(1'050);
  EXPECT_EQ(report.late_ms, 40u);
  EXPECT_FALSE(probe.take(1'060).late_ms);
}

TEST(WakeProbe, reports_what_all_but_a_tenth_took_at_the_most) {
  WakeProbe probe;
  for (WorkerId worker = 1; worker <= 20; ++worker) {
    uint64_t number = 0;
    ASSERT_TRUE(probe.ask(worker, 1'000, &number));
    probe.answered(worker, number, 1'000 + worker);
  }
  EXPECT_EQ(probe.take(1'100).late_ms, 18u);
}

TEST(WakeProbe, an_answer_to_no_question_says_nothing) {
  WakeProbe probe;
  uint64_t number = 0;
  ASSERT_TRUE(probe.ask(1, 1'000, &number));
  probe.answered(1, number + 7, 1'001);
  probe.answered(2, number, 1'001);
  EXPECT_EQ(probe.take(1'005).late_ms, 5u);
  probe.forget(1);
  EXPECT_FALSE(probe.take(1'010).late_ms) << "a worker that ended is waited for no longer";
  EXPECT_TRUE(probe.ask(1, 1'020, &number));
}

TEST(WakeProbe, counts_new_sessions_between_reports) {
  WakeProbe probe;
  open_many(probe, 1'000);
  EXPECT_EQ(probe.take(1'100).opened, WakeProbe::kOpensLeast);
  EXPECT_EQ(probe.take(1'200).opened, 0u);
}

}  // namespace
}  // namespace dormouse::tracker
