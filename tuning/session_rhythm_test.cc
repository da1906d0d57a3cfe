#include "tuning/session_rhythm.h"

#include <gtest/gtest.h>

#include <random>

namespace dormouse::tuning {
namespace {

constexpr uint64_t kUnixMs = 1'760'000'000'000;

// A client that asks something every `gap_ms`, in IDLE or not.
SessionRhythm regular(uint64_t gap_ms, int gaps, bool idle, ClientHabits& habits) {
  uint64_t now_ms = 1'000;
  SessionRhythm rhythm(now_ms);
  for (int i = 0; i < gaps; ++i) {
    if (idle) rhythm.in_idle();
    now_ms += gap_ms;
    rhythm.command_came(now_ms, 0, habits);
    rhythm.command_done(now_ms);
  }
  return rhythm;
}

TEST(SessionRhythm, counts_a_gap_in_idle_as_one_and_any_other_as_another) {
  ClientHabits habits;
  EXPECT_EQ(regular(5'000, 1, true, habits).history()[0],
            (Gap{Quiet::kIdle, uint8_t(gap_level(5'000))}));
  EXPECT_EQ(regular(5'000, 1, false, habits).history()[0],
            (Gap{Quiet::kOther, uint8_t(gap_level(5'000))}));
}

TEST(SessionRhythm, commands_of_one_task_are_no_gaps) {
  ClientHabits habits;
  EXPECT_EQ(regular(kGapFirstMs - 1, 50, false, habits).history().size(), 0u);
  EXPECT_EQ(habits.kinds(), 0u);
  EXPECT_EQ(regular(kGapFirstMs, 2, false, habits).history().size(), 2u);
}

TEST(SessionRhythm, small_talk_ends_no_gap_but_puts_parking_off_for_a_moment) {
  ClientHabits habits;
  SessionRhythm rhythm(1'000);
  rhythm.in_idle();
  rhythm.talked(61'000);
  EXPECT_EQ(rhythm.gap_since_ms(), 1'000u);
  EXPECT_EQ(rhythm.history().size(), 0u);
  ParkAdvice at_once;
  EXPECT_EQ(rhythm.park_at_ms(at_once, Quiet::kOther, 0), 61'000 + SessionRhythm::kTalkMs);
  EXPECT_EQ(rhythm.park_at_ms(at_once, Quiet::kOther, 20), 61'020u);
  EXPECT_EQ(rhythm.park_at_ms(at_once, Quiet::kIdle, 0), 1'000u);
  rhythm.command_came(70'000, 0, habits);
  EXPECT_EQ(rhythm.history()[0], (Gap{Quiet::kIdle, uint8_t(gap_level(69'000))}));
  rhythm.command_done(70'000);
  EXPECT_EQ(rhythm.park_at_ms(at_once, Quiet::kOther, 0), 70'000u);
}

TEST(SessionRhythm, a_long_command_is_no_part_of_the_gap_after_it) {
  ClientHabits habits;
  SessionRhythm rhythm(0);
  rhythm.command_came(10'000, 0, habits);
  rhythm.command_done(50'000);
  rhythm.command_came(52'000, 0, habits);
  EXPECT_EQ(rhythm.history()[0].level, gap_level(2'000));
}

TEST(SessionRhythm, the_time_asleep_is_a_part_of_the_gap) {
  ClientHabits habits;
  SessionRhythm rhythm(5'000);
  rhythm.in_idle();
  std::string frozen = rhythm.freeze(6'000, kUnixMs);
  // Woken half an hour later, by a worker whose clock began at another time.
  auto back = SessionRhythm::thaw(frozen, 9'000'000, kUnixMs + 1'800'000);
  ASSERT_TRUE(back);
  back->command_came(9'000'000, 0, habits);
  EXPECT_EQ(back->history()[0], (Gap{Quiet::kIdle, uint8_t(gap_level(1'801'000))}));
}

TEST(SessionRhythm, comes_back_as_it_was_to_an_eighth_of_a_second) {
  std::mt19937_64 random(1);
  ClientHabits habits;
  for (int i = 0; i < 500; ++i) {
    uint64_t now_ms = 1'000 + random() % 100'000'000;
    SessionRhythm rhythm(now_ms);
    for (size_t gaps = random() % 12; gaps > 0; --gaps) {
      if (random() % 2 == 0) rhythm.in_idle();
      now_ms += random() % 1'000'000;
      rhythm.command_came(now_ms, 0, habits);
    }
    uint64_t later_ms = now_ms + random() % 10'000'000;
    std::string frozen = rhythm.freeze(later_ms, kUnixMs + later_ms);
    EXPECT_LE(frozen.size(), SessionRhythm::kFrozenBytesMax);
    auto back = SessionRhythm::thaw(frozen, later_ms, kUnixMs + later_ms);
    ASSERT_TRUE(back);
    EXPECT_EQ(back->history(), rhythm.history());
    EXPECT_NEAR(double(back->gap_since_ms()), double(now_ms), 125);
    EXPECT_EQ(back->freeze(later_ms, kUnixMs + later_ms).substr(3), frozen.substr(3));
  }
}

TEST(SessionRhythm, a_clock_that_was_set_back_is_survived) {
  SessionRhythm rhythm(5'000);
  std::string frozen = rhythm.freeze(6'000, kUnixMs);
  auto back = SessionRhythm::thaw(frozen, 7'000, kUnixMs - 3'600'000);
  ASSERT_TRUE(back);
  EXPECT_LE(back->gap_since_ms(), 7'000u);
}

TEST(SessionRhythm, a_session_of_an_older_release_begins_anew) {
  auto rhythm = SessionRhythm::thaw("", 5'000, kUnixMs);
  ASSERT_TRUE(rhythm);
  EXPECT_EQ(rhythm->gap_since_ms(), 5'000u);
  EXPECT_EQ(rhythm->history().size(), 0u);
}

TEST(SessionRhythm, bytes_that_it_cannot_have_written_are_refused) {
  EXPECT_FALSE(SessionRhythm::thaw("ab", 0, 0));
  EXPECT_FALSE(SessionRhythm::thaw(std::string(3, '\0') + "\x80", 0, 0));
  EXPECT_FALSE(SessionRhythm::thaw(std::string(4 + GapHistory::kGapsMax, '\0'), 0, 0));
  EXPECT_TRUE(SessionRhythm::thaw(std::string(3 + GapHistory::kGapsMax, '\0'), 0, 0));
}

}  // namespace
}  // namespace dormouse::tuning
