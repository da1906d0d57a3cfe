// What sleepers say and are told while many come in.

#include <functional>
#include <vector>

#include "hibernate/test_den_town.h"

namespace dormouse::hibernate {
namespace {

class DenOrderTest : public DenTest {
 protected:
  static constexpr size_t kComing = 100;

  // Connections come from login, and then `cause` makes the den ask for a worker for one that has
  // been there. All of it lies there when the den looks. How many of those that come in were served
  // before it.
  size_t served_before(const std::function<void()>& cause) {
    stop_den();
    for (size_t i = 0; i < kComing; ++i) coming_.push_back(come());
    cause();
    let_den_on();
    size_t served = 0;
    while (!HasFailure()) {
      auto said = must_receive<wire::DenToTracker>(tracker_);
      if (said.message.has_attach()) return served;
      EXPECT_TRUE(said.message.has_open());
      relays_.emplace_back(std::move(said.fds[0]));
      ++served;
    }
    return served;
  }

  std::vector<Client> coming_;
  std::vector<io::Fd> relays_;  // else their sessions are refused, which is work as well
};

TEST_F(DenOrderTest, a_sleepers_command_goes_before_the_many_who_come_in) {
  Client client = open_session();
  park(client, "state-1");
  EXPECT_LT(served_before([&] { client.say("DONE\r\na3 UNSELECT\r\n"); }), kComing / 2);
  client.hears("a2 OK Idle completed.\r\n");
}

TEST_F(DenOrderTest, what_changed_goes_before_the_many_who_come_in) {
  Client client = open_session();
  park(client, "state-1");
  EXPECT_LT(served_before([&] { change(); }), kComing / 2);
}

}  // namespace
}  // namespace dormouse::hibernate
