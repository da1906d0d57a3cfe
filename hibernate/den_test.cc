// How a session parks, is refreshed, talks asleep and wakes.

#include "hibernate/test_den_town.h"

namespace dormouse::hibernate {
namespace {

TEST_F(DenTest, done_is_answered_with_no_worker_and_a_command_attaches_with_the_state) {
  Client client = open_session();
  park(client, "state-1");
  client.say("DONE\r\n");
  client.hears("a2 OK Idle completed.\r\n");
  client.say("a3 IDLE\r\n");
  client.hears("+ idling\r\n");
  client.say("DONE\r\na4 FETCH 1 ALL\r\n");
  client.hears("a3 OK Idle completed.\r\n");
  auto attach = attached();
  EXPECT_EQ(attach.user(), "alice");
  EXPECT_EQ(attach.cookie(), std::string(16, 'c'));
  EXPECT_EQ(attach.session(), session_);
  EXPECT_EQ(attach.purpose(), wire::DenToTracker::INPUT);
  auto begin = must_receive<wire::DenToWorker>(worker_).message.begin();
  EXPECT_EQ(begin.state(), "state-1");
  EXPECT_EQ(begin.mode(), wire::WorkerToDen::Parked::SELECTED);
  worker_hears("a4 FETCH 1 ALL\r\n");
  worker_says("a4 OK\r\n");
  client.hears("a4 OK\r\n");
}

TEST_F(DenTest, a_command_that_crosses_the_park_is_relayed_once_and_the_session_stays) {
  Client client = open_session();
  client.say("a2 IDLE\r\n");
  worker_hears("a2 IDLE\r\n");
  worker_says("+ idling\r\n");
  client.hears("+ idling\r\n");
  offer();
  watch_subscribes();
  EXPECT_TRUE(must_receive<wire::DenToWorker>(worker_).message.has_ready());
  // The client speaks before the worker's Park, which does not know of it.
  client.say("DONE\r\n");
  worker_hears("DONE\r\n");
  send_park(9, "too-old");
  auto gone = must_receive<wire::DenToWatch>(watch_);
  EXPECT_TRUE(gone.message.has_unsubscribe());
  worker_says("a2 OK from the worker\r\n");
  client.hears("a2 OK from the worker\r\n");
  EXPECT_TRUE(client.silent()) << "answered once";
  // And it can park after all.
  client.say("a5 IDLE\r\n");
  worker_hears("a5 IDLE\r\n");
  offer();
  watch_subscribes();
  EXPECT_TRUE(must_receive<wire::DenToWorker>(worker_).message.has_ready());
  send_park(9 + 6 + 9, "newer");
  EXPECT_TRUE(must_close(worker_));
}

TEST_F(DenTest, a_change_between_ready_and_park_is_refreshed_at_once) {
  Client client = open_session();
  client.say("a2 IDLE\r\n");
  worker_hears("a2 IDLE\r\n");
  offer();
  watch_subscribes();
  EXPECT_TRUE(must_receive<wire::DenToWorker>(worker_).message.has_ready());
  change();
  send_park(9, "state-1");
  auto attach = attached();
  EXPECT_EQ(attach.purpose(), wire::DenToTracker::REFRESH);
  EXPECT_EQ(must_receive<wire::DenToWorker>(worker_).message.begin().state(), "state-1");
  refresh("* 3 EXISTS\r\n", "state-2");
  client.hears("* 3 EXISTS\r\n");
}

TEST_F(DenTest, a_refresh_leaves_the_session_parked_with_its_new_state) {
  Client client = open_session();
  park(client, "state-1");
  for (int round = 2; round < 6; ++round) {
    change();
    attached();
    auto begin = must_receive<wire::DenToWorker>(worker_).message.begin();
    EXPECT_EQ(begin.purpose(), wire::DenToWorker::REFRESH);
    EXPECT_EQ(begin.state(), "state-" + std::to_string(round - 1));
    refresh("* " + std::to_string(round) + " EXISTS\r\n", "state-" + std::to_string(round));
    client.hears("* " + std::to_string(round) + " EXISTS\r\n");
  }
  client.say("DONE\r\n");
  client.hears("a2 OK Idle completed.\r\n");
}

TEST_F(DenTest, a_word_that_comes_as_a_refresh_begins_is_not_lost) {
  Client client = open_session();
  park(client, "state-1");
  for (int round = 0; round < 50 && !HasFailure(); ++round) {
    client.say("DONE\r\n");
    change();
    pollfd wait{tracker_.fd(), POLLIN, 0};
    bool asked = ::poll(&wait, 1, 5) == 1;
    bool awake = false;
    if (asked) {
      attached();
      auto begin = must_receive<wire::DenToWorker>(worker_).message.begin();
      if (begin.purpose() == wire::DenToWorker::REFRESH) {
        refresh("", "state-1");
      } else {
        // The change was seen first: a worker tells it before it ends the IDLE.
        worker_hears("DONE\r\n");
        worker_says("a2 OK Idle completed.\r\n");
        awake = true;
      }
    }
    client.hears("a2 OK Idle completed.\r\n");
    client.say("a2 IDLE\r\n");
    if (!awake && ::poll(&wait, 1, 5) == 1) {
      attached();
      must_receive<wire::DenToWorker>(worker_);
      awake = true;
      worker_hears("a2 IDLE\r\n");
      park_again(client, 9);
    } else if (awake) {
      worker_hears("a2 IDLE\r\n");
      park_again(client, 6 + 9);
    } else {
      client.hears("+ idling\r\n");
    }
  }
}

TEST_F(DenTest, what_the_client_says_during_a_refresh_waits_for_it) {
  Client client = open_session();
  park(client, "state-1");
  change();
  attached();
  client.say("DONE\r\n");
  EXPECT_TRUE(client.silent());
  refresh("* 3 EXISTS\r\n", "state-2");
  client.hears("* 3 EXISTS\r\na2 OK Idle completed.\r\n");
}

TEST_F(DenTest, a_change_during_a_refresh_makes_another_one) {
  Client client = open_session();
  park(client, "state-1");
  change();
  attached();
  change();
  ::usleep(20'000);
  refresh("* 3 EXISTS\r\n", "state-2");
  client.hears("* 3 EXISTS\r\n");
  attached();
  EXPECT_EQ(must_receive<wire::DenToWorker>(worker_).message.begin().state(), "state-2");
  refresh("", "state-3");
  EXPECT_TRUE(client.silent());
}

}  // namespace
}  // namespace dormouse::hibernate
