// Many sleepers' mailboxes change at once: refreshes wait for their turn, clients do not wait for
// them, and nothing is lost where the queue is full.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <set>

#include "tracker/tracker_rig.h"

namespace dormouse::tracker {
namespace {

using testing::HasSubstr;
using wire::DenToTracker;
using wire::TrackerToDen;
using wire::TrackerToWorker;

constexpr uint32_t kWindow = PlacementSettings().refreshes_per_worker;

wire::Settings::Tracker one_worker() {
  wire::Settings::Tracker settings = rig_settings();
  settings.set_max_workers(1);
  settings.set_sessions_per_worker(100);
  return settings;
}

std::string user_name(uint64_t session) { return fmt::format("user{}", session); }

// auth as far as it is asked: who every user is.
io::Task<void> answer_lookups(Rig* rig, io::Channel* auth, size_t times) {
  for (size_t i = 0; i < times; ++i) {
    auto asked = co_await rig->next<wire::TrackerToAuth>(auth);
    wire::AuthToTracker answer;
    auto* found = answer.mutable_looked_up();
    found->set_request(asked.lookup().request());
    found->set_found(true);
    *found->mutable_identity() = Rig::identity(asked.lookup().user());
    EXPECT_TRUE(wire::try_send(*auth, answer));
  }
}

struct Stage {
  explicit Stage(Rig* r)
      : rig(r),
        auth(r->connect(wire::AUTH, 0)),
        den(r->connect(wire::DEN, 0)),
        worker(r->connect(wire::WORKER, 1)) {}
  // The session's relay stays open until the stage ends.
  void attach(uint64_t session, DenToTracker::Purpose purpose) {
    std::string user = user_name(session);
    relays[session] = rig->attach(den, user, session, Rig::cookie(user, session), 0, purpose);
  }
  io::Task<uint64_t> served() {
    auto serve = co_await rig->next<TrackerToWorker>(&worker);
    co_return serve.serve().session();
  }
  Rig* rig;
  io::Channel auth, den, worker;
  std::map<uint64_t, io::Channel> relays;
};

io::Task<void> window(Rig* rig) {
  Stage stage(rig);
  for (uint64_t i = 0; i < kWindow + 4; ++i) stage.attach(100 + i, DenToTracker::REFRESH);
  co_await answer_lookups(rig, &stage.auth, kWindow);
  std::set<uint64_t> running;
  for (uint64_t i = 0; i < kWindow; ++i) running.insert(co_await stage.served());
  EXPECT_EQ(running.size(), kWindow);
  co_await rig->settle();
  EXPECT_THAT((*rig)->view(), HasSubstr(fmt::format("refreshing={}", kWindow)));
  // A client's input goes at once, past those that wait.
  stage.attach(1, DenToTracker::INPUT);
  co_await answer_lookups(rig, &stage.auth, 5);
  EXPECT_EQ(co_await stage.served(), 1u);
  EXPECT_THAT((*rig)->view(), HasSubstr("refresh=4"));
  // One ends, one goes.
  rig->send_ended(stage.worker, *running.begin());
  uint64_t next = co_await stage.served();
  EXPECT_GE(next, 100u);
  EXPECT_FALSE(running.contains(next));
  co_await rig->settle();
  EXPECT_THAT((*rig)->view(), HasSubstr("refresh=3"));
  // The end of a client's session makes no place for a refresh.
  rig->send_ended(stage.worker, 1);
  co_await rig->settle();
  EXPECT_THAT((*rig)->view(), HasSubstr("refresh=3"));
}
TEST(TrackerStorm, so_many_refreshes_are_at_a_worker_and_input_does_not_wait_for_the_others) {
  run_with_rig(window, one_worker());
}

io::Task<void> no_more_workers(Rig* rig) {
  Stage stage(rig);
  for (uint64_t i = 0; i < 60; ++i) stage.attach(100 + i, DenToTracker::REFRESH);
  co_await answer_lookups(rig, &stage.auth, kWindow);
  co_await rig->settle();
  // As many as there are CPUs; max_workers is far beyond.
  size_t cpus = std::max(std::thread::hardware_concurrency(), 1u);
  EXPECT_LE(rig->starts.size(), cpus - 1);
}
TEST(TrackerStorm, refreshes_that_wait_start_no_more_workers_than_there_are_cpus) {
  wire::Settings::Tracker settings = rig_settings();
  settings.set_max_workers(1000);
  run_with_rig(no_more_workers, settings);
}

// A den as it is: refused for a full queue, it asks again later.
io::Task<void> overflow(Rig* rig) {
  Stage stage(rig);
  constexpr uint64_t kSessions = 300;
  std::set<uint64_t> to_ask;
  for (uint64_t i = 0; i < kSessions; ++i) to_ask.insert(100 + i);
  std::set<uint64_t> served;
  std::deque<uint64_t> running;
  uint64_t refused = 0;
  for (int round = 0; round < 2000 && served.size() < kSessions; ++round) {
    for (int i = 0; i < 40 && !to_ask.empty(); ++i) {
      stage.attach(*to_ask.begin(), DenToTracker::REFRESH);
      to_ask.erase(to_ask.begin());
    }
    auto turn = co_await rig->settle_turns(2);
    if (!turn) co_return;
    while (auto asked = wire::try_receive<wire::TrackerToAuth>(stage.auth)) {
      wire::AuthToTracker answer;
      auto* found = answer.mutable_looked_up();
      found->set_request(asked->message.lookup().request());
      found->set_found(true);
      *found->mutable_identity() = Rig::identity(asked->message.lookup().user());
      EXPECT_TRUE(wire::try_send(stage.auth, answer));
    }
    while (auto said = wire::try_receive<TrackerToDen>(stage.den)) {
      if (!said->message.has_refused()) continue;
      EXPECT_TRUE(said->message.refused().queue_full());
      EXPECT_FALSE(said->message.refused().permanent());
      to_ask.insert(said->message.refused().request());
      ++refused;
    }
    while (auto said = wire::try_receive<TrackerToWorker>(stage.worker)) {
      uint64_t session = said->message.serve().session();
      EXPECT_TRUE(served.insert(session).second) << "served twice";
      running.push_back(session);
    }
    EXPECT_LE(running.size(), kWindow);
    while (!running.empty()) {
      rig->send_ended(stage.worker, running.front());
      running.pop_front();
    }
  }
  EXPECT_EQ(served.size(), kSessions);
  EXPECT_GT(refused, 0u) << "the bound was never hit";
}
TEST(TrackerStorm, what_a_full_queue_refuses_is_served_when_it_is_asked_for_again) {
  run_with_rig(overflow, one_worker(), 20);
}

io::Task<void> strain(Rig* rig) {
  io::Channel auth = rig->connect(wire::AUTH, 0);
  io::Channel den = rig->connect(wire::DEN, 0);
  co_await rig->settle();
  EXPECT_TRUE(rig->strains.empty()) << "nobody waits, nobody is awake";
  io::Channel relay = rig->attach(den, "alice", 7, Rig::cookie("alice", 7));
  co_await answer_lookups(rig, &auth, 1);
  for (int i = 0; i < 100 && (rig->strains.empty() || rig->strains.back().queue_ms() == 0); ++i) {
    co_await rig->settle();
  }
  EXPECT_FALSE(rig->strains.empty());
  if (rig->strains.empty()) co_return;
  EXPECT_GT(rig->strains.back().queue_ms(), 0u) << "there is no worker yet";
  io::Channel worker = rig->connect(wire::WORKER, 1, rig->starts.at(0).request());
  for (int i = 0; i < 100 && rig->strains.back().places_permille() == 0; ++i) {
    co_await rig->settle();
  }
  EXPECT_EQ(rig->strains.back().places_permille(), 27u) << "one of 4 x 9";
  rig->send_ended(worker, 7);
  for (int i = 0; i < 100 && rig->strains.back().places_permille() != 0; ++i) {
    co_await rig->settle();
  }
  EXPECT_EQ(rig->strains.back().places_permille(), 0u) << "the last word is that all is quiet";
  EXPECT_EQ(rig->strains.back().queue_ms(), 0u);
}
TEST(TrackerStorm, the_master_hears_how_long_clients_wait_and_what_places_are_taken) {
  run_with_rig(strain);
}

}  // namespace
}  // namespace dormouse::tracker
