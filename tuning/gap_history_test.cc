#include "tuning/gap_history.h"

#include <gtest/gtest.h>

#include "tuning/client_habits.h"

namespace dormouse::tuning {
namespace {

TEST(GapHistory, levels_ascend_and_hold_what_begins_in_them) {
  for (size_t level = 1; level < kGapLevels; ++level) {
    EXPECT_GT(level_begin_ms(level), level_begin_ms(level - 1));
    EXPECT_GT(level_mean_ms(level - 1), level_begin_ms(level - 1));
    EXPECT_LT(level_mean_ms(level - 1), level_begin_ms(level));
    EXPECT_EQ(gap_level(uint64_t(level_begin_ms(level)) + 1), level);
  }
  EXPECT_EQ(gap_level(0), 0u);
  EXPECT_EQ(gap_level(kGapFirstMs), 0u);
  EXPECT_EQ(gap_level(kGapLastMs + 1), kGapLevels - 1);
  EXPECT_EQ(gap_level(UINT64_MAX), kGapLevels - 1);
}

TEST(GapHistory, keeps_the_newest) {
  GapHistory history;
  for (uint8_t i = 0; i < 20; ++i) history.add({Quiet::kIdle, i});
  ASSERT_EQ(history.size(), GapHistory::kGapsMax);
  for (size_t age = 0; age < history.size(); ++age) EXPECT_EQ(history[age].level, 19 - age);
}

TEST(GapHistory, comes_back_as_it_was) {
  GapHistory history;
  EXPECT_EQ(GapHistory::thaw(history.freeze()), history);
  for (uint8_t i = 0; i < 12; ++i) {
    history.add({i % 3 == 0 ? Quiet::kOther : Quiet::kIdle, uint8_t(i * 5)});
    EXPECT_EQ(GapHistory::thaw(history.freeze()), history);
    EXPECT_EQ(history.freeze().size(), history.size());
  }
}

TEST(GapHistory, bytes_that_it_cannot_have_written_are_refused) {
  EXPECT_FALSE(GapHistory::thaw("\x80"));
  EXPECT_FALSE(GapHistory::thaw(std::string(GapHistory::kGapsMax + 1, '\1')));
  EXPECT_TRUE(GapHistory::thaw("\x7f"));
}

TEST(ClientHabits, a_kind_is_known_by_what_its_clients_did) {
  ClientHabits habits;
  GapHistory nothing;
  uint8_t level = uint8_t(gap_level(20'000));
  for (int i = 0; i < 200; ++i) habits.add(7, nothing, {Quiet::kIdle, level});
  EXPECT_GT(habits.prior(7, Quiet::kIdle, Before::kNothing)[level], 0.9);
  // Not what others do, nor what they themselves do outside IDLE.
  EXPECT_LT(habits.prior(8, Quiet::kIdle, Before::kNothing)[level], 0.1);
  EXPECT_LT(habits.prior(7, Quiet::kOther, Before::kNothing)[level], 0.1);
}

TEST(ClientHabits, every_prior_sums_to_one) {
  ClientHabits habits;
  GapHistory history;
  for (uint8_t i = 0; i < 200; ++i) {
    Gap gap{i % 2 == 0 ? Quiet::kIdle : Quiet::kOther, uint8_t(i % kGapLevels)};
    habits.add(i % 5, history, gap);
    history.add(gap);
  }
  for (uint64_t client = 0; client < 7; ++client) {
    for (Quiet quiet : {Quiet::kIdle, Quiet::kOther}) {
      for (Before before : {Before::kShort, Before::kLong, Before::kNothing}) {
        double sum = 0;
        for (double share : habits.prior(client, quiet, before)) sum += share;
        EXPECT_NEAR(sum, 1, 1e-9);
      }
    }
  }
}

TEST(ClientHabits, invented_names_take_no_more_than_the_bound_and_drive_out_the_least_seen) {
  ClientHabits habits;
  GapHistory nothing;
  for (int i = 0; i < 100; ++i) habits.add(1, nothing, {Quiet::kIdle, 30});
  for (uint64_t name = 2; name < 10'000; ++name) habits.add(name, nothing, {Quiet::kIdle, 5});
  EXPECT_EQ(habits.kinds(), ClientHabits::kKindsMax);
  EXPECT_GT(habits.prior(1, Quiet::kIdle, Before::kNothing)[30], 0.8);
}

TEST(ClientHabits, what_many_did_long_ago_is_forgotten) {
  ClientHabits habits;
  GapHistory nothing;
  for (uint32_t i = 0; i < 10 * ClientHabits::kGapsMax; ++i) {
    habits.add(1, nothing, {Quiet::kIdle, 10});
  }
  for (uint32_t i = 0; i < 3 * ClientHabits::kGapsMax; ++i) {
    habits.add(1, nothing, {Quiet::kIdle, 40});
  }
  EXPECT_GT(habits.prior(1, Quiet::kIdle, Before::kNothing)[40], 0.8);
}

}  // namespace
}  // namespace dormouse::tuning
