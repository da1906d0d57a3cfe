#include "tuning/admission_governor.h"

#include <gtest/gtest.h>

namespace dormouse::tuning {
namespace {

constexpr uint32_t kLeast = 100;
constexpr uint32_t kMost = 2000;

TEST(AdmissionGovernor, all_are_let_in_while_nobody_waits) {
  AdmissionGovernor governor;
  EXPECT_EQ(governor.look(std::nullopt, std::nullopt, kLeast, kMost), kMost);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(governor.look(0, 500, kLeast, kMost), kMost);
  EXPECT_EQ(governor.look(AdmissionGovernor::kQueueMs - 1, AdmissionGovernor::kStallPermille - 1,
                          kLeast, kMost),
            kMost);
}

TEST(AdmissionGovernor, who_waits_makes_it_fewer_by_either_reading_down_to_the_least) {
  for (bool queue : {false, true}) {
    AdmissionGovernor governor;
    uint32_t before = kMost;
    for (int i = 0; i < 20; ++i) {
      uint32_t now = governor.look(queue ? 60 : 0, queue ? 0 : 950, kLeast, kMost);
      EXPECT_TRUE(now < before || now == kLeast);
      before = now;
    }
    EXPECT_EQ(before, kLeast);
  }
}

TEST(AdmissionGovernor, it_comes_back_step_by_step_and_to_the_most) {
  AdmissionGovernor governor;
  for (int i = 0; i < 50; ++i) governor.look(1000, 1000, kLeast, kMost);
  uint32_t before = kLeast;
  int steps = 0;
  while (before < kMost && steps < 1000) {
    uint32_t now = governor.look(0, 0, kLeast, kMost);
    EXPECT_GT(now, before);
    EXPECT_LE(now - before, kMost / 50);
    before = now;
    ++steps;
  }
  EXPECT_EQ(before, kMost);
  EXPECT_GT(steps, 20) << "no jump back into the storm";
}

TEST(AdmissionGovernor, settings_that_change_hold_at_once) {
  AdmissionGovernor governor;
  EXPECT_EQ(governor.look(0, 0, kLeast, kMost), kMost);
  EXPECT_EQ(governor.look(0, 0, kLeast, 50), 50u) << "less than the least: what was asked for";
  EXPECT_LE(governor.look(0, 0, kLeast, kMost), 50 + kMost / 50 + kLeast);
}

}  // namespace
}  // namespace dormouse::tuning
