#include "tuning/park_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace dormouse::tuning {
namespace {

struct Case {
  GapHistory history;
  GapShares prior{};
  Quiet quiet = Quiet::kIdle;

  ParkAdvice at(Pressure pressure, uint64_t bound_ms = 0) const {
    return advise({}, {.quiet = quiet,
                       .history = &history,
                       .prior = &prior,
                       .pressure = pressure,
                       .bound_ms = bound_ms});
  }
};

// Any history, any habits.
Case random_case(std::mt19937_64& random) {
  Case made;
  made.quiet = random() % 2 == 0 ? Quiet::kIdle : Quiet::kOther;
  for (size_t gaps = random() % 12; gaps > 0; --gaps) {
    made.history.add(
        {random() % 3 == 0 ? Quiet::kOther : Quiet::kIdle, uint8_t(random() % kGapLevels)});
  }
  double sum = 0;
  for (double& share : made.prior) sum += share = double(random() % 1000 + 1);
  for (double& share : made.prior) share /= sum;
  return made;
}

Case with_gaps(Quiet quiet, std::initializer_list<uint64_t> gaps_ms) {
  Case made;
  made.quiet = quiet;
  made.prior = default_prior(quiet, Before::kNothing);
  for (uint64_t ms : gaps_ms) made.history.add({quiet, uint8_t(gap_level(ms))});
  return made;
}

TEST(ParkPolicy, more_pressure_never_parks_later) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 2'000; ++i) {
    Case one = random_case(random);
    for (size_t level = 1; level < std::size(kPressures); ++level) {
      EXPECT_LE(one.at(kPressures[level]).after_ms, one.at(kPressures[level - 1]).after_ms);
    }
  }
}

TEST(ParkPolicy, never_waits_longer_than_a_wake_is_worth) {
  std::mt19937_64 random(2);
  ParkParameters parameters;
  for (int i = 0; i < 2'000; ++i) {
    Case one = random_case(random);
    for (Pressure pressure : kPressures) {
      EXPECT_LE(one.at(pressure).after_ms, std::max(parameters.worth_ms(pressure), kGapFirstMs));
    }
  }
}

TEST(ParkPolicy, never_waits_longer_than_the_setting_says) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 2'000; ++i) {
    Case one = random_case(random);
    uint64_t bound_ms = 1 + random() % 100'000;
    EXPECT_EQ(one.at(Pressure::kCalm, bound_ms).after_ms,
              std::min(bound_ms, one.at(Pressure::kCalm).after_ms));
  }
}

TEST(ParkPolicy, the_same_question_has_the_same_answer) {
  std::mt19937_64 random(4);
  for (int i = 0; i < 200; ++i) {
    Case one = random_case(random);
    ParkAdvice first = one.at(Pressure::kBusy);
    ParkAdvice again = one.at(Pressure::kBusy);
    EXPECT_EQ(first.after_ms, again.after_ms);
    EXPECT_EQ(first.text(), again.text());
  }
}

TEST(ParkPolicy, who_comes_straight_back_is_not_parked_before) {
  for (Quiet quiet : {Quiet::kIdle, Quiet::kOther}) {
    Case one = with_gaps(quiet, {8'000, 12'000, 9'000, 15'000, 6'000, 10'000, 11'000, 9'000});
    EXPECT_GE(one.at(Pressure::kCalm).after_ms, 12'000u);
    EXPECT_EQ(one.at(Pressure::kCalm).why, ParkAdvice::Why::kExpectedBack);
    EXPECT_GT(one.at(Pressure::kCalm).back, 0.7);
  }
}

TEST(ParkPolicy, a_long_sleeper_is_parked_at_once) {
  Case one = with_gaps(Quiet::kIdle, {900'000, 2'000'000, 1'200'000, 700'000, 3'000'000, 1'000'000,
                                      900'000, 2'000'000});
  one.prior = default_prior(Quiet::kIdle, Before::kLong);
  EXPECT_EQ(one.at(Pressure::kCalm).after_ms, 0u);
  EXPECT_EQ(one.at(Pressure::kCalm).why, ParkAdvice::Why::kExpectedLong);
  EXPECT_EQ(one.at(Pressure::kCalm).known, 8u);
}

TEST(ParkPolicy, what_was_done_in_idle_says_nothing_of_what_is_done_outside) {
  Case one = with_gaps(Quiet::kIdle, {900'000, 2'000'000, 1'200'000, 700'000});
  one.quiet = Quiet::kOther;
  EXPECT_EQ(one.at(Pressure::kCalm).known, 0u);
}

TEST(ParkPolicy, a_session_within_a_task_is_expected_back_sooner_than_one_after_a_long_quiet) {
  // Long gaps follow long gaps, short follow short.
  Case one = with_gaps(Quiet::kIdle, {900'000, 8'000, 9'000, 7'000, 900'000, 1'000'000, 800'000});
  uint64_t after_long_ms = one.at(Pressure::kCalm).after_ms;
  Case other = with_gaps(Quiet::kIdle, {900'000, 1'000'000, 800'000, 8'000, 9'000, 7'000, 8'000});
  EXPECT_LT(after_long_ms, other.at(Pressure::kCalm).after_ms);
}

TEST(ParkPolicy, critical_pressure_parks_at_the_floor) {
  Case idle = with_gaps(Quiet::kIdle, {5'000, 5'000, 5'000, 5'000});
  EXPECT_EQ(idle.at(Pressure::kCritical).after_ms, 0u);
  EXPECT_EQ(idle.at(Pressure::kCritical).why, ParkAdvice::Why::kPressed);
  Case other = with_gaps(Quiet::kOther, {5'000, 5'000, 5'000, 5'000});
  EXPECT_EQ(other.at(Pressure::kCritical).after_ms, kGapFirstMs);
}

// The promise of the header, gap for gap: rent until parked, and a wake if the client comes later.
TEST(ParkPolicy, no_gap_costs_more_than_a_wake_above_what_hindsight_would_have_paid) {
  std::mt19937_64 random(5);
  ParkParameters parameters;
  double worth_ms = double(parameters.worth_ms(Pressure::kCalm));
  for (int i = 0; i < 2'000; ++i) {
    Case one = random_case(random);
    one.quiet = Quiet::kIdle;
    double after_ms = double(one.at(Pressure::kCalm).after_ms);
    double gap_ms = level_mean_ms(random() % kGapLevels);
    double paid = gap_ms <= after_ms ? gap_ms : after_ms + worth_ms;
    EXPECT_LE(paid, std::min(gap_ms, worth_ms) + worth_ms);
  }
}

}  // namespace
}  // namespace dormouse::tuning
