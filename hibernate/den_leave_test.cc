// Sleepers whose client closes its end, alone or with many others.

#include <optional>
#include <vector>

#include "hibernate/test_den_town.h"

namespace dormouse::hibernate {
namespace {

TEST_F(DenTest, a_client_that_leaves_is_told_to_the_tracker) {
  {
    Client client = open_session();
    park(client, "state-1");
  }
  auto said = must_receive<wire::DenToTracker>(tracker_);
  EXPECT_EQ(said.message.closed().user(), "alice");
  EXPECT_EQ(said.message.closed().session(), session_);
}

TEST_F(DenTest, those_who_stay_are_heard_before_the_many_who_leave) {
  constexpr size_t kLeaving = 100;
  std::vector<Client> leaving;
  Client stays = open_session();
  park(stays, "state-1");
  for (size_t i = 0; i < kLeaving; ++i) {
    leaving.push_back(open_session());
    park(leaving.back(), "state-1", true);
  }
  // A network fails, and then somebody asks for what the den cannot answer. All of it lies there
  // when the den looks.
  stop_den();
  leaving.clear();
  stays.say("DONE\r\na3 UNSELECT\r\n");
  let_den_on();
  size_t ended = 0;
  std::optional<size_t> ended_before;
  while (ended < kLeaving || !ended_before) {
    auto said = must_receive<wire::DenToTracker>(tracker_);
    ASSERT_NE(said.message.kind_case(), wire::DenToTracker::KIND_NOT_SET);
    if (said.message.has_attach()) {
      ended_before = ended;
      worker_ = io::Channel(std::move(said.fds[0]));
    }
    ended += said.message.has_closed() ? 1 : 0;
  }
  EXPECT_LT(*ended_before, kLeaving / 2);
  stays.hears("a2 OK Idle completed.\r\n");
  EXPECT_NE(view().find("leaving_now=0"), std::string::npos);
}

TEST_F(DenTest, last_words_of_one_who_leaves_are_obeyed) {
  Client client = open_session();
  park(client, "state-1");
  stop_den();
  client.say("DONE\r\na3 STORE 1 +FLAGS (\\Deleted)\r\n");
  client.says_no_more();
  let_den_on();
  EXPECT_EQ(attached().user(), "alice");
  EXPECT_EQ(must_receive<wire::DenToWorker>(worker_).message.begin().purpose(),
            wire::DenToWorker::INPUT);
  worker_hears("a3 STORE 1 +FLAGS (\\Deleted)\r\n");
  client.hears("a2 OK Idle completed.\r\n");
}

}  // namespace
}  // namespace dormouse::hibernate
