#include "tracker/placement.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

namespace dormouse::tracker {
namespace {

using Kind = Placed::Kind;

PlacementSettings settings(Policy policy, uint32_t workers_max, uint32_t sessions_per_worker) {
  return {.policy = policy,
          .workers_max = workers_max,
          .workers_min = 0,
          .sessions_per_worker = sessions_per_worker,
          .worker_idle_ms = 1000};
}

Wish wish_of(std::string_view user, uint32_t uid) { return {.user = user, .uid = uid, .gid = uid}; }

// Places, starting the worker that is asked for.
WorkerId place(Placement& placement, const Wish& wish) {
  static WorkerId next = 100;
  Placed placed = placement.place(wish, 0);
  if (placed.kind == Kind::kStarting && placed.start) {
    placement.worker_up(next++, placed.start->uid, placed.start->user, placed.start->request, 0);
    placed = placement.place(wish, 0);
  }
  return placed.worker;
}

TEST(Placement, shared_asks_for_a_worker_of_any_identity_and_fills_it) {
  Placement placement(settings(Policy::kShared, 2, 2));
  Placed first = placement.place(wish_of("alice", 1), 0);
  ASSERT_EQ(first.kind, Kind::kStarting);
  ASSERT_TRUE(first.start);
  EXPECT_TRUE(first.start->switch_identity);
  EXPECT_EQ(first.start->uid, 0u);
  EXPECT_EQ(first.start->user, "");
  // The second waits for the same worker, the third needs another one.
  Placed second = placement.place(wish_of("bob", 2), 0);
  EXPECT_EQ(second.kind, Kind::kStarting);
  EXPECT_FALSE(second.start);
  Placed third = placement.place(wish_of("carol", 3), 0);
  EXPECT_EQ(third.kind, Kind::kStarting);
  EXPECT_TRUE(third.start);
  EXPECT_TRUE(placement.worker_up(7, 0, "", first.start->request, 0));
  EXPECT_EQ(placement.place(wish_of("alice", 1), 0).worker, 7u);
  EXPECT_EQ(placement.place(wish_of("bob", 2), 0).worker, 7u);
}

TEST(Placement, a_worker_has_so_many_refreshes_and_input_goes_there_all_the_same) {
  Placement placement(settings(Policy::kShared, 1, 100));
  placement.worker_up(1, 0, "", 0, 0);
  Wish refresh = wish_of("alice", 1);
  refresh.refresh = true;
  const uint32_t window = placement.settings().refreshes_per_worker;
  for (uint32_t i = 0; i < window; ++i) EXPECT_EQ(placement.place(refresh, 0).worker, 1u);
  EXPECT_EQ(placement.place(refresh, 0).kind, Kind::kFull);
  EXPECT_EQ(placement.place(wish_of("bob", 2), 0).worker, 1u);
  placement.session_ended(1, 0);
  EXPECT_EQ(placement.place(refresh, 0).kind, Kind::kFull) << "that was bob's";
  placement.session_ended(1, 0, true);
  EXPECT_EQ(placement.place(refresh, 0).worker, 1u);
}

TEST(Placement, who_is_awake_there_has_a_wider_window_since_the_sync_is_shared) {
  Placement placement(settings(Policy::kShared, 1, 100));
  placement.worker_up(1, 0, "", 0, 0);
  Wish refresh = wish_of("alice", 1);
  refresh.refresh = true;
  refresh.affinity = 1;
  refresh.awake = true;
  const uint32_t window = placement.settings().refreshes_per_worker;
  for (uint32_t i = 0; i < 4 * window; ++i) EXPECT_EQ(placement.place(refresh, 0).worker, 1u);
  EXPECT_EQ(placement.place(refresh, 0).kind, Kind::kFull);
}

TEST(Placement, refreshes_start_a_worker_where_none_fits_or_none_has_a_place) {
  PlacementSettings many = settings(Policy::kShared, 10, 1);
  many.refresh_workers_max = 1;
  Placement placement(many);
  Wish refresh = wish_of("alice", 1);
  refresh.refresh = true;
  EXPECT_TRUE(placement.place(refresh, 0).start);
  placement.worker_up(1, 0, "", 1, 0);
  EXPECT_EQ(placement.place(wish_of("bob", 2), 0).worker, 1u);
  EXPECT_TRUE(placement.place(refresh, 0).start) << "bob has the only place";
}

TEST(Placement, places_are_sessions_where_workers_are_shared_and_workers_where_not) {
  Placement shared(settings(Policy::kShared, 2, 11));
  EXPECT_EQ(shared.places_permille(), 0u);
  shared.worker_up(1, 0, "", 0, 0);
  shared.place(wish_of("alice", 1), 0);
  EXPECT_EQ(shared.places_permille(), 50u) << "one of 2 x 10";
  Placement own(settings(Policy::kPerUser, 4, 10));
  place(own, wish_of("alice", 1));
  EXPECT_EQ(own.places_permille(), 250u);
}

TEST(Placement, an_eighth_of_a_workers_places_is_left_to_sleepers_that_speak) {
  Placement placement(settings(Policy::kShared, 1, 16));
  placement.worker_up(1, 0, "", 0, 0);
  for (int i = 0; i < 14; ++i) EXPECT_EQ(placement.place(wish_of("alice", 1), 0).worker, 1u);
  EXPECT_EQ(placement.places_permille(), 1000u);
  EXPECT_EQ(placement.place(wish_of("bob", 2), 0).kind, Kind::kFull);
  Wish refresh = wish_of("carol", 3);
  refresh.refresh = true;
  EXPECT_EQ(placement.place(refresh, 0).kind, Kind::kFull);
  Wish woken = wish_of("dave", 4);
  woken.woken = true;
  EXPECT_EQ(placement.place(woken, 0).worker, 1u);
  EXPECT_EQ(placement.place(woken, 0).worker, 1u);
  EXPECT_EQ(placement.place(woken, 0).kind, Kind::kFull);
  placement.session_ended(1, 0);
  placement.session_ended(1, 0);
  EXPECT_EQ(placement.place(wish_of("bob", 2), 0).kind, Kind::kFull);
  EXPECT_EQ(placement.place(woken, 0).worker, 1u);
}

TEST(Placement, shared_spreads_users_and_keeps_a_users_sessions_together) {
  Placement placement(settings(Policy::kShared, 2, 10));
  placement.worker_up(1, 0, "", 0, 0);
  placement.worker_up(2, 0, "", 0, 0);
  WorkerId alice = placement.place(wish_of("alice", 1), 0).worker;
  WorkerId bob = placement.place(wish_of("bob", 2), 0).worker;
  EXPECT_NE(alice, bob);
  Wish again = wish_of("alice", 1);
  again.affinity = alice;
  for (int i = 0; i < 5; ++i) EXPECT_EQ(placement.place(again, 0).worker, alice);
}

TEST(Placement, per_uid_never_mixes_uids) {
  Placement placement(settings(Policy::kPerUid, 10, 10));
  WorkerId one = place(placement, wish_of("alice", 1));
  WorkerId two = place(placement, wish_of("bob", 2));
  EXPECT_NE(one, two);
  EXPECT_EQ(place(placement, wish_of("carol", 1)), one);
  EXPECT_EQ(place(placement, wish_of("dave", 2)), two);
}

TEST(Placement, per_uid_does_not_use_a_worker_that_may_become_anybody) {
  Placement placement(settings(Policy::kPerUid, 10, 10));
  placement.worker_up(1, 0, "", 0, 0);
  EXPECT_EQ(placement.place(wish_of("alice", 5), 0).kind, Kind::kStarting);
}

TEST(Placement, per_user_never_mixes_users_and_starts_another_when_full) {
  Placement placement(settings(Policy::kPerUser, 10, 2));
  WorkerId alice = place(placement, wish_of("alice", 1));
  EXPECT_NE(place(placement, wish_of("bob", 1)), alice);
  EXPECT_EQ(place(placement, wish_of("alice", 1)), alice);
  WorkerId second = place(placement, wish_of("alice", 1));
  EXPECT_NE(second, alice);
  EXPECT_NE(second, kNoWorker);
}

TEST(Placement, prefer_user_gives_each_a_worker_until_there_are_enough_and_then_shares) {
  Placement placement(settings(Policy::kPreferUser, 2, 10));
  WorkerId alice = place(placement, wish_of("alice", 1));
  WorkerId bob = place(placement, wish_of("bob", 1));
  EXPECT_NE(alice, bob);
  WorkerId carol = place(placement, wish_of("carol", 1));
  EXPECT_TRUE(carol == alice || carol == bob);
  EXPECT_EQ(place(placement, wish_of("alice", 1)), alice);
}

TEST(Placement, prefer_user_takes_over_an_empty_worker) {
  Placement placement(settings(Policy::kPreferUser, 5, 10));
  WorkerId alice = place(placement, wish_of("alice", 1));
  placement.session_ended(alice, 0);
  EXPECT_EQ(place(placement, wish_of("bob", 1)), alice);
  // It is bob's now.
  EXPECT_NE(place(placement, wish_of("alice", 1)), alice);
}

TEST(Placement, another_attempt_avoids_the_worker_that_failed_unless_it_is_the_only_one) {
  Placement placement(settings(Policy::kShared, 2, 10));
  placement.worker_up(1, 0, "", 0, 0);
  Wish wish = wish_of("alice", 1);
  wish.affinity = 1;
  wish.avoid = 1;
  Placed placed = placement.place(wish, 0);
  ASSERT_EQ(placed.kind, Kind::kStarting);
  placement.worker_up(2, 0, "", placed.start->request, 0);
  EXPECT_EQ(placement.place(wish, 0).worker, 2u);
  Placement only(settings(Policy::kShared, 1, 10));
  only.worker_up(1, 0, "", 0, 0);
  EXPECT_EQ(only.place(wish, 0).worker, 1u);
}

TEST(Placement, when_there_are_enough_workers_an_idle_one_of_others_makes_room) {
  Placement placement(settings(Policy::kPerUid, 2, 10));
  WorkerId one = place(placement, wish_of("alice", 1));
  place(placement, wish_of("bob", 2));
  EXPECT_EQ(placement.place(wish_of("carol", 3), 0).kind, Kind::kFull);
  placement.session_ended(one, 5);
  Placed placed = placement.place(wish_of("carol", 3), 6);
  EXPECT_EQ(placed.kind, Kind::kFull);
  EXPECT_EQ(placed.retire, one);
  // Asked again, it does not send a second one away.
  EXPECT_EQ(placement.place(wish_of("dave", 4), 6).retire, kNoWorker);
  placement.worker_down(one);
  EXPECT_EQ(placement.place(wish_of("carol", 3), 7).kind, Kind::kStarting);
}

TEST(Placement, starts_in_flight_are_bounded) {
  Placement placement(settings(Policy::kPerUser, 100, 10));
  size_t started = 0;
  for (int i = 0; i < 50; ++i) {
    std::string user = fmt::format("user{}", i);
    started += placement.place(wish_of(user, 1), 0).start ? 1 : 0;
  }
  EXPECT_EQ(started, Placement::kStartsInFlight);
}

TEST(Placement, a_failed_start_is_not_repeated_at_once) {
  Placement placement(settings(Policy::kShared, 4, 10));
  Placed placed = placement.place(wish_of("alice", 1), 0);
  placement.start_failed(placed.start->request, 1000);
  EXPECT_EQ(placement.place(wish_of("alice", 1), 1000).kind, Kind::kFull);
  uint64_t later = 1000 + Placement::kBackoffFirstMs;
  placed = placement.place(wish_of("alice", 1), later);
  ASSERT_TRUE(placed.start);
  placement.start_failed(placed.start->request, later);
  EXPECT_FALSE(placement.place(wish_of("alice", 1), later + Placement::kBackoffFirstMs).start);
  EXPECT_TRUE(placement.place(wish_of("alice", 1), later + 2 * Placement::kBackoffFirstMs).start);
}

TEST(Placement, a_start_without_an_answer_is_forgotten) {
  Placement placement(settings(Policy::kShared, 1, 10));
  placement.place(wish_of("alice", 1), 0);
  EXPECT_EQ(placement.starting(), 1u);
  placement.tick(Placement::kStartTimeoutMs);
  EXPECT_EQ(placement.starting(), 0u);
}

TEST(Placement, idle_workers_retire_but_workers_min) {
  auto s = settings(Policy::kShared, 4, 10);
  s.workers_min = 1;
  Placement placement(s);
  for (WorkerId id = 1; id <= 3; ++id) placement.worker_up(id, 0, "", 0, 0);
  EXPECT_EQ(placement.place(wish_of("alice", 1), 0).worker, 1u);
  EXPECT_TRUE(placement.tick(999).retire.empty());
  EXPECT_EQ(placement.tick(1000).retire, (std::vector<WorkerId>{2, 3}));
  EXPECT_TRUE(placement.tick(5000).retire.empty());
  placement.session_ended(1, 5000);
  EXPECT_TRUE(placement.tick(9000).retire.empty()) << "the last one is workers_min";
}

TEST(Placement, workers_min_are_started_beforehand) {
  auto s = settings(Policy::kShared, 4, 10);
  s.workers_min = 2;
  Placement placement(s);
  placement.hold_starts(500);
  EXPECT_TRUE(placement.tick(499).start.empty());
  EXPECT_EQ(placement.tick(500).start.size(), 2u);
  EXPECT_TRUE(placement.tick(501).start.empty());
}

TEST(Placement, sessions_of_a_former_tracker_take_room) {
  Placement placement(settings(Policy::kShared, 1, 3));
  placement.worker_up(1, 0, "", 0, 0);
  placement.set_foreign(1, 3, 0);
  EXPECT_EQ(placement.place(wish_of("alice", 1), 0).kind, Kind::kFull);
  placement.set_foreign(1, 2, 0);
  EXPECT_EQ(placement.place(wish_of("alice", 1), 0).worker, 1u);
}

// Whatever happens: no worker has more than it may, no policy is broken, no more workers than said.
TEST(Placement, random_life_breaks_no_bound) {
  for (Policy policy : {Policy::kShared, Policy::kPerUid, Policy::kPerUser, Policy::kPreferUser}) {
    std::mt19937 random(4);
    Placement placement(settings(policy, 6, 4));
    std::map<WorkerId, std::vector<std::pair<std::string, uint32_t>>> model;
    std::vector<WorkerStart> starts;
    WorkerId next = 1;
    for (uint64_t now = 0; now < 20'000; ++now) {
      uint32_t number = random() % 12;
      std::string user = fmt::format("user{}", number);
      switch (random() % 6) {
        case 0:
        case 1:
        case 2: {
          Placed placed = placement.place(wish_of(user, 1 + number % 3), now);
          if (placed.start) starts.push_back(*placed.start);
          if (placed.retire != kNoWorker) {
            ASSERT_TRUE(model[placed.retire].empty());
            placement.worker_down(placed.retire);
            model.erase(placed.retire);
          }
          if (placed.kind == Kind::kPlaced) {
            model[placed.worker].emplace_back(user, 1 + number % 3);
          }
          break;
        }
        case 3:
          if (!starts.empty()) {
            if (random() % 5 == 0) {
              placement.start_failed(starts.back().request, now);
            } else {
              placement.worker_up(next, starts.back().uid, starts.back().user,
                                  starts.back().request, now);
              model[next++];
            }
            starts.pop_back();
          }
          break;
        case 4:
          for (auto& [id, sessions] : model) {
            if (sessions.empty() || random() % 2 == 0) continue;
            sessions.pop_back();
            placement.session_ended(id, now);
          }
          break;
        default:
          if (!model.empty() && random() % 20 == 0) {
            placement.worker_down(model.begin()->first);
            model.erase(model.begin());
          }
          placement.begin_round();
      }
      ASSERT_LE(placement.workers().size() + placement.starting(), 6u);
      for (const auto& worker : placement.workers()) {
        const auto& sessions = model[worker.id];
        ASSERT_EQ(worker.load(), sessions.size());
        ASSERT_LE(sessions.size(), 4u);
        for (const auto& [name, uid] : sessions) {
          if (policy != Policy::kShared) ASSERT_EQ(uid, sessions[0].second);
          if (policy == Policy::kPerUser) ASSERT_EQ(name, sessions[0].first);
        }
      }
    }
  }
}

}  // namespace
}  // namespace dormouse::tracker
