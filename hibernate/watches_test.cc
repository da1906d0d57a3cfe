#include "hibernate/watches.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "hibernate/refresh_queue.h"

namespace dormouse::hibernate {
namespace {

TEST(Watches, random_joins_and_leaves_agree_with_a_model) {
  constexpr uint32_t kSlots = 2000;
  Watches watches(kSlots);
  std::map<uint64_t, std::set<uint32_t>> model;
  std::map<uint32_t, uint64_t> key_of;
  std::map<uint64_t, WatchId> watch_of_key;
  std::mt19937_64 random(3);
  for (int step = 0; step < 50'000; ++step) {
    uint32_t slot = random() % kSlots;
    if (key_of.contains(slot)) {
      uint64_t key = key_of[slot];
      model[key].erase(slot);
      key_of.erase(slot);
      WatchId gone = watches.leave(slot);
      EXPECT_EQ(gone != kNoWatch, model[key].empty());
      if (gone != kNoWatch) EXPECT_EQ(gone, watch_of_key[key]);
    } else {
      // Few low bits: long probe sequences.
      uint64_t key = (random() % 700) << 3;
      auto joined = watches.join(slot, key);
      EXPECT_EQ(joined.subscribe, model[key].empty());
      model[key].insert(slot);
      key_of[slot] = key;
      watch_of_key[key] = joined.watch;
      std::set<uint32_t> seen;
      watches.for_each(joined.watch, [&](uint32_t s) { seen.insert(s); });
      EXPECT_EQ(seen, model[key]);
    }
  }
}

TEST(RefreshQueue, a_slot_is_queued_once_and_a_change_overtakes_a_sweep) {
  RefreshQueue queue(10);
  queue.add(1, true);
  queue.add(2, true);
  queue.add(2, false);
  queue.add(2, false);
  queue.add(3, false);
  queue.forget(3);
  auto first = queue.next(0);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->slot, 2u);
  EXPECT_FALSE(first->sweep);
  auto second = queue.next(0);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->slot, 1u);
  EXPECT_TRUE(second->sweep);
  EXPECT_FALSE(queue.next(0));
}

TEST(RefreshQueue, only_so_many_run_at_a_time) {
  RefreshQueue queue(1000);
  for (uint32_t slot = 0; slot < 1000; ++slot) queue.add(slot, false);
  uint32_t running = 0;
  while (queue.next(0)) ++running;
  EXPECT_EQ(running, RefreshQueue::kRunningMax);
  queue.done(true);
  EXPECT_TRUE(queue.next(0));
}

}  // namespace
}  // namespace dormouse::hibernate
