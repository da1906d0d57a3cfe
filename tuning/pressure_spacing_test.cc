#include "tuning/pressure_spacing.h"

#include <gtest/gtest.h>

namespace dormouse::tuning {
namespace {

TEST(Spacing, WithoutARateNobodyWaits) {
  Spacing spacing;
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(spacing.take(5, 0), 0u);
}

TEST(Spacing, ThoseWhoComeTogetherTakeTurns) {
  Spacing spacing;
  spacing.set_rate(10);
  EXPECT_EQ(spacing.take(1000, 5000), 0u);
  EXPECT_EQ(spacing.take(1000, 5000), 100u);
  EXPECT_EQ(spacing.take(1050, 5000), 150u);
}

TEST(Spacing, WhoWouldWaitForTooLongTakesNoTurn) {
  Spacing spacing;
  spacing.set_rate(1);
  for (uint64_t i = 0; i <= 5; ++i) EXPECT_EQ(spacing.take(0, 5000), i * 1000);
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(spacing.take(0, 5000));
  EXPECT_EQ(spacing.take(1000, 5000), 5000u);
}

TEST(Spacing, AQuietTimeIsNotSavedUp) {
  Spacing spacing;
  spacing.set_rate(10);
  EXPECT_EQ(spacing.take(1'000'000, 5000), 0u);
  EXPECT_EQ(spacing.take(1'000'000, 5000), 100u);
}

TEST(Spacing, AHigherRateCountsFromTheNextOneOn) {
  Spacing spacing;
  spacing.set_rate(1);
  spacing.take(0, 5000);
  spacing.set_rate(1000);
  EXPECT_EQ(spacing.take(0, 5000), 1000u);
  EXPECT_EQ(spacing.take(1000, 5000), 1u);
}

}  // namespace
}  // namespace dormouse::tuning
