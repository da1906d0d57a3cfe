// What dies or refuses around a sleeper: worker, tracker, den, server.

#include <vector>

#include "hibernate/test_den_town.h"

namespace dormouse::hibernate {
namespace {

TEST_F(DenTest, a_den_whose_tracker_died_answers_small_talk_and_asks_the_next_one) {
  Client client = open_session();
  park(client, "state-1");
  // The tracker dies with the question on its way: its link still takes messages for a moment.
  client.say("DONE\r\na3 UNSELECT\r\n");
  client.hears("a2 OK Idle completed.\r\n");
  tracker_.close();
  Client other = come("b1");
  EXPECT_TRUE(other.silent(100)) << "it waits for a tracker";
  tracker_ = link(wire::TRACKER);
  EXPECT_TRUE(must_receive<wire::DenToTracker>(tracker_).message.has_census());
  bool resumed = false;
  bool opened = false;
  std::vector<io::Fd> relays;  // else a worker has died, and another is asked for
  for (int i = 0; i < 2; ++i) {
    auto asked = must_receive<wire::DenToTracker>(tracker_);
    relays.push_back(std::move(asked.fds[0]));
    resumed |= asked.message.has_attach();
    opened |= asked.message.has_open();
  }
  EXPECT_TRUE(resumed && opened);
}

TEST_F(DenTest, what_a_worker_said_as_the_tracker_died_is_said_once) {
  uint64_t request = 0;
  Client client = hand_over(request);
  grant(request);
  // Both lie there when the den looks, the end of the tracker first.
  stop_den();
  tracker_.close();
  worker_says("a1 OK Logged in\r\n");
  let_den_on();
  client.hears("a1 OK Logged in\r\n");
  tracker_ = link(wire::TRACKER);
  EXPECT_TRUE(must_receive<wire::DenToTracker>(tracker_).message.has_census());
  pollfd asked{.fd = tracker_.fd(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&asked, 1, 300), 0) << "no second worker is asked for";
  worker_says("* still here\r\n");
  client.hears("* still here\r\n");
}

TEST_F(DenTest, logins_that_come_and_go_are_told_to_who_counts_handovers) {
  static_assert(kSlots / 100 > 1, "else every session is told");
  constexpr int kRounds = 10;
  for (int i = 0; i < kRounds; ++i) {
    {
      Client client = open_session();
    }
    EXPECT_TRUE(must_close(worker_));
    EXPECT_TRUE(must_receive<wire::DenToTracker>(tracker_).message.has_closed());
  }
  int told = 0;
  pollfd more{.fd = login_.fd(), .events = POLLIN, .revents = 0};
  while (::poll(&more, 1, told == 0 ? kWaitMs : 100) == 1) {
    auto message = wire::try_receive<wire::DenToLogin>(login_);
    ASSERT_TRUE(message);
    EXPECT_LE(message->message.load().sessions(), 2u);
    ++told;
  }
  EXPECT_GE(told, kRounds / int(kSlots / 100));
}

TEST_F(DenTest, a_worker_that_dies_before_its_first_word_is_replaced_and_hears_it_all) {
  Client client = open_session();
  park(client, "state-1");
  client.say("DONE\r\na3 NOOP extra\r\n");
  client.hears("a2 OK Idle completed.\r\n");
  EXPECT_EQ(attached().attempt(), 0u);
  must_receive<wire::DenToWorker>(worker_);
  worker_hears("a3 NOOP extra\r\n");
  worker_.close();
  EXPECT_EQ(attached().attempt(), 1u);
  EXPECT_EQ(must_receive<wire::DenToWorker>(worker_).message.begin().state(), "state-1");
  worker_hears("a3 NOOP extra\r\n");
  worker_says("a3 BAD\r\n");
  client.hears("a3 BAD\r\n");
  worker_.close();
  client.hears("* BYE Internal error: the session's worker is gone\r\n");
  EXPECT_TRUE(client.closed());
}

TEST_F(DenTest, a_refresh_that_no_worker_can_answer_is_put_off_and_small_talk_goes_on) {
  Client client = open_session();
  park(client, "state-1");
  change();
  for (uint32_t attempt = 0; attempt <= kAttemptsMax; ++attempt) {
    EXPECT_EQ(attached().attempt(), attempt);
    must_receive<wire::DenToWorker>(worker_);
    worker_.close();
  }
  change();
  pollfd wait{tracker_.fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&wait, 1, 300), 0) << "not tried again at once, by another change neither";
  // A command does not wait for it.
  client.say("DONE\r\n");
  attached();
  EXPECT_EQ(must_receive<wire::DenToWorker>(worker_).message.begin().purpose(),
            wire::DenToWorker::INPUT);
  worker_hears("DONE\r\n");
}

TEST_F(DenTest, a_killed_den_loses_no_sleeper_nor_what_it_says_meanwhile) {
  Client client = open_session();
  park(client, "state-1");
  Client second = open_session();
  second.say("a2 IDLE\r\n");
  worker_hears("a2 IDLE\r\n");
  offer();
  EXPECT_TRUE(must_receive<wire::DenToWorker>(worker_).message.has_ready()) << "already watched";
  send_park(9, "state-b");
  EXPECT_TRUE(must_close(worker_));
  kill_den();
  second.say("DONE\r\n");
  EXPECT_TRUE(client.silent());
  start_den();
  // The new one watches again, and looks at every sleeper, since a change may have been missed.
  watch_subscribes();
  second.hears("a2 OK Idle completed.\r\n");
  auto attach = attached();
  EXPECT_EQ(attach.purpose(), wire::DenToTracker::SWEEP);
  EXPECT_EQ(must_receive<wire::DenToWorker>(worker_).message.begin().state(), "state-1");
  refresh("* 9 EXISTS\r\n", "state-2");
  client.hears("* 9 EXISTS\r\n");
  change();
  attached();
  EXPECT_EQ(must_receive<wire::DenToWorker>(worker_).message.begin().state(), "state-2");
  refresh("* 10 EXISTS\r\n", "state-3");
  client.hears("* 10 EXISTS\r\n");
  client.say("DONE\r\n");
  client.hears("a2 OK Idle completed.\r\n");
}

TEST_F(DenTest, a_den_killed_while_it_waits_for_a_worker_leaves_the_command_to_the_next) {
  Client client = open_session();
  park(client, "state-1");
  client.say("DONE\r\na3 UNSELECT\r\n");
  client.hears("a2 OK Idle completed.\r\n");
  attached();
  // The den learns that its answer is out; killed before, it would leave a record half sent.
  ::usleep(100'000);
  kill_den();
  start_den();
  watch_subscribes();
  EXPECT_EQ(attached().purpose(), wire::DenToTracker::INPUT);
  EXPECT_EQ(must_receive<wire::DenToWorker>(worker_).message.begin().state(), "state-1");
  worker_hears("a3 UNSELECT\r\n");
  worker_says("a3 OK\r\n");
  client.hears("a3 OK\r\n");
}

TEST_F(DenTest, a_den_killed_while_it_waits_for_a_worker_leaves_also_what_came_since) {
  Client client = open_session();
  park(client, "state-1");
  client.say("DONE\r\na3 UNSELECT\r\n");
  client.hears("a2 OK Idle completed.\r\n");
  attached();
  must_receive<wire::DenToWorker>(worker_);
  worker_hears("a3 UNSELECT\r\n");
  client.say("a4 NOOP\r\n");
  worker_hears("a4 NOOP\r\n");
  kill_den();
  client.say("a5 NOOP\r\n");
  start_den();
  watch_subscribes();
  attached();
  must_receive<wire::DenToWorker>(worker_);
  worker_hears("a3 UNSELECT\r\na4 NOOP\r\na5 NOOP\r\n");
}

// Killed between the sending of an answer and the news that it is out.
class KilledAsItSends : public DenTest {
 protected:
  void SetUp() override {
    DenTest::SetUp();
    exists_ = 5;
  }
  // The next den has the sleeper, with what it was told last. `first`: what that den says at once.
  void next_den_goes_on(Client& client, uint32_t told, std::string_view first = {}) {
    start_den();
    client.hears(first);
    watch_subscribes();
    attached();
    EXPECT_EQ(must_receive<wire::DenToWorker>(worker_).message.begin().exists(), told);
    exists_ = told;
    refresh("", "state-2");
    EXPECT_TRUE(client.silent()) << "nothing is said twice";
    client.say("DONE\r\n");
    client.hears("a2 OK Idle completed.\r\n");
  }
};

TEST_F(KilledAsItSends, an_announcement_is_known_to_be_out) {
  Client client = open_session();
  park(client, "state-1");
  if (!trace_den()) GTEST_SKIP() << "ptrace is not permitted";
  arrive(1, kLongAfterMs);
  kill_den_as_it_sends(client);
  client.hears("* 6 EXISTS\r\n");
  next_den_goes_on(client, 6);
}

TEST_F(KilledAsItSends, small_talk_is_known_to_be_answered) {
  Client client = open_session();
  park(client, "state-1");
  client.say("DONE\r\n");
  client.hears("a2 OK Idle completed.\r\n");
  if (!trace_den()) GTEST_SKIP() << "ptrace is not permitted";
  client.say("a2 IDLE\r\n");
  kill_den_as_it_sends(client);
  client.hears("+ idling\r\n");
  next_den_goes_on(client, 5);
}

TEST_F(KilledAsItSends, an_answer_before_a_command_is_known_to_be_out_and_the_command_is_kept) {
  Client client = open_session();
  park(client, "state-1");
  if (!trace_den()) GTEST_SKIP() << "ptrace is not permitted";
  client.say("DONE\r\na3 UNSELECT\r\n");
  kill_den_as_it_sends(client);
  client.hears("a2 OK Idle completed.\r\n");
  tracker_.close();
  start_den();
  watch_subscribes();
  attached();
  must_receive<wire::DenToWorker>(worker_);
  worker_hears("a3 UNSELECT\r\n");
  EXPECT_TRUE(client.silent());
}

TEST_F(KilledAsItSends, a_refresh_is_known_to_be_told) {
  Client client = open_session();
  park(client, "state-1");
  change();
  attached();
  must_receive<wire::DenToWorker>(worker_);
  if (!trace_den()) GTEST_SKIP() << "ptrace is not permitted";
  exists_ = 6;
  refresh("* 6 EXISTS\r\n", "state-2");
  kill_den_as_it_sends(client);
  client.hears("* 6 EXISTS\r\n");
  next_den_goes_on(client, 6);
}

TEST_F(KilledAsItSends, a_connection_whose_last_words_are_out_is_closed) {
  Client client = open_session();
  park(client, "state-1");
  if (!trace_den()) GTEST_SKIP() << "ptrace is not permitted";
  client.say("DONE\r\na3 LOGOUT\r\n");
  kill_den_as_it_sends(client);
  client.hears("a2 OK Idle completed.\r\n* BYE Logging out\r\na3 OK Logout completed.\r\n");
  start_den();
  EXPECT_TRUE(client.closed());
}

// Killed with all prepared, before the kernel has seen anything of it.
using KilledBeforeItSends = KilledAsItSends;

TEST_F(KilledBeforeItSends, an_announcement_is_made_by_the_next_den) {
  Client client = open_session();
  park(client, "state-1");
  if (!trace_den()) GTEST_SKIP() << "ptrace is not permitted";
  arrive(1, kLongAfterMs);
  kill_den_before_it_sends();
  EXPECT_TRUE(client.silent());
  next_den_goes_on(client, 6, "* 6 EXISTS\r\n");
}

TEST_F(KilledBeforeItSends, small_talk_is_answered_by_the_next_den) {
  Client client = open_session();
  park(client, "state-1");
  client.say("DONE\r\n");
  client.hears("a2 OK Idle completed.\r\n");
  ::usleep(50'000);
  if (!trace_den()) GTEST_SKIP() << "ptrace is not permitted";
  client.say("a2 IDLE\r\n");
  kill_den_before_it_sends();
  EXPECT_TRUE(client.silent());
  next_den_goes_on(client, 5, "+ idling\r\n");
}

TEST_F(KilledBeforeItSends, a_refresh_is_told_by_the_next_den) {
  Client client = open_session();
  park(client, "state-1");
  change();
  attached();
  must_receive<wire::DenToWorker>(worker_);
  if (!trace_den()) GTEST_SKIP() << "ptrace is not permitted";
  exists_ = 6;
  refresh("* 6 EXISTS\r\n", "state-2");
  kill_den_before_it_sends();
  EXPECT_TRUE(client.silent());
  next_den_goes_on(client, 6, "* 6 EXISTS\r\n");
}

TEST_F(KilledBeforeItSends, an_answer_before_a_command_is_given_by_the_next_den) {
  Client client = open_session();
  park(client, "state-1");
  if (!trace_den()) GTEST_SKIP() << "ptrace is not permitted";
  client.say("DONE\r\na3 UNSELECT\r\n");
  kill_den_before_it_sends();
  EXPECT_TRUE(client.silent());
  tracker_.close();
  start_den();
  client.hears("a2 OK Idle completed.\r\n");
  watch_subscribes();
  attached();
  must_receive<wire::DenToWorker>(worker_);
  worker_hears("a3 UNSELECT\r\n");
}

TEST_F(KilledBeforeItSends, last_words_are_not_said_by_the_next_den) {
  Client client = open_session();
  park(client, "state-1");
  wire::TrackerToDen kick;
  kick.mutable_kick()->set_user("alice");
  kick.mutable_kick()->set_text("Go");
  if (!trace_den()) GTEST_SKIP() << "ptrace is not permitted";
  must_send(tracker_, kick);
  kill_den_before_it_sends();
  start_den();
  EXPECT_TRUE(client.closed());
}

TEST_F(DenTest, sleepers_hear_from_the_server_now_and_then) {
  kill_den();
  keepalive_ms_ = 1000;
  start_den();
  Client client = open_session();
  park(client, "state-1");
  client.hears("* OK Still here\r\n* OK Still here\r\n");
}

TEST_F(DenTest, a_refused_login_gets_a_tagged_no_and_a_bye) {
  int ends[2] = {-1, -1};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  Client client{io::Fd(ends[0])};
  {
    io::Fd far(ends[1]);
    wire::LoginToDen message;
    message.mutable_handover()->set_grant(std::string(16, 'g'));
    message.mutable_handover()->set_tag("a1");
    must_send(login_, message, far.get());
  }
  auto asked = must_receive<wire::DenToTracker>(tracker_);
  wire::TrackerToDen refused;
  refused.mutable_refused()->set_request(asked.message.open().request());
  refused.mutable_refused()->set_permanent(true);
  refused.mutable_refused()->set_response_code("LIMIT");
  refused.mutable_refused()->set_text("Too many sessions");
  must_send(tracker_, refused);
  client.hears("a1 NO [LIMIT] Too many sessions\r\n* BYE Too many sessions\r\n");
  EXPECT_TRUE(client.closed());
}

TEST_F(DenTest, a_drain_says_bye_to_sleepers_and_ends_the_process) {
  Client client = open_session();
  park(client, "state-1");
  wire::MasterToRole message;
  message.mutable_drain()->set_grace_ms(5000);
  message.mutable_drain()->set_text("Server is going down");
  must_send(control_, message);
  client.hears("* BYE Server is going down\r\n");
  EXPECT_TRUE(client.closed());
  int status = 0;
  ASSERT_EQ(::waitpid(den_, &status, 0), den_);
  den_ = -1;
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace dormouse::hibernate
