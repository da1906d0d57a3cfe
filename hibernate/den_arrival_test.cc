// Mail that arrives while a session sleeps: announced by the den, or left to a worker.

#include "hibernate/test_den_town.h"

namespace dormouse::hibernate {
namespace {

TEST_F(DenTest, mail_that_arrived_is_announced_with_no_worker_and_the_next_one_hears_how_much) {
  exists_ = 5;
  Client client = open_session();
  park(client, "state-1");
  arrive(1, kLongAfterMs);
  client.hears("* 6 EXISTS\r\n");
  arrive(2, kLongAfterMs);
  client.hears("* 8 EXISTS\r\n");
  // Also by a den that finds the record.
  ::usleep(100'000);
  kill_den();
  start_den();
  watch_subscribes();
  attached();
  auto begin = must_receive<wire::DenToWorker>(worker_).message.begin();
  EXPECT_EQ(begin.state(), "state-1");
  EXPECT_EQ(begin.exists(), 8u);
  exists_ = 8;
  refresh("", "state-2");
  // The sweep at adoption; and one more where the watch answered after that one had begun.
  pollfd again{tracker_.fd(), POLLIN, 0};
  if (::poll(&again, 1, 300) == 1) {
    attached();
    must_receive<wire::DenToWorker>(worker_);
    refresh("", "state-2");
    ::usleep(50'000);
  }
  arrive(1, kLongAfterMs);
  client.hears("* 9 EXISTS\r\n");
  client.say("DONE\r\na3 FETCH 9 ALL\r\n");
  client.hears("a2 OK Idle completed.\r\n");
  attached();
  begin = must_receive<wire::DenToWorker>(worker_).message.begin();
  EXPECT_EQ(begin.state(), "state-2");
  EXPECT_EQ(begin.exists(), 9u);
}

TEST_F(DenTest, of_a_burst_the_first_is_told_at_once_and_the_rest_in_one) {
  coalesce_ms_ = 1500;
  kill_den();
  start_den();
  exists_ = 5;
  Client client = open_session();
  park(client, "state-1");
  arrive(1, kLongAfterMs);
  client.hears("* 6 EXISTS\r\n");
  arrive(1, kLongAfterMs);
  arrive(2, kLongAfterMs);
  client.hears("* 9 EXISTS\r\n");
  // What a worker has to look at waits as well, and is asked for once.
  change();
  change();
  arrive(1, kLongAfterMs);
  attached();
  EXPECT_EQ(must_receive<wire::DenToWorker>(worker_).message.begin().exists(), 9u);
  exists_ = 10;
  refresh("* 10 EXISTS\r\n", "state-2");
  client.hears("* 10 EXISTS\r\n");
}

TEST_F(DenTest, mail_that_a_worker_may_have_counted_already_is_left_to_a_worker) {
  exists_ = 5;
  Client client = open_session();
  park(client, "state-1");
  arrive(1, 0);
  attached();
  EXPECT_EQ(must_receive<wire::DenToWorker>(worker_).message.begin().exists(), 5u);
  // And so is what comes while one looks, and then while another change waits.
  arrive(1, kLongAfterMs);
  ::usleep(20'000);
  exists_ = 6;
  refresh("* 6 EXISTS\r\n", "state-2");
  client.hears("* 6 EXISTS\r\n");
  attached();
  EXPECT_EQ(must_receive<wire::DenToWorker>(worker_).message.begin().state(), "state-2");
  exists_ = 7;
  refresh("* 7 EXISTS\r\n", "state-3");
  client.hears("* 7 EXISTS\r\n");
}

TEST_F(DenTest, outside_idle_an_arrival_is_told_with_the_next_answer_and_no_worker) {
  exists_ = 5;
  Client client = open_session();
  park(client, "state-1");
  client.say("DONE\r\n");
  client.hears("a2 OK Idle completed.\r\n");
  arrive(1, kLongAfterMs);
  arrive(2, kLongAfterMs);
  EXPECT_TRUE(client.silent());
  client.say("a3 NOOP\r\n");
  client.hears("* 8 EXISTS\r\na3 OK NOOP completed.\r\n");
  client.say("a4 NOOP\r\n");
  client.hears("a4 OK NOOP completed.\r\n");
  arrive(1, kLongAfterMs);
  ::usleep(20'000);
  client.say("a5 CHECK\r\n");
  client.hears("* 9 EXISTS\r\na5 OK Check completed.\r\n");
  arrive(1, kLongAfterMs);
  ::usleep(20'000);
  client.say("a6 IDLE\r\n");
  client.hears("+ idling\r\n* 10 EXISTS\r\n");
  arrive(1, kLongAfterMs);
  client.hears("* 11 EXISTS\r\n");
  // What was not told yet is a worker's to find: it hears what was.
  client.say("DONE\r\n");
  client.hears("a6 OK Idle completed.\r\n");
  arrive(1, kLongAfterMs);
  ::usleep(20'000);
  client.say("a7 FETCH 11 ALL\r\n");
  attached();
  EXPECT_EQ(must_receive<wire::DenToWorker>(worker_).message.begin().exists(), 11u);
  worker_hears("a7 FETCH 11 ALL\r\n");
}

TEST_F(DenTest, outside_idle_what_is_more_than_an_arrival_waits_for_a_worker) {
  exists_ = 5;
  Client client = open_session();
  park(client, "state-1");
  client.say("DONE\r\n");
  client.hears("a2 OK Idle completed.\r\n");
  arrive(1, kLongAfterMs);
  change();
  ::usleep(20'000);
  client.say("a3 NOOP\r\n");
  attached();
  EXPECT_EQ(must_receive<wire::DenToWorker>(worker_).message.begin().exists(), 5u);
  worker_hears("a3 NOOP\r\n");
}

TEST_F(DenTest, outside_idle_more_mail_than_the_record_counts_waits_for_a_worker) {
  exists_ = 5;
  Client client = open_session();
  park(client, "state-1");
  client.say("DONE\r\n");
  client.hears("a2 OK Idle completed.\r\n");
  arrive(kPendingMax, kLongAfterMs);
  arrive(1, kLongAfterMs);
  ::usleep(20'000);
  client.say("a3 NOOP\r\n");
  attached();
  EXPECT_EQ(must_receive<wire::DenToWorker>(worker_).message.begin().exists(), 5u);
  worker_hears("a3 NOOP\r\n");
}

TEST_F(DenTest, pending_mail_is_found_by_the_worker_after_a_den_died) {
  exists_ = 5;
  Client client = open_session();
  park(client, "state-1");
  client.say("DONE\r\n");
  client.hears("a2 OK Idle completed.\r\n");
  arrive(1, kLongAfterMs);
  ::usleep(50'000);
  kill_den();
  start_den();
  watch_subscribes();
  client.say("a3 NOOP\r\n");
  attached();
  EXPECT_EQ(must_receive<wire::DenToWorker>(worker_).message.begin().exists(), 5u);
  worker_hears("a3 NOOP\r\n");
}

TEST_F(DenTest, with_notify_a_sleeper_hears_of_changes_and_of_mail_outside_idle_too) {
  exists_ = 5;
  pushes_ = true;
  Client client = open_session();
  park(client, "state-1");
  client.say("DONE\r\n");
  client.hears("a2 OK Idle completed.\r\n");
  change();
  attached();
  auto begin = must_receive<wire::DenToWorker>(worker_).message.begin();
  EXPECT_EQ(begin.purpose(), wire::DenToWorker::REFRESH);
  EXPECT_EQ(begin.mode(), wire::WorkerToDen::Parked::SELECTED);
  refresh("* STATUS Lists (MESSAGES 1)\r\n", "state-2");
  client.hears("* STATUS Lists (MESSAGES 1)\r\n");
  ::usleep(50'000);
  arrive(1, kLongAfterMs);
  client.hears("* 6 EXISTS\r\n");
  client.say("a3 NOOP\r\n");
  client.hears("a3 OK NOOP completed.\r\n");
}

// A change and the client's word at one moment: whichever the den sees first, the word is answered.
// An arrival and a command at one moment: the announcement and the woken session must not both
// send.
TEST_F(DenTest, an_arrival_as_the_client_speaks_is_announced_or_left_to_the_worker) {
  exists_ = 5;
  Client client = open_session();
  park(client, "state-1");
  uint32_t told = exists_;
  for (int round = 0; round < 50 && !HasFailure(); ++round) {
    client.say("DONE\r\na3 UNSELECT\r\n");
    arrive(1, kLongAfterMs);
    auto attach = attached();
    auto begin = must_receive<wire::DenToWorker>(worker_).message.begin();
    ASSERT_EQ(attach.purpose(), wire::DenToTracker::INPUT);
    bool announced = begin.exists() == told + 1;
    if (announced) client.hears("* " + std::to_string(told + 1) + " EXISTS\r\n");
    bool done = begin.mode() == wire::WorkerToDen::Parked::SELECTED;
    worker_hears(done ? "a3 UNSELECT\r\n" : "DONE\r\na3 UNSELECT\r\n");
    worker_says(done ? "a3 OK\r\n" : "a2 OK Idle completed.\r\na3 OK\r\n");
    client.hears("a2 OK Idle completed.\r\na3 OK\r\n");
    told = ++exists_;
    client.say("a2 IDLE\r\n");
    worker_hears("a2 IDLE\r\n");
    park_again(client, (done ? 13 : 19) + 9);
  }
}

}  // namespace
}  // namespace dormouse::hibernate
