#include "hibernate/small_talk.h"

#include <gtest/gtest.h>

namespace dormouse::hibernate {
namespace {

using Parked = wire::WorkerToDen::Parked;
using Verdict = SmallTalk::Verdict;

TEST(SmallTalk, done_is_answered_with_the_tag_of_the_idle) {
  SmallTalk got = talk("DONE\r\n", Parked::IDLE, "A1", true, false);
  EXPECT_EQ(got.verdict, Verdict::kAnswered);
  EXPECT_EQ(got.output, "A1 OK Idle completed.\r\n");
  EXPECT_EQ(got.mode, Parked::SELECTED);
  EXPECT_EQ(got.consumed_bytes, 6u);
}

TEST(SmallTalk, done_noop_and_idle_in_one_write_are_answered_in_order) {
  SmallTalk got = talk("done\r\nA2 noop\r\nA3 Idle\r\n", Parked::IDLE, "A1", true, false);
  EXPECT_EQ(got.output, "A1 OK Idle completed.\r\nA2 OK NOOP completed.\r\n+ idling\r\n");
  EXPECT_EQ(got.mode, Parked::IDLE);
  EXPECT_EQ(got.idle_tag, "A3");
}

TEST(SmallTalk, logout_says_bye_and_ends) {
  SmallTalk got = talk("DONE\r\nx LOGOUT\r\n", Parked::IDLE, "A1", false, false);
  EXPECT_EQ(got.verdict, Verdict::kLogout);
  EXPECT_EQ(got.output, "A1 OK Idle completed.\r\n* BYE Logging out\r\nx OK Logout completed.\r\n");
}

TEST(SmallTalk, any_other_command_is_left_whole_to_a_worker) {
  for (const char* line : {"A2 FETCH 1 ALL\r\n", "A2 NOOP extra\r\n", "NOOP\r\n", "A{2 NOOP\r\n",
                           "A2  NOOP\r\n", "+ NOOP\r\n", "\r\n", "A2 LOGIN {3+}\r\n"}) {
    SmallTalk got = talk(line, Parked::SELECTED, "", true, false);
    EXPECT_EQ(got.verdict, Verdict::kAttach) << line;
    EXPECT_EQ(got.consumed_bytes, 0u) << line;
    EXPECT_EQ(got.output, "") << line;
  }
  EXPECT_EQ(talk("A2 NOOP\r\n", Parked::IDLE, "A1", true, false).verdict, Verdict::kAttach);
}

TEST(SmallTalk, a_command_behind_answered_ones_attaches_from_there) {
  SmallTalk got = talk("DONE\r\nA2 FETCH 1 ALL\r\n", Parked::IDLE, "A1", true, false);
  EXPECT_EQ(got.verdict, Verdict::kAttach);
  EXPECT_EQ(got.consumed_bytes, 6u);
  EXPECT_EQ(got.output, "A1 OK Idle completed.\r\n");
  EXPECT_EQ(got.mode, Parked::SELECTED);
}

TEST(SmallTalk, with_a_change_pending_every_line_attaches) {
  EXPECT_EQ(talk("DONE\r\n", Parked::IDLE, "A1", true, true).verdict, Verdict::kAttach);
  EXPECT_EQ(talk("A2 NOOP\r\n", Parked::SELECTED, "", true, true).verdict, Verdict::kAttach);
}

TEST(SmallTalk, half_a_line_waits_and_a_long_one_attaches) {
  SmallTalk half = talk("DON", Parked::IDLE, "A1", true, false);
  EXPECT_EQ(half.verdict, Verdict::kAnswered);
  EXPECT_EQ(half.consumed_bytes, 0u);
  EXPECT_EQ(talk(std::string(kLineBytesMax, 'x'), Parked::IDLE, "A1", true, false).verdict,
            Verdict::kAttach);
}

}  // namespace
}  // namespace dormouse::hibernate
