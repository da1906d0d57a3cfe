#include "tuning/pressure_engine.h"

#include <gtest/gtest.h>

namespace dormouse::tuning {
namespace {

constexpr uint64_t kStepMs = 500;

// A server's clock and readings: all quiet but for what a test sets.
class Rig {
 public:
  Rig() : engine_(settings()) {}
  static PressureSettings settings() {
    PressureSettings s;
    s.thresholds = {Thresholds{800, 950}, Thresholds{100, 500}, Thresholds{900, 1000},
                    Thresholds{600, 900}, Thresholds{700, 950}, Thresholds{200, 5000}};
    s.rise_after_ms = 2'000;
    s.calm_after_ms = 10'000;
    return s;
  }
  void set(Reading reading, uint32_t value) { readings_[size_t(reading)] = value; }
  void lose(Reading reading) { readings_[size_t(reading)].reset(); }
  // The changes within so much time.
  std::vector<PressureChange> run(uint64_t ms) {
    std::vector<PressureChange> changes;
    for (uint64_t end = now_ms_ + ms; now_ms_ < end;) {
      now_ms_ += kStepMs;
      if (auto change = engine_.sample(now_ms_, readings_)) changes.push_back(*change);
    }
    return changes;
  }
  PressureEngine& engine() { return engine_; }

 private:
  PressureEngine engine_;
  Readings readings_;
  uint64_t now_ms_ = 1'000'000;
};

TEST(PressureEngine, WithNothingMeasuredItIsCalm) {
  Rig rig;
  EXPECT_TRUE(rig.run(60'000).empty());
  EXPECT_EQ(rig.engine().level(), Pressure::kCalm);
}

TEST(PressureEngine, AboveTheFirstThresholdIsBusyAboveHalfWayPressedAboveTheSecondCritical) {
  Thresholds both{800, 950};
  EXPECT_EQ(said_by(Reading::kMemory, 800, both), Pressure::kCalm);
  EXPECT_EQ(said_by(Reading::kMemory, 801, both), Pressure::kBusy);
  EXPECT_EQ(said_by(Reading::kMemory, 875, both), Pressure::kBusy);
  EXPECT_EQ(said_by(Reading::kMemory, 876, both), Pressure::kPressed);
  EXPECT_EQ(said_by(Reading::kMemory, 950, both), Pressure::kPressed);
  EXPECT_EQ(said_by(Reading::kMemory, 951, both), Pressure::kCritical);
  EXPECT_EQ(said_by(Reading::kMemory, UINT32_MAX, both), Pressure::kCritical);
}

TEST(PressureEngine, WhatOnlySlowsIsNeverCritical) {
  for (Reading reading : {Reading::kCpuStall, Reading::kIoStall, Reading::kWorkers}) {
    Thresholds both{600, 900};
    EXPECT_EQ(said_by(reading, 900, both), Pressure::kBusy);
    EXPECT_EQ(said_by(reading, 901, both), Pressure::kPressed);
    EXPECT_EQ(said_by(reading, UINT32_MAX, both), Pressure::kPressed);
  }
}

TEST(PressureEngine, ThresholdsInTheWrongOrderStillRiseInOrder) {
  Thresholds both{900, 100};
  EXPECT_EQ(said_by(Reading::kQueue, 900, both), Pressure::kCalm);
  EXPECT_EQ(said_by(Reading::kQueue, 901, both), Pressure::kCritical);
}

TEST(PressureEngine, MemoryRaisesTheLevelAtOnceByAsManyStepsAsNeeded) {
  Rig rig;
  rig.set(Reading::kMemory, 980);
  auto changes = rig.run(kStepMs);
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].from, Pressure::kCalm);
  EXPECT_EQ(changes[0].to, Pressure::kCritical);
  EXPECT_EQ(changes[0].cause, Reading::kMemory);
  EXPECT_EQ(changes[0].value, 980u);
  EXPECT_EQ(changes[0].threshold, 950u);
}

TEST(PressureEngine, OtherReadingsMustLastBeforeTheyRaiseIt) {
  Rig rig;
  rig.set(Reading::kQueue, 20'000);
  EXPECT_TRUE(rig.run(2'000).empty());
  auto changes = rig.run(kStepMs);
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].to, Pressure::kCritical);
}

TEST(PressureEngine, ASpikeThatEndsRaisesNothing) {
  Rig rig;
  for (int i = 0; i < 100; ++i) {
    rig.set(Reading::kCpuStall, 1001);
    EXPECT_TRUE(rig.run(1'500).empty());
    rig.set(Reading::kCpuStall, 0);
    EXPECT_TRUE(rig.run(kStepMs).empty());
  }
}

TEST(PressureEngine, ItFallsOneStepAtATimeEachAfterACalmTime) {
  Rig rig;
  rig.set(Reading::kMemory, 990);
  rig.run(kStepMs);
  rig.set(Reading::kMemory, 0);
  EXPECT_TRUE(rig.run(10'000).empty());
  for (Pressure next : {Pressure::kPressed, Pressure::kBusy, Pressure::kCalm}) {
    auto changes = rig.run(next == Pressure::kPressed ? kStepMs : 10'000);
    ASSERT_EQ(changes.size(), 1u);
    EXPECT_EQ(changes[0].to, next);
    EXPECT_FALSE(changes[0].cause);
  }
  EXPECT_FALSE(rig.engine().cause());
}

TEST(PressureEngine, AReadingThatFlapsBelowTheCalmTimeKeepsTheLevelWhereItIs) {
  Rig rig;
  rig.set(Reading::kMemory, 990);
  ASSERT_EQ(rig.run(kStepMs).size(), 1u);
  for (int i = 0; i < 200; ++i) {
    rig.set(Reading::kMemory, i % 2 == 0 ? 700 : 990);
    EXPECT_TRUE(rig.run(i % 2 == 0 ? 9'000 : kStepMs).empty());
  }
  EXPECT_EQ(rig.engine().level(), Pressure::kCritical);
}

TEST(PressureEngine, WhatComesBackEachTimeItFellIsHeldForLongerEachTime) {
  Rig rig;
  size_t changes = 0;
  // The measures cure it; without them it comes back after a second.
  uint64_t calm_for_ms = 0;
  for (int i = 0; i < 3'600; ++i) {
    bool measures = rig.engine().level() >= Pressure::kBusy;
    calm_for_ms = measures ? 0 : calm_for_ms + kStepMs;
    rig.set(Reading::kMemory, !measures && calm_for_ms >= 1'000 ? 820 : 600);
    changes += rig.run(kStepMs).size();
  }
  // Half an hour. Without the doubling a cycle takes 11.5 s: 313 changes.
  EXPECT_EQ(rig.engine().calm_ms(), 80'000u);
  EXPECT_LE(changes, 50u);
}

TEST(PressureEngine, ALongCalmForgetsThatItCameBack) {
  Rig rig;
  for (int i = 0; i < 3; ++i) {
    rig.set(Reading::kMemory, 820);
    rig.run(kStepMs);
    rig.set(Reading::kMemory, 0);
    rig.run(rig.engine().calm_ms() + kStepMs);
    ASSERT_EQ(rig.engine().level(), Pressure::kCalm);
  }
  EXPECT_EQ(rig.engine().calm_ms(), 40'000u);
  rig.run(81'000);
  EXPECT_EQ(rig.engine().calm_ms(), 10'000u);
}

TEST(PressureEngine, AReadingThatIsLostSaysCalm) {
  Rig rig;
  rig.set(Reading::kMemory, 990);
  rig.run(kStepMs);
  rig.lose(Reading::kMemory);
  rig.run(31'000);
  EXPECT_EQ(rig.engine().level(), Pressure::kCalm);
}

TEST(PressureEngine, ALowerLevelThatIsStillAskedForIsWhereTheFallEnds) {
  Rig rig;
  rig.set(Reading::kMemory, 990);
  rig.run(kStepMs);
  rig.set(Reading::kMemory, 0);
  rig.set(Reading::kIoStall, 700);
  rig.run(120'000);
  EXPECT_EQ(rig.engine().level(), Pressure::kBusy);
}

TEST(PressureEngine, ItCountsWhatItWasAndForHowLong) {
  Rig rig;
  rig.run(5'000);
  rig.set(Reading::kMemory, 990);
  rig.run(kStepMs);
  rig.run(5'000);
  EXPECT_EQ(rig.engine().entered(Pressure::kCritical), 1u);
  EXPECT_EQ(rig.engine().entered(Pressure::kBusy), 0u);
  EXPECT_EQ(rig.engine().spent_ms(Pressure::kCritical), 5'000u);
  EXPECT_EQ(rig.engine().spent_ms(Pressure::kCalm), 5'000u);
}

}  // namespace
}  // namespace dormouse::tuning
