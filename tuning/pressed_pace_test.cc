#include "tuning/pressed_pace.h"

#include <gtest/gtest.h>

namespace dormouse::tuning {
namespace {

TEST(PressedPace, bounds_from_pressed_on_and_not_more_when_critical) {
  PressedPace pace;
  EXPECT_EQ(pace.per_second(0, Pressure::kCalm, 100), 0u);
  EXPECT_EQ(pace.per_second(1000, Pressure::kBusy, 100), 0u);
  EXPECT_EQ(pace.per_second(2000, Pressure::kPressed, 100), 100u);
  EXPECT_EQ(pace.per_second(3000, Pressure::kCritical, 100), 100u);
}

TEST(PressedPace, the_door_opens_slowly) {
  PressedPace pace;
  pace.per_second(0, Pressure::kCritical, 100);
  pace.per_second(60'000, Pressure::kPressed, 100);
  EXPECT_EQ(pace.per_second(61'000, Pressure::kBusy, 100), 125u);
  EXPECT_EQ(pace.per_second(62'000, Pressure::kBusy, 100), 156u);
  EXPECT_EQ(pace.per_second(70'000, Pressure::kCalm, 100), 931u);
  EXPECT_EQ(pace.per_second(80'000, Pressure::kCalm, 100), 0u) << "open";
  EXPECT_EQ(pace.per_second(81'000, Pressure::kBusy, 100), 0u);
}

TEST(PressedPace, pressed_again_it_begins_anew) {
  PressedPace pace;
  pace.per_second(0, Pressure::kPressed, 100);
  pace.per_second(10'000, Pressure::kBusy, 100);
  EXPECT_EQ(pace.per_second(11'000, Pressure::kPressed, 100), 100u);
  EXPECT_EQ(pace.per_second(12'000, Pressure::kBusy, 100), 125u);
}

}  // namespace
}  // namespace dormouse::tuning
