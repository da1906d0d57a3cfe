#include "hibernate/small_talk.h"

#include <gtest/gtest.h>

namespace dormouse::hibernate {
namespace {

using Parked = wire::WorkerToDen::Parked;
using Verdict = SmallTalk::Verdict;

Sleeper in_idle(std::string_view tag = "A1") {
  return {.mode = Parked::IDLE, .idle_tag = tag, .selected = true};
}
Sleeper in_mailbox() { return {.mode = Parked::SELECTED, .selected = true}; }
Sleeper with(Sleeper sleeper, uint32_t exists, uint32_t pending) {
  sleeper.exists = exists;
  sleeper.pending = pending;
  return sleeper;
}
Sleeper with_change(Sleeper sleeper) {
  sleeper.changed = true;
  return sleeper;
}

TEST(SmallTalk, done_is_answered_with_the_tag_of_the_idle) {
  SmallTalk got = talk("DONE\r\n", in_idle());
  EXPECT_EQ(got.verdict, Verdict::kAnswered);
  EXPECT_EQ(got.output, "A1 OK Idle completed.\r\n");
  EXPECT_EQ(got.mode, Parked::SELECTED);
  EXPECT_EQ(got.consumed_bytes, 6u);
}

TEST(SmallTalk, done_noop_and_idle_in_one_write_are_answered_in_order) {
  SmallTalk got = talk("done\r\nA2 noop\r\nA3 Idle\r\n", in_idle());
  EXPECT_EQ(got.output, "A1 OK Idle completed.\r\nA2 OK NOOP completed.\r\n+ idling\r\n");
  EXPECT_EQ(got.mode, Parked::IDLE);
  EXPECT_EQ(got.idle_tag, "A3");
}

TEST(SmallTalk, logout_says_bye_and_ends) {
  SmallTalk got = talk("DONE\r\nx LOGOUT\r\n", Sleeper{.mode = Parked::IDLE, .idle_tag = "A1"});
  EXPECT_EQ(got.verdict, Verdict::kLogout);
  EXPECT_EQ(got.output, "A1 OK Idle completed.\r\n* BYE Logging out\r\nx OK Logout completed.\r\n");
}

TEST(SmallTalk, any_other_command_is_left_whole_to_a_worker) {
  for (const char* line : {"A2 FETCH 1 ALL\r\n", "A2 NOOP extra\r\n", "NOOP\r\n", "A{2 NOOP\r\n",
                           "A2  NOOP\r\n", "+ NOOP\r\n", "\r\n", "A2 LOGIN {3+}\r\n"}) {
    SmallTalk got = talk(line, in_mailbox());
    EXPECT_EQ(got.verdict, Verdict::kAttach) << line;
    EXPECT_EQ(got.consumed_bytes, 0u) << line;
    EXPECT_EQ(got.output, "") << line;
  }
  EXPECT_EQ(talk("A2 NOOP\r\n", in_idle()).verdict, Verdict::kAttach);
}

TEST(SmallTalk, of_a_mailbox_that_is_only_looked_at_now_and_then_noop_and_check_are_a_workers) {
  Sleeper sleeper = in_mailbox();
  sleeper.polled = true;
  EXPECT_EQ(talk("A2 NOOP\r\n", sleeper).verdict, Verdict::kAttach);
  EXPECT_EQ(talk("A2 check\r\n", sleeper).verdict, Verdict::kAttach);
  EXPECT_EQ(talk("A2 IDLE\r\n", sleeper).verdict, Verdict::kAnswered);
  EXPECT_EQ(talk("A2 LOGOUT\r\n", sleeper).verdict, Verdict::kLogout);
  Sleeper idle = in_idle();
  idle.polled = true;
  SmallTalk got = talk("DONE\r\nA2 NOOP\r\n", idle);
  EXPECT_EQ(got.output, "A1 OK Idle completed.\r\n");
  EXPECT_EQ(got.verdict, Verdict::kAttach);
  EXPECT_EQ(got.consumed_bytes, 6u);
}

TEST(SmallTalk, a_command_behind_answered_ones_attaches_from_there) {
  SmallTalk got = talk("DONE\r\nA2 FETCH 1 ALL\r\n", in_idle());
  EXPECT_EQ(got.verdict, Verdict::kAttach);
  EXPECT_EQ(got.consumed_bytes, 6u);
  EXPECT_EQ(got.output, "A1 OK Idle completed.\r\n");
  EXPECT_EQ(got.mode, Parked::SELECTED);
}

TEST(SmallTalk, with_a_change_pending_every_line_attaches) {
  EXPECT_EQ(talk("DONE\r\n", with_change(in_idle())).verdict, Verdict::kAttach);
  EXPECT_EQ(talk("A2 NOOP\r\n", with_change(in_mailbox())).verdict, Verdict::kAttach);
}

TEST(SmallTalk, half_a_line_waits_and_a_long_one_attaches) {
  SmallTalk half = talk("DON", in_idle());
  EXPECT_EQ(half.verdict, Verdict::kAnswered);
  EXPECT_EQ(half.consumed_bytes, 0u);
  EXPECT_EQ(talk(std::string(kLineBytesMax, 'x'), in_idle()).verdict, Verdict::kAttach);
}

TEST(SmallTalk, messages_that_came_are_told_once_with_the_next_answer) {
  SmallTalk got = talk("A2 NOOP\r\nA3 NOOP\r\n", with(in_mailbox(), 5, 2));
  EXPECT_EQ(got.output, "* 7 EXISTS\r\nA2 OK NOOP completed.\r\nA3 OK NOOP completed.\r\n");
  EXPECT_TRUE(got.told);
  EXPECT_EQ(talk("A2 CHECK\r\n", with(in_mailbox(), 5, 2)).output,
            "* 7 EXISTS\r\nA2 OK Check completed.\r\n");
  EXPECT_EQ(talk("A2 IDLE\r\n", with(in_mailbox(), 5, 2)).output, "+ idling\r\n* 7 EXISTS\r\n");
  EXPECT_EQ(talk("DONE\r\n", with(in_idle(), 5, 2)).output,
            "* 7 EXISTS\r\nA1 OK Idle completed.\r\n");
}

TEST(SmallTalk, messages_that_came_stay_untold_where_nothing_is_answered) {
  for (const char* input : {"A2 NOO", "A2 FETCH 1 ALL\r\n"}) {
    SmallTalk got = talk(input, with(in_mailbox(), 5, 2));
    EXPECT_FALSE(got.told) << input;
    EXPECT_EQ(got.output, "") << input;
  }
  EXPECT_FALSE(talk("A2 LOGOUT\r\n", with(in_mailbox(), 5, 2)).told);
}

TEST(SmallTalk, check_needs_a_mailbox) {
  EXPECT_EQ(talk("A2 CHECK\r\n", Sleeper{}).verdict, Verdict::kAttach);
  EXPECT_EQ(talk("A2 CHECK\r\n", in_idle()).verdict, Verdict::kAttach);
}

}  // namespace
}  // namespace dormouse::hibernate
