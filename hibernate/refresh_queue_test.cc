#include "hibernate/refresh_queue.h"

#include <gtest/gtest.h>

namespace dormouse::hibernate {
namespace {

TEST(RefreshQueue, a_slot_is_queued_once_and_changes_go_before_sweeps) {
  RefreshQueue queue(8);
  queue.add(1, true);
  queue.add(2, false);
  queue.add(2, false);
  queue.add(1, false);  // moves up
  EXPECT_EQ(queue.next(0)->slot, 2u);
  EXPECT_EQ(queue.next(0)->slot, 1u);
  EXPECT_FALSE(queue.next(0));
}

TEST(RefreshQueue, at_most_so_many_run_at_a_time) {
  RefreshQueue queue(1000);
  for (uint32_t slot = 0; slot < 500; ++slot) queue.add(slot, slot % 2 == 0);
  uint32_t changes = 0;
  while (auto next = queue.next(0)) {
    EXPECT_FALSE(next->sweep);
    ++changes;
  }
  EXPECT_EQ(changes, RefreshQueue::kRunningMax);
  queue.done(true);
  EXPECT_TRUE(queue.next(0));
  EXPECT_FALSE(queue.next(0));
}

TEST(RefreshQueue, what_was_put_off_comes_back_at_its_time_and_not_before) {
  RefreshQueue queue(8);
  queue.put_off(3, 1000);
  queue.add(3, false);
  EXPECT_FALSE(queue.next(0)) << "a change does not call it back";
  EXPECT_TRUE(queue.queued(3));
  queue.take_back(999);
  EXPECT_FALSE(queue.next(0));
  queue.take_back(1000);
  EXPECT_EQ(queue.next(0)->slot, 3u);
}

TEST(RefreshQueue, a_slot_that_was_forgotten_does_not_come_back) {
  RefreshQueue queue(8);
  queue.put_off(3, 1000);
  queue.forget(3);
  queue.take_back(5000);
  EXPECT_FALSE(queue.next(0));
}

TEST(RefreshQueue, a_full_tracker_holds_all_back_and_the_refused_one_is_next) {
  RefreshQueue queue(1000);
  for (uint32_t slot = 0; slot < 100; ++slot) queue.add(slot, false);
  EXPECT_EQ(queue.next(0)->slot, 0u);
  queue.done(false);
  queue.hold_back(0, false, 700);
  EXPECT_FALSE(queue.next(699));
  EXPECT_TRUE(queue.queued(0));
  EXPECT_EQ(queue.next(700)->slot, 0u);
  EXPECT_EQ(queue.next(700)->slot, 1u);
}

TEST(RefreshQueue, fewer_run_after_a_refusal_and_more_again_as_answers_come) {
  RefreshQueue queue(1000);
  for (uint32_t slot = 0; slot < 1000; ++slot) queue.add(slot, false);
  auto running = [&](uint64_t now_ms) {
    while (queue.next(now_ms)) continue;
    return queue.running();
  };
  EXPECT_EQ(running(0), 64u);
  // All of a window refused at one moment, spread as the tracker does: halved once.
  for (uint32_t slot = 0; slot < 64; ++slot) {
    queue.done(false);
    queue.hold_back(slot, false, 1000 + slot * 7);
  }
  EXPECT_EQ(running(2000), 32u);
  for (uint32_t slot = 0; slot < 32; ++slot) {
    queue.done(false);
    queue.hold_back(slot, false, 2500 + slot);
  }
  EXPECT_EQ(running(4000), 16u);
  for (int i = 0; i < 16; ++i) queue.done(true);
  EXPECT_EQ(running(4000), 32u);
}

TEST(RefreshQueue, a_tracker_that_stays_full_is_asked_for_one_at_a_time) {
  RefreshQueue queue(10);
  for (uint32_t slot = 0; slot < 10; ++slot) queue.add(slot, false);
  for (uint64_t now_ms = 1000; now_ms < 100'000; now_ms += 1000) {
    auto next = queue.next(now_ms);
    ASSERT_TRUE(next);
    EXPECT_EQ(next->slot, 0u) << "nobody overtakes, nobody is lost";
    queue.done(false);
    queue.hold_back(next->slot, next->sweep, now_ms + 999);
  }
  EXPECT_EQ(queue.running_max(), 1u);
  for (uint32_t slot = 0; slot < 10; ++slot) {
    auto next = queue.next(1'000'000);
    ASSERT_TRUE(next);
    EXPECT_EQ(next->slot, slot);
    queue.done(true);
  }
}

TEST(RefreshQueue, a_sweep_that_is_held_back_stays_a_sweep) {
  RefreshQueue queue(10);
  queue.add(1, true);
  EXPECT_TRUE(queue.next(0)->sweep);
  queue.done(false);
  queue.hold_back(1, true, 500);
  queue.add(2, false);
  EXPECT_EQ(queue.next(1000)->slot, 2u);
  EXPECT_TRUE(queue.next(1000)->sweep);
}

TEST(RefreshQueue, so_many_at_most_come_back_at_once) {
  RefreshQueue queue(1000);
  for (uint32_t slot = 0; slot < 1000; ++slot) queue.put_off(slot, 10);
  queue.take_back(10);
  EXPECT_EQ(queue.waiting(), RefreshQueue::kReturnsMax);
  EXPECT_EQ(queue.put_off(), 1000 - RefreshQueue::kReturnsMax);
}

}  // namespace
}  // namespace dormouse::hibernate
