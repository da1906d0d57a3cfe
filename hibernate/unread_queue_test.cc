#include "hibernate/unread_queue.h"

#include <gtest/gtest.h>

namespace dormouse::hibernate {
namespace {

TEST(UnreadQueue, is_read_in_order_each_at_its_time) {
  UnreadQueue queue;
  EXPECT_EQ(queue.next_due_ms(), std::nullopt);
  queue.add(7, 100);
  queue.add(3, 200);
  EXPECT_EQ(queue.next_due_ms(), 100u);
  EXPECT_EQ(queue.take(99), std::nullopt);
  EXPECT_EQ(queue.take(100), 7u);
  EXPECT_EQ(queue.take(100), std::nullopt);
  EXPECT_EQ(queue.next_due_ms(), 200u);
  EXPECT_EQ(queue.take(500), 3u);
  EXPECT_EQ(queue.size(), 0u);
}

TEST(UnreadQueue, holds_a_slot_once) {
  UnreadQueue queue;
  queue.add(7, 100);
  queue.add(7, 300);
  EXPECT_EQ(queue.size(), 1u);
  EXPECT_EQ(queue.take(100), 7u);
  EXPECT_FALSE(queue.contains(7));
  EXPECT_EQ(queue.take(300), std::nullopt);
}

TEST(UnreadQueue, a_slot_that_was_forgotten_and_came_back_waits_its_own_time) {
  UnreadQueue queue;
  queue.add(7, 100);
  queue.add(3, 150);
  queue.forget(7);
  EXPECT_FALSE(queue.contains(7));
  queue.add(7, 200);
  EXPECT_EQ(queue.size(), 2u);
  EXPECT_EQ(queue.next_due_ms(), 150u);
  EXPECT_EQ(queue.take(150), 3u);
  EXPECT_EQ(queue.take(150), std::nullopt);
  EXPECT_EQ(queue.take(200), 7u);
}

}  // namespace
}  // namespace dormouse::hibernate
