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
  EXPECT_EQ(queue.next()->slot, 2u);
  EXPECT_EQ(queue.next()->slot, 1u);
  EXPECT_FALSE(queue.next());
}

TEST(RefreshQueue, at_most_so_many_run_at_a_time) {
  RefreshQueue queue(1000);
  for (uint32_t slot = 0; slot < 500; ++slot) queue.add(slot, slot % 2 == 0);
  uint32_t changes = 0;
  while (auto next = queue.next()) {
    EXPECT_FALSE(next->sweep);
    ++changes;
  }
  EXPECT_EQ(changes, RefreshQueue::kRunningMax);
  queue.done();
  EXPECT_TRUE(queue.next());
  EXPECT_FALSE(queue.next());
}

TEST(RefreshQueue, what_was_put_off_comes_back_at_its_time_and_not_before) {
  RefreshQueue queue(8);
  queue.put_off(3, 1000);
  queue.add(3, false);
  EXPECT_FALSE(queue.next()) << "a change does not call it back";
  EXPECT_TRUE(queue.queued(3));
  queue.take_back(999);
  EXPECT_FALSE(queue.next());
  queue.take_back(1000);
  EXPECT_EQ(queue.next()->slot, 3u);
}

TEST(RefreshQueue, a_slot_that_was_forgotten_does_not_come_back) {
  RefreshQueue queue(8);
  queue.put_off(3, 1000);
  queue.forget(3);
  queue.take_back(5000);
  EXPECT_FALSE(queue.next());
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
