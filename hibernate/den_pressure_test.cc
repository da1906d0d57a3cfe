// A den under pressure: what sleepers are told, and what they ask, waits for longer.

#include "hibernate/test_den_town.h"
#include "tuning/pressure_level.h"

namespace dormouse::hibernate {
namespace {

class DenPressureTest : public DenTest {
 protected:
  void SetUp() override {
    DenTest::SetUp();
    kill_den();
    exists_ = 5;
    coalesce_ms_ = 20;
    pressure_.set_coalesce_busy_ms(20);
    pressure_.set_coalesce_pressed_ms(800);
    pressure_.set_coalesce_critical_ms(600'000);
    pressure_.set_done_delay_ms(1200);
    start_den();
  }
  void press(tuning::Pressure level) {
    wire::MasterToRole message;
    message.mutable_pressure()->set_level(uint32_t(level));
    must_send(control_, message);
    EXPECT_NE(view().find(std::string("pressure=") + std::string(tuning::name_of(level))),
              std::string::npos);
  }
};

TEST_F(DenPressureTest, pressed_the_first_news_waits_too_and_is_told_with_what_follows) {
  Client client = open_session();
  park(client, "state-1");
  press(tuning::Pressure::kPressed);
  arrive(1, kLongAfterMs);
  arrive(2, kLongAfterMs);
  EXPECT_TRUE(client.silent(200));
  client.hears("* 8 EXISTS\r\n");
}

TEST_F(DenPressureTest, busy_a_lone_delivery_still_waits_for_nothing) {
  pressure_.set_coalesce_busy_ms(600'000);
  kill_den();
  start_den();
  Client client = open_session();
  park(client, "state-1");
  press(tuning::Pressure::kBusy);
  arrive(1, kLongAfterMs);
  client.hears("* 6 EXISTS\r\n");
  arrive(1, kLongAfterMs);
  EXPECT_TRUE(client.silent(200));
}

TEST_F(DenPressureTest, what_waits_for_minutes_is_told_soon_once_the_pressure_falls) {
  Client client = open_session();
  park(client, "state-1");
  press(tuning::Pressure::kCritical);
  arrive(1, kLongAfterMs);
  change();
  EXPECT_TRUE(client.silent(200));
  press(tuning::Pressure::kCalm);
  // A change is a worker's to tell.
  attached();
  EXPECT_EQ(must_receive<wire::DenToWorker>(worker_).message.begin().purpose(),
            wire::DenToWorker::REFRESH);
  exists_ = 6;
  refresh("* 6 EXISTS\r\n", "state-2");
  client.hears("* 6 EXISTS\r\n");
}

TEST_F(DenPressureTest, done_is_answered_later_with_what_came_meanwhile) {
  Client client = open_session();
  park(client, "state-1");
  press(tuning::Pressure::kCritical);
  client.say("DONE\r\n");
  EXPECT_TRUE(client.silent(300));
  arrive(1, kLongAfterMs);
  EXPECT_NE(view().find("delayed_now=1"), std::string::npos);
  client.hears("* 6 EXISTS\r\na2 OK Idle completed.\r\n");
  EXPECT_NE(view().find("talk_delayed=1 delayed_now=0"), std::string::npos);
  // What is no longer in IDLE is answered at once: somebody waits for it.
  client.say("a3 NOOP\r\n");
  client.hears("a3 OK NOOP completed.\r\n");
}

TEST_F(DenPressureTest, a_change_while_done_waits_goes_behind_the_clients_word) {
  Client client = open_session();
  park(client, "state-1");
  press(tuning::Pressure::kCritical);
  client.say("DONE\r\n");
  EXPECT_TRUE(client.silent(100));
  change();
  press(tuning::Pressure::kCalm);  // so that the change is told at once; the delay runs out
  attached();
  auto begin = must_receive<wire::DenToWorker>(worker_).message.begin();
  EXPECT_EQ(begin.purpose(), wire::DenToWorker::INPUT);
  worker_hears("DONE\r\n");
}

TEST_F(DenPressureTest, a_client_that_leaves_while_its_done_waits_leaves_nothing_behind) {
  for (int i = 0; i < 3; ++i) {
    Client client = open_session();
    park(client, "state-1");
    press(tuning::Pressure::kCritical);
    client.say("DONE\r\n");
    EXPECT_TRUE(client.silent(50));
    press(tuning::Pressure::kCalm);
    // An administrator ends the session; the slot is used again before the delay is over.
    wire::TrackerToDen kick;
    kick.mutable_kick()->set_user("alice");
    kick.mutable_kick()->set_text("Bye now");
    must_send(tracker_, kick);
    client.hears("* BYE Bye now\r\n");
    EXPECT_TRUE(must_receive<wire::DenToTracker>(tracker_).message.has_closed());
    EXPECT_TRUE(must_receive<wire::DenToWatch>(watch_).message.has_unsubscribe());
  }
  Client client = open_session();
  park(client, "state-1");
  ::usleep(1'300'000);
  EXPECT_NE(view().find("delayed_now=0"), std::string::npos);
  client.say("DONE\r\n");
  client.hears("a2 OK Idle completed.\r\n");
}

TEST_F(DenPressureTest, a_refresh_that_a_full_tracker_refuses_is_asked_for_again) {
  Client client = open_session();
  park(client, "state-1");
  change();
  for (int i = 0; i < 3; ++i) {
    auto asked = must_receive<wire::DenToTracker>(tracker_);
    ASSERT_TRUE(asked.message.has_attach());
    wire::TrackerToDen refused;
    refused.mutable_refused()->set_request(asked.message.attach().request());
    refused.mutable_refused()->set_retry_ms(20);
    refused.mutable_refused()->set_queue_full(true);
    refused.mutable_refused()->set_text("The server is busy");
    // Then the relay ends with `asked`, and the den may see that first.
    must_send(tracker_, refused);
  }
  attached();
  EXPECT_EQ(must_receive<wire::DenToWorker>(worker_).message.begin().state(), "state-1");
  exists_ = 6;
  refresh("* 6 EXISTS\r\n", "state-2");
  client.hears("* 6 EXISTS\r\n");
  std::string said = view();
  EXPECT_NE(said.find("refreshes_held_back=3 "), std::string::npos) << said;
  EXPECT_NE(said.find("workers_lost=0 "), std::string::npos) << said;
}

}  // namespace
}  // namespace dormouse::hibernate
