// What a den keeps of a mailbox's directories for the watch, and what it leaves to a worker where
// the watch only looks now and then.

#include "hibernate/test_den_town.h"

namespace dormouse::hibernate {
namespace {

constexpr uint64_t kTopic = 0x1122334455667788;

TEST_F(DenTest, noop_of_a_polled_mailbox_goes_to_a_worker_and_done_does_not) {
  polled_ = true;
  Client client = open_session();
  park(client, "state-1");
  client.say("DONE\r\na3 NOOP\r\n");
  client.hears("a2 OK Idle completed.\r\n");
  attached();
  EXPECT_EQ(must_receive<wire::DenToWorker>(worker_).message.begin().state(), "state-1");
  worker_hears("a3 NOOP\r\n");
}

TEST_F(DenTest, noop_of_a_watched_mailbox_needs_no_worker) {
  Client client = open_session();
  park(client, "state-1");
  client.say("DONE\r\na3 NOOP\r\n");
  client.hears("a2 OK Idle completed.\r\na3 OK NOOP completed.\r\n");
}

TEST_F(DenTest, a_topic_is_kept_and_subscribed_again_where_the_watch_wants_it) {
  kill_den();
  mode_.set_topics(true);
  topic_ = kTopic;
  start_den();
  Client client = open_session();
  park(client, "state-1");
  for (int life = 0; life < 2; ++life) {
    ASSERT_EQ(subscribed_.directories_size(), 2);
    EXPECT_EQ(subscribed_.directories(0).handle(), "handle-of-inbox");
    EXPECT_EQ(subscribed_.directories(1).topic(), kTopic);
    EXPECT_EQ(subscribed_.directories(1).path() + subscribed_.directories(1).handle(), "");
    // The next den has it from the record.
    kill_den();
    start_den();
    watch_subscribes();
  }
}

TEST_F(DenTest, no_topic_is_kept_where_nobody_wants_it) {
  topic_ = kTopic;
  Client client = open_session();
  park(client, "state-1");
  EXPECT_EQ(subscribed_.directories_size(), 1);
}

TEST_F(DenTest, a_directory_on_a_store_that_is_not_watched_by_handles_is_named_by_its_path) {
  kill_den();
  mode_.add_fsids("otherfs!");
  start_den();
  Client client = open_session();
  park(client, "state-1");
  for (int life = 0; life < 2; ++life) {
    ASSERT_EQ(subscribed_.directories_size(), 1);
    EXPECT_EQ(subscribed_.directories(0).path(), "/mail/inbox");
    EXPECT_EQ(subscribed_.directories(0).handle(), "");
    kill_den();
    start_den();
    watch_subscribes();
  }
}

TEST_F(DenTest, a_directory_on_one_that_is_watched_by_handles_is_named_by_its_handle) {
  kill_den();
  mode_.add_fsids("otherfs!");
  mode_.add_fsids("handle-o");
  start_den();
  Client client = open_session();
  park(client, "state-1");
  EXPECT_EQ(subscribed_.directories(0).handle(), "handle-of-inbox");
  EXPECT_EQ(subscribed_.directories(0).path(), "");
}

}  // namespace
}  // namespace dormouse::hibernate
