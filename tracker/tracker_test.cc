// The tracker among dens, workers and auth that the test plays.

#include "tracker/tracker.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>

#include "tracker/tracker_rig.h"

namespace dormouse::tracker {
namespace {

using testing::HasSubstr;
using wire::TrackerToAuth;
using wire::TrackerToDen;
using wire::TrackerToWorker;

io::Task<void> new_session(Rig* rig) {
  io::Channel auth = rig->connect(wire::AUTH, 0);
  io::Channel den = rig->connect(wire::DEN, 0);
  io::Channel relay;
  std::string cookie = co_await log_in(rig, &auth, &den, "alice", 'a', 7, &relay);
  EXPECT_EQ(cookie, Rig::cookie("alice", 7));
  co_await rig->settle();
  EXPECT_EQ(rig->starts.size(), 1u);
  EXPECT_TRUE(rig->starts.at(0).switch_identity());
  io::Channel worker = rig->connect(wire::WORKER, 1, rig->starts[0].request());
  auto serve = co_await rig->next<TrackerToWorker>(&worker);
  EXPECT_EQ(serve.serve().session(), 7u);
  EXPECT_EQ(serve.serve().identity().user(), "alice");
  EXPECT_EQ(serve.serve().identity().home(), "/home/alice");
  EXPECT_EQ(serve.serve().remote_address(), "192.0.2.1");
  // The descriptor that came is the other end of the den's relay channel.
  io::Channel served(std::move(rig->last_fd));
  EXPECT_TRUE(relay.try_send("begin"));
  auto begin = served.try_receive();
  EXPECT_TRUE(begin && begin->bytes == "begin");
  EXPECT_THAT((*rig)->view(), HasSubstr("users=1 users_awake=1 sessions=1"));
  rig->send_ended(worker, 7);
  co_await rig->settle();
  EXPECT_THAT((*rig)->view(), HasSubstr("users=1 users_awake=0 sessions=1"));
  rig->send_closed(den, "alice", 7);
  co_await rig->settle();
  EXPECT_THAT((*rig)->view(), HasSubstr("users=0 users_awake=0 sessions=0"));
}
TEST(Tracker, a_granted_session_goes_to_a_worker_that_is_started_for_it) {
  run_with_rig(new_session);
}

io::Task<void> grant_twice(Rig* rig) {
  io::Channel auth = rig->connect(wire::AUTH, 0);
  io::Channel den = rig->connect(wire::DEN, 0);
  io::Channel relay;
  co_await log_in(rig, &auth, &den, "alice", 'a', 7, &relay);
  io::Channel again = rig->open(den, 'a', 8);
  auto refused = co_await rig->next<TrackerToDen>(&den);
  EXPECT_EQ(refused.refused().request(), 8u);
  EXPECT_TRUE(refused.refused().permanent());
  EXPECT_TRUE(co_await rig->closed(&again));
}
TEST(Tracker, a_grant_opens_one_session) { run_with_rig(grant_twice); }

io::Task<void> wrong_cookie(Rig* rig) {
  io::Channel den = rig->connect(wire::DEN, 0);
  io::Channel worker = rig->connect(wire::WORKER, 1);
  io::Channel relay = rig->attach(den, "alice", 7, Rig::cookie("alice", 8));
  auto refused = co_await rig->next<TrackerToDen>(&den);
  EXPECT_TRUE(refused.refused().permanent());
  EXPECT_EQ(refused.refused().response_code(), "AUTHORIZATIONFAILED");
  EXPECT_TRUE(co_await rig->closed(&relay));
  EXPECT_THAT((*rig)->view(), HasSubstr("refused reason=bad-cookie times=1"));
  EXPECT_THAT((*rig)->view(), HasSubstr("users=0"));
}
TEST(Tracker, a_wake_without_the_right_cookie_fails) { run_with_rig(wrong_cookie); }

io::Task<void> limits(Rig* rig) {
  io::Channel auth = rig->connect(wire::AUTH, 0);
  io::Channel den = rig->connect(wire::DEN, 0);
  io::Channel other_den = rig->connect(wire::DEN, 1);
  std::vector<io::Channel> relays(8);
  for (char i = 0; i < 3; ++i) {
    co_await log_in(rig, &auth, i == 0 ? &den : &other_den, "alice", char('a' + i), 10 + i,
                    &relays[i]);
  }
  EXPECT_TRUE(wire::try_send(auth, rig->grant('x', "alice")));
  co_await rig->next<TrackerToAuth>(&auth);
  relays[3] = rig->open(den, 'x', 20);
  auto refused = co_await rig->next<TrackerToDen>(&den);
  EXPECT_EQ(refused.refused().response_code(), "LIMIT");
  EXPECT_TRUE(refused.refused().permanent());
  // A session of hers ends, in the other den: there is room for one.
  rig->send_closed(other_den, "alice", 11);
  co_await rig->settle();
  co_await log_in(rig, &auth, &den, "alice", 'y', 21, &relays[4]);
  // Three of alice's and two of others: the address has its five.
  co_await log_in(rig, &auth, &den, "bob", 'b', 30, &relays[5]);
  co_await log_in(rig, &auth, &den, "carol", 'c', 31, &relays[6]);
  EXPECT_TRUE(wire::try_send(auth, rig->grant('z', "dave")));
  co_await rig->next<TrackerToAuth>(&auth);
  relays[7] = rig->open(den, 'z', 32);
  refused = co_await rig->next<TrackerToDen>(&den);
  EXPECT_EQ(refused.refused().response_code(), "LIMIT");
  EXPECT_THAT((*rig)->view(), HasSubstr("refused reason=user-limit times=1"));
  EXPECT_THAT((*rig)->view(), HasSubstr("refused reason=address-limit times=1"));
}
TEST(Tracker, sessions_are_limited_by_user_and_by_address_over_all_dens) { run_with_rig(limits); }

io::Task<void> kicked(Rig* rig) {
  io::Channel auth = rig->connect(wire::AUTH, 0);
  io::Channel den = rig->connect(wire::DEN, 0);
  io::Channel other_den = rig->connect(wire::DEN, 1);
  io::Channel relay;
  std::string cookie = co_await log_in(rig, &auth, &den, "alice", 'a', 7, &relay);
  wire::AuthToTracker revoke;
  revoke.mutable_revoke()->set_user("alice");
  revoke.mutable_revoke()->set_text("Password changed");
  EXPECT_TRUE(wire::try_send(auth, revoke));
  for (io::Channel* each : {&den, &other_den}) {
    auto kick = co_await rig->next<TrackerToDen>(each);
    EXPECT_EQ(kick.kick().user(), "alice");
    EXPECT_EQ(kick.kick().text(), "Password changed");
  }
  for (int life = 0; life < 2; ++life) {
    relay = rig->attach(den, "alice", 7, cookie);
    auto refused = co_await rig->next<TrackerToDen>(&den);
    EXPECT_EQ(refused.refused().response_code(), "AUTHORIZATIONFAILED") << "life " << life;
    if (life == 0) co_await rig->restart();
    if (life == 0) den = rig->connect(wire::DEN, 0);
  }
}
TEST(Tracker, a_kick_makes_old_cookies_worthless_even_for_the_next_tracker) {
  run_with_rig(kicked);
}

io::Task<void> queue_full(Rig* rig) {
  io::Channel auth = rig->connect(wire::AUTH, 0);
  io::Channel den = rig->connect(wire::DEN, 0);
  std::vector<io::Channel> relays(2);
  // No worker comes: they wait.
  co_await log_in(rig, &auth, &den, "alice", 'a', 1, &relays[0]);
  relays[1] = rig->attach(den, "alice", 2, Rig::cookie("alice", 2), 0, wire::DenToTracker::REFRESH);
  co_await rig->settle();
  EXPECT_THAT((*rig)->view(), HasSubstr("queue waiting=2 of=2 input=0 open=1 refresh=1"));
  io::Channel sweep =
      rig->attach(den, "alice", 3, Rig::cookie("alice", 3), 0, wire::DenToTracker::SWEEP);
  auto refused = co_await rig->next<TrackerToDen>(&den);
  EXPECT_EQ(refused.refused().request(), 3u);
  EXPECT_FALSE(refused.refused().permanent());
  EXPECT_GE(refused.refused().retry_ms(), Tracker::kRetryMs);
  // The client's own input takes the refresh's place.
  io::Channel input = rig->attach(den, "alice", 4, Rig::cookie("alice", 4));
  refused = co_await rig->next<TrackerToDen>(&den);
  EXPECT_EQ(refused.refused().request(), 2u);
  io::Channel worker = rig->connect(wire::WORKER, 1, rig->starts.at(0).request());
  auto first = co_await rig->next<TrackerToWorker>(&worker);
  auto second = co_await rig->next<TrackerToWorker>(&worker);
  EXPECT_EQ(first.serve().session(), 4u);
  EXPECT_EQ(second.serve().session(), 1u);
}
TEST(Tracker, a_full_queue_refuses_with_a_time_to_come_back_and_input_goes_first) {
  run_with_rig(queue_full, rig_settings(), 2);
}

io::Task<void> client_left(Rig* rig) {
  io::Channel auth = rig->connect(wire::AUTH, 0);
  io::Channel den = rig->connect(wire::DEN, 0);
  io::Channel gone, closed, stays;
  co_await log_in(rig, &auth, &den, "alice", 'a', 1, &gone);
  co_await log_in(rig, &auth, &den, "alice", 'b', 2, &closed);
  co_await log_in(rig, &auth, &den, "alice", 'c', 3, &stays);
  gone.close();
  rig->send_closed(den, "alice", 2);
  co_await rig->settle();
  EXPECT_THAT((*rig)->view(), HasSubstr("queue waiting=2 "));
  io::Channel worker = rig->connect(wire::WORKER, 1, rig->starts.at(0).request());
  auto serve = co_await rig->next<TrackerToWorker>(&worker);
  EXPECT_EQ(serve.serve().session(), 3u);
  EXPECT_THAT((*rig)->view(), HasSubstr("queue waiting=0 "));
}
TEST(Tracker, a_session_whose_client_has_left_while_it_waited_wakes_nobody) {
  run_with_rig(client_left);
}

io::Task<void> reloaded(Rig* rig) {
  io::Channel auth = rig->connect(wire::AUTH, 0);
  io::Channel den = rig->connect(wire::DEN, 0);
  auto settings = rig_settings();
  settings.set_policy("per-user");
  settings.set_sessions_per_user(1);
  (*rig)->reload(settings);
  io::Channel relay;
  co_await log_in(rig, &auth, &den, "alice", 'a', 1, &relay);
  co_await rig->settle();
  EXPECT_EQ(rig->starts.at(0).user(), "alice");
  EXPECT_EQ(rig->starts.at(0).uid(), 1000u);
  EXPECT_FALSE(rig->starts.at(0).switch_identity());
  EXPECT_THAT((*rig)->view(), HasSubstr("policy=per-user"));
}
TEST(Tracker, new_settings_hold_for_the_next_session) { run_with_rig(reloaded); }

TEST(Tracker, says_what_is_wrong_with_what_it_is_given) {
  auto loop = io::Loop::create();
  ASSERT_TRUE(loop);
  auto options = [] {
    TrackerOptions made;
    made.settings = rig_settings();
    made.secret = std::string(CookieKey::kKeyBytes, 's');
    made.epochs = io::Fd(memfd_create("epochs", MFD_CLOEXEC));
    return made;
  };
  auto create = [&](TrackerOptions made) {
    return Tracker::create(**loop, (*loop)->root(), std::move(made));
  };
  EXPECT_TRUE(create(options()));
  auto no_secret = options();
  no_secret.secret.clear();
  EXPECT_FALSE(create(std::move(no_secret)));
  auto no_epochs = options();
  no_epochs.epochs.reset();
  EXPECT_FALSE(create(std::move(no_epochs)));
  auto no_policy = options();
  no_policy.settings.set_policy("best");
  EXPECT_FALSE(create(std::move(no_policy)));
}

io::Task<void> workers_are_probed(Rig* rig) {
  io::Channel auth = rig->connect(wire::AUTH, 0);
  io::Channel den = rig->connect(wire::DEN, 0);
  std::vector<io::Channel> relays(WakeProbe::kOpensLeast + 1);
  for (uint32_t i = 0; i < WakeProbe::kOpensLeast; ++i) {
    co_await log_in(rig, &auth, &den, fmt::format("user{}", i), char('a' + i), 100 + i, &relays[i]);
  }
  co_await rig->settle();
  io::Channel worker = rig->connect(wire::WORKER, 1, rig->starts.at(0).request());
  for (uint32_t i = 0; i < WakeProbe::kOpensLeast; ++i) {
    auto serve = co_await rig->next<TrackerToWorker>(&worker);
    EXPECT_TRUE(serve.has_serve()) << "new sessions alone are in nobody's way";
  }
  relays.back() = rig->attach(den, "user0", 7, Rig::cookie("user0", 7));
  TrackerToWorker message;
  for (int i = 0; i < 2 && !message.has_probe(); ++i)
    message = co_await rig->next<TrackerToWorker>(&worker);
  co_await rig->settle();
  wire::WorkerToTracker answer;
  answer.mutable_probed()->set_number(message.probe().number());
  EXPECT_TRUE(wire::try_send(worker, answer));
  message = co_await rig->next<TrackerToWorker>(&worker);
  EXPECT_TRUE(message.has_probe()) << "the next one, once the last is back";
  auto probed = [&] {
    return std::ranges::find_if(rig->strains, [](const auto& s) { return s.probed(); });
  };
  for (int i = 0; i < 100 && probed() == rig->strains.end(); ++i) co_await rig->settle();
  EXPECT_NE(probed(), rig->strains.end());
  if (probed() == rig->strains.end()) co_return;
  EXPECT_GT(probed()->late_ms(), 0u);
  uint32_t opened = 0;
  for (const auto& strain : rig->strains) opened += strain.opened();
  EXPECT_EQ(opened, WakeProbe::kOpensLeast);
}
TEST(Tracker, workers_are_probed_while_sleepers_wake_and_others_log_in) {
  run_with_rig(workers_are_probed);
}

}  // namespace
}  // namespace dormouse::tracker
