// Why a session that a worker would park stays awake: told to the worker, kept, shown, counted.

#include <gmock/gmock.h>

#include "hibernate/test_den_town.h"

namespace dormouse::hibernate {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using wire::Hindrance;

class DenHindrance : public DenTest {
 protected:
  Client idling() {
    Client client = open_session();
    client.say("a2 IDLE\r\n");
    worker_hears("a2 IDLE\r\n");
    worker_says("+ idling\r\n");
    client.hears("+ idling\r\n");
    return client;
  }
  void is_ready() { EXPECT_TRUE(must_receive<wire::DenToWorker>(worker_).message.has_ready()); }
  void refuses(Hindrance::Kind kind, const std::string& name) {
    auto refused = must_receive<wire::DenToWorker>(worker_).message;
    ASSERT_TRUE(refused.has_park_refused());
    EXPECT_EQ(refused.park_refused().hindrance(), kind);
    EXPECT_EQ(refused.park_refused().number(), offers_);
    EXPECT_NE(refused.park_refused().reason(), "");
    shows(name);
  }
  void shows(const std::string& name) {
    std::string text = view();
    EXPECT_THAT(text, HasSubstr(" hindered_" + name + "=1"));
    EXPECT_THAT(text, HasSubstr(" hindrance=" + name + " awake_because="));
  }
};

TEST_F(DenHindrance, a_mailbox_that_cannot_be_watched) {
  Client client = idling();
  offer();
  auto asked = must_receive<wire::DenToWatch>(watch_);
  wire::WatchToDen answer;
  answer.mutable_subscribed()->set_watch(asked.message.subscribe().watch());
  answer.mutable_subscribed()->set_watched(false);
  answer.mutable_subscribed()->set_reason("inotify has no room");
  must_send(watch_, answer);
  refuses(Hindrance::NOT_WATCHED, "not_watched");
  EXPECT_THAT(view(), HasSubstr("inotify has no room"));
  // It is forgotten when the session is busy again.
  worker_says("* 3 EXISTS\r\n");
  client.hears("* 3 EXISTS\r\n");
  EXPECT_THAT(view(), HasSubstr(" hindrance=none awake_because=\"awake\""));
  EXPECT_THAT(view(), HasSubstr(" hindered_not_watched=1"));
}

TEST_F(DenHindrance, directories_that_have_no_key) {
  Client client = idling();
  wire::WorkerToDen message;
  message.mutable_offer()->set_number(++offers_);
  message.mutable_offer()->add_directories()->set_path("/only/a/path");
  must_send(worker_, message);
  refuses(Hindrance::DIRECTORIES, "directories");
}

TEST_F(DenHindrance, a_record_over_its_bounds) {
  Client client = idling();
  offer();
  watch_subscribes();
  is_ready();
  wire::WorkerToDen message;
  message.mutable_park()->set_consumed_bytes(9);
  fill(message.mutable_park()->mutable_parked(), "state-1");
  message.mutable_park()->mutable_parked()->set_idle_tag(std::string(kTagBytesMax + 1, 't'));
  must_send(worker_, message);
  refuses(Hindrance::RECORD_LONG, "record_long");
}

TEST_F(DenHindrance, a_slab_without_room) {
  // Records of a page each, until the arena has none left.
  std::vector<Client> clients;
  std::string state(Slab::kRecordBytesMax / 2 + 1, 's');
  bool full = false;
  for (uint32_t i = 0; i < kSlots && !full; ++i) {
    clients.push_back(idling());
    offer();
    if (i == 0) watch_subscribes();
    is_ready();
    send_park(9, state);
    pollfd wait{worker_.fd(), POLLIN, 0};
    ASSERT_EQ(::poll(&wait, 1, kWaitMs), 1);
    auto answer = wire::try_receive<wire::DenToWorker>(worker_);
    if (!answer) continue;  // parked
    full = true;
    EXPECT_EQ(answer->message.park_refused().hindrance(), Hindrance::SLAB_FULL);
    shows("slab_full");
  }
  EXPECT_TRUE(full);
  // It stays awake and is served.
  worker_says("* 3 EXISTS\r\n");
  clients.back().hears("* 3 EXISTS\r\n");
}

TEST_F(DenHindrance, a_session_that_the_tracker_has_not_confirmed) {
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
  worker_ = io::Channel(std::move(asked.fds[0]));
  must_receive<wire::DenToWorker>(worker_);
  offer();
  refuses(Hindrance::UNCONFIRMED, "unconfirmed");
}

TEST_F(DenHindrance, what_the_worker_finds) {
  Client client = idling();
  wire::WorkerToDen message;
  message.mutable_withdraw()->set_hindrance(Hindrance::STATE_LONG);
  must_send(worker_, message);
  // The next message is handled after it.
  offer();
  watch_subscribes();
  is_ready();
  std::string text = view();
  EXPECT_THAT(text, HasSubstr(" hindered_state_long=1"));
  EXPECT_THAT(text, HasSubstr(" hindrance=state_long awake_because=\"offered\""));
}

TEST_F(DenHindrance, a_plain_withdrawal_is_none) {
  Client client = idling();
  offer();
  watch_subscribes();
  is_ready();
  wire::WorkerToDen message;
  message.mutable_withdraw();
  must_send(worker_, message);
  ASSERT_TRUE(must_receive<wire::DenToWatch>(watch_).message.has_unsubscribe());
  EXPECT_THAT(view(), HasSubstr(" hindrance=none "));
}

}  // namespace
}  // namespace dormouse::hibernate
