// What becomes of those who are there when dens, workers, auth or the tracker die, come back, or
// misbehave.

#include "tracker/tracker.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "tracker/tracker_rig.h"

namespace dormouse::tracker {
namespace {

using testing::HasSubstr;
using wire::TrackerToAuth;
using wire::TrackerToDen;
using wire::TrackerToWorker;

// The peers of a restarted tracker, in every order.
io::Task<void> any_order(Rig* rig) {
  std::array<wire::Role, 3> order = {wire::AUTH, wire::DEN, wire::WORKER};
  std::ranges::sort(order);
  do {
    co_await rig->restart();
    io::Channel auth, den, worker, relay;
    for (wire::Role role : order) {
      if (role == wire::AUTH) auth = rig->connect(wire::AUTH, 0);
      if (role == wire::WORKER) worker = rig->connect(wire::WORKER, 3);
      if (role == wire::DEN) {
        den = rig->connect(wire::DEN, 0);
        rig->send_census(den, "alice", 2);
        relay = rig->attach(den, "alice", 7, Rig::cookie("alice", 7));
      }
      co_await rig->settle();
    }
    auto lookup = co_await rig->next<TrackerToAuth>(&auth);
    EXPECT_EQ(lookup.lookup().user(), "alice");
    wire::AuthToTracker answer;
    answer.mutable_looked_up()->set_request(lookup.lookup().request());
    answer.mutable_looked_up()->set_found(true);
    *answer.mutable_looked_up()->mutable_identity() = Rig::identity("alice");
    EXPECT_TRUE(wire::try_send(auth, answer));
    auto serve = co_await rig->next<TrackerToWorker>(&worker);
    EXPECT_EQ(serve.serve().identity().uid(), 1000u);
    auto opened = co_await rig->next<TrackerToDen>(&den);
    EXPECT_EQ(opened.opened().request(), 7u);
    EXPECT_THAT((*rig)->view(), HasSubstr("users=1 users_awake=1 sessions=2"));
  } while (std::ranges::next_permutation(order).found);
}
TEST(TrackerLinks, after_a_restart_sleepers_wake_whichever_link_comes_first) {
  run_with_rig(any_order);
}

io::Task<void> auth_lost(Rig* rig) {
  io::Channel first = rig->connect(wire::AUTH, 0);
  io::Channel den = rig->connect(wire::DEN, 0);
  io::Channel relay = rig->attach(den, "alice", 7, Rig::cookie("alice", 7));
  co_await rig->next<TrackerToAuth>(&first);
  first.close();
  co_await rig->settle();
  io::Channel second = rig->connect(wire::AUTH, 0);
  auto lookup = co_await rig->next<TrackerToAuth>(&second);
  wire::AuthToTracker answer;
  answer.mutable_looked_up()->set_request(lookup.lookup().request());
  answer.mutable_looked_up()->set_temporary_failure(true);
  EXPECT_TRUE(wire::try_send(second, answer));
  auto refused = co_await rig->next<TrackerToDen>(&den);
  EXPECT_FALSE(refused.refused().permanent());
  EXPECT_GE(refused.refused().retry_ms(), Tracker::kRetryMs);
  io::Channel again = rig->attach(den, "alice", 7, Rig::cookie("alice", 7));
  lookup = co_await rig->next<TrackerToAuth>(&second);
  answer.mutable_looked_up()->set_request(lookup.lookup().request());
  answer.mutable_looked_up()->set_temporary_failure(false);
  EXPECT_TRUE(wire::try_send(second, answer));
  refused = co_await rig->next<TrackerToDen>(&den);
  EXPECT_TRUE(refused.refused().permanent());
  EXPECT_THAT((*rig)->view(), HasSubstr("users=0"));
}
TEST(TrackerLinks, a_lookup_is_asked_again_when_auth_dies_and_its_failure_is_told_to_the_den) {
  run_with_rig(auth_lost);
}

io::Task<void> malformed(Rig* rig) {
  io::Channel good = rig->connect(wire::DEN, 0);
  io::Channel garbage = rig->connect(wire::DEN, 1);
  io::Channel no_fd = rig->connect(wire::DEN, 2);
  io::Channel bad_auth = rig->connect(wire::AUTH, 0);
  io::Channel bad_worker = rig->connect(wire::WORKER, 0);
  EXPECT_TRUE(garbage.try_send("\xff\xff\xff"));
  wire::DenToTracker open;
  open.mutable_open()->set_grant(std::string(wire::kGrantBytes, 'a'));
  EXPECT_TRUE(wire::try_send(no_fd, open));
  EXPECT_TRUE(bad_auth.try_send("rubbish"));
  EXPECT_TRUE(bad_worker.try_send(std::string(40'000, 'w')));
  for (io::Channel* bad : {&garbage, &no_fd, &bad_auth, &bad_worker}) {
    EXPECT_TRUE(co_await rig->closed(bad));
  }
  io::Channel relay = rig->open(good, 'x', 1);
  auto refused = co_await rig->next<TrackerToDen>(&good);
  EXPECT_TRUE(refused.has_refused());
}
TEST(TrackerLinks, a_malformed_message_ends_its_own_link_only) { run_with_rig(malformed); }

io::Task<void> worker_dies(Rig* rig) {
  io::Channel auth = rig->connect(wire::AUTH, 0);
  io::Channel den = rig->connect(wire::DEN, 0);
  io::Channel worker = rig->connect(wire::WORKER, 1);
  io::Channel relay;
  std::string cookie = co_await log_in(rig, &auth, &den, "alice", 'a', 7, &relay);
  co_await rig->next<TrackerToWorker>(&worker);
  rig->last_fd.reset();
  worker.close();
  EXPECT_TRUE(co_await rig->closed(&relay));
  co_await rig->settle();
  EXPECT_THAT((*rig)->view(), HasSubstr("workers=0"));
  EXPECT_THAT((*rig)->view(), HasSubstr("users_awake=0"));
  io::Channel next_worker = rig->connect(wire::WORKER, 2);
  relay = rig->attach(den, "alice", 7, cookie, 1);
  auto serve = co_await rig->next<TrackerToWorker>(&next_worker);
  EXPECT_EQ(serve.serve().session(), 7u);
  auto opened = co_await rig->next<TrackerToDen>(&den);
  EXPECT_TRUE(opened.has_opened());
  // The worker lives but the session's channel has ended there: another one is tried.
  rig->last_fd.reset();
  io::Channel third_worker = rig->connect(wire::WORKER, 3);
  relay = rig->attach(den, "alice", 7, cookie, 2);
  serve = co_await rig->next<TrackerToWorker>(&third_worker);
  EXPECT_EQ(serve.serve().session(), 7u);
  co_await rig->next<TrackerToDen>(&den);
  relay = rig->attach(den, "alice", 7, cookie, Tracker::kAttemptsMax + 1);
  auto refused = co_await rig->next<TrackerToDen>(&den);
  EXPECT_TRUE(refused.refused().permanent());
}
TEST(TrackerLinks, sessions_of_a_dead_worker_are_retried_on_another_and_not_for_ever) {
  run_with_rig(worker_dies);
}

io::Task<void> not_reading(Rig* rig) {
  io::Channel deaf = rig->connect(wire::DEN, 0);
  io::Channel den = rig->connect(wire::DEN, 1);
  size_t sent = 0;
  for (int i = 0; i < 200; ++i) {
    while (sent < 100'000) {
      wire::DenToTracker message;
      message.mutable_attach()->set_user("mallory");
      message.mutable_attach()->set_cookie(std::string(wire::kCookieBytes, 'c'));
      auto relay = io::Channel::pair();
      int fd = relay->second.fd();
      if (!wire::try_send(deaf, message, std::span(&fd, 1))) break;
      ++sent;
    }
    co_await rig->settle();
    if (i == 100) {
      io::Channel relay = rig->open(den, 'x', 1);
      auto refused = co_await rig->next<TrackerToDen>(&den);
      EXPECT_TRUE(refused.has_refused());
    }
    if (i > 100) break;
  }
  // Its answers are held up to a bound, then its requests stay in its socket.
  EXPECT_LT(sent, 100'000u);
  EXPECT_GT(sent, Peer::kOutboxMessages / 2);
}
TEST(TrackerLinks, a_den_that_does_not_read_is_held_back_and_holds_up_nobody) {
  run_with_rig(not_reading);
}

io::Task<void> den_restarts(Rig* rig) {
  io::Channel auth = rig->connect(wire::AUTH, 0);
  io::Channel den = rig->connect(wire::DEN, 0);
  rig->send_census(den, "alice", 3);
  co_await rig->settle();
  EXPECT_TRUE(wire::try_send(auth, rig->grant('a', "alice")));
  co_await rig->next<TrackerToAuth>(&auth);
  io::Channel relay = rig->open(den, 'a', 1);
  EXPECT_TRUE((co_await rig->next<TrackerToDen>(&den)).has_refused()) << "three is the limit";
  den.close();
  co_await rig->settle();
  // Its sessions live on, and count, until the next den says otherwise.
  EXPECT_THAT((*rig)->view(), HasSubstr("users=1 "));
  den = rig->connect(wire::DEN, 0);
  rig->send_census(den, "alice", 2);
  io::Channel opened;
  co_await log_in(rig, &auth, &den, "alice", 'b', 2, &opened);
  EXPECT_THAT((*rig)->view(), HasSubstr("sessions=3 addresses=1"));
  // A second census replaces the first.
  rig->send_census(den, "", 0);
  co_await rig->settle();
  EXPECT_THAT((*rig)->view(), HasSubstr("den index=0 sessions=0 census=complete"));
  for (char i = 0; i < 3; ++i) {
    co_await log_in(rig, &auth, &den, "alice", char('f' + i), 10 + i, &opened);
  }
}
TEST(TrackerLinks, a_census_replaces_what_was_known_of_its_den) { run_with_rig(den_restarts); }

io::Task<void> adopted(Rig* rig) {
  io::Channel auth = rig->connect(wire::AUTH, 0);
  io::Channel den = rig->connect(wire::DEN, 0);
  io::Channel worker = rig->connect(wire::WORKER, 9);
  wire::WorkerToTracker load;
  load.mutable_load()->set_sessions(10);
  load.mutable_load()->set_memory_bytes(12345);
  EXPECT_TRUE(wire::try_send(worker, load));
  co_await rig->settle();
  EXPECT_THAT((*rig)->view(), HasSubstr("sessions=10 memory_bytes=12345 state=serving"));
  io::Channel relay;
  co_await log_in(rig, &auth, &den, "alice", 'a', 1, &relay);
  co_await rig->settle();
  EXPECT_EQ(rig->starts.size(), 1u) << "the old worker is full of sessions of before";
  rig->send_ended(worker, 4711);
  co_await rig->settle();
  EXPECT_EQ(rig->starts.size(), 1u);
  rig->send_ended(worker, 4712);  // the tenth place is a woken sleeper's
  auto serve = co_await rig->next<TrackerToWorker>(&worker);
  EXPECT_EQ(serve.serve().session(), 1u);
}
TEST(TrackerLinks, a_worker_of_before_the_restart_is_used_with_the_room_it_has) {
  run_with_rig(adopted);
}

}  // namespace
}  // namespace dormouse::tracker
