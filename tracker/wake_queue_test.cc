#include "tracker/wake_queue.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace dormouse::tracker {
namespace {

Waiting entry(Rank rank, UserId user, uint64_t session) {
  Waiting waiting;
  waiting.rank = rank;
  waiting.user = user;
  waiting.session = session;
  return waiting;
}

std::vector<uint64_t> drain(WakeQueue& queue) {
  std::vector<uint64_t> order;
  queue.offer([&](Waiting& waiting) {
    order.push_back(waiting.session);
    return WakeQueue::Verdict::kTaken;
  });
  return order;
}

TEST(WakeQueue, serves_input_before_open_before_refresh_before_sweep) {
  WakeQueue queue(10);
  queue.push(entry(Rank::kSweep, 1, 1));
  queue.push(entry(Rank::kRefresh, 1, 2));
  queue.push(entry(Rank::kOpen, 1, 3));
  queue.push(entry(Rank::kInput, 1, 4));
  EXPECT_EQ(drain(queue), (std::vector<uint64_t>{4, 3, 2, 1}));
  EXPECT_EQ(queue.size(), 0u);
}

TEST(WakeQueue, users_take_turns_in_the_order_they_came) {
  WakeQueue queue(10);
  for (uint64_t session : {1, 2, 3}) queue.push(entry(Rank::kInput, 7, session));
  queue.push(entry(Rank::kInput, 8, 10));
  queue.push(entry(Rank::kInput, 9, 20));
  queue.push(entry(Rank::kInput, 8, 11));
  EXPECT_EQ(drain(queue), (std::vector<uint64_t>{1, 10, 20, 2, 11, 3}));
}

TEST(WakeQueue, an_entry_that_must_wait_does_not_hold_up_the_others) {
  WakeQueue queue(10);
  queue.push(entry(Rank::kInput, 1, 1));
  queue.push(entry(Rank::kInput, 2, 2));
  queue.push(entry(Rank::kInput, 2, 3));
  std::vector<uint64_t> taken;
  queue.offer([&](Waiting& waiting) {
    if (waiting.user == 1) return WakeQueue::Verdict::kLater;
    taken.push_back(waiting.session);
    return WakeQueue::Verdict::kTaken;
  });
  EXPECT_EQ(taken, (std::vector<uint64_t>{2, 3}));
  EXPECT_EQ(drain(queue), (std::vector<uint64_t>{1}));
}

TEST(WakeQueue, knows_since_when_the_longest_waiting_of_a_rank_waits) {
  WakeQueue queue(10);
  EXPECT_FALSE(queue.oldest_ms(Rank::kInput));
  for (auto [user, since_ms] : {std::pair(1u, 50u), {2u, 20u}, {1u, 70u}}) {
    Waiting waiting = entry(Rank::kInput, user, since_ms);
    waiting.since_ms = since_ms;
    queue.push(std::move(waiting));
  }
  EXPECT_EQ(queue.oldest_ms(Rank::kInput), 20u);
  EXPECT_FALSE(queue.oldest_ms(Rank::kRefresh));
  drain(queue);
  EXPECT_FALSE(queue.oldest_ms(Rank::kInput));
}

TEST(WakeQueue, stop_leaves_the_rest) {
  WakeQueue queue(10);
  for (UserId user : {1, 2, 3}) queue.push(entry(Rank::kInput, user, user));
  int taken = 0;
  queue.offer([&](Waiting&) {
    return taken++ == 0 ? WakeQueue::Verdict::kTaken : WakeQueue::Verdict::kStop;
  });
  EXPECT_EQ(queue.size(), 2u);
}

TEST(WakeQueue, when_full_the_newest_of_the_least_urgent_gives_way_to_the_more_urgent) {
  WakeQueue queue(3);
  queue.push(entry(Rank::kRefresh, 1, 1));
  queue.push(entry(Rank::kSweep, 2, 2));
  queue.push(entry(Rank::kSweep, 3, 3));
  EXPECT_FALSE(queue.accepts(Rank::kSweep));
  ASSERT_TRUE(queue.accepts(Rank::kInput));
  auto gave_way = queue.push(entry(Rank::kInput, 4, 4));
  ASSERT_TRUE(gave_way);
  EXPECT_EQ(gave_way->session, 3u);
  EXPECT_EQ(queue.push(entry(Rank::kOpen, 5, 5))->session, 2u);
  EXPECT_EQ(queue.push(entry(Rank::kInput, 6, 6))->session, 1u);
  EXPECT_FALSE(queue.accepts(Rank::kInput)) << "a new session never gives way";
  EXPECT_EQ(drain(queue), (std::vector<uint64_t>{4, 6, 5}));
}

TEST(WakeQueue, taking_entries_out_by_rule_keeps_the_rest_in_order) {
  WakeQueue queue(10);
  for (uint64_t session = 1; session <= 6; ++session) {
    queue.push(entry(session % 2 ? Rank::kInput : Rank::kRefresh, UserId(session / 3), session));
  }
  auto out = queue.take_if([](const Waiting& waiting) { return waiting.session % 3 == 0; });
  EXPECT_EQ(out.size(), 2u);
  EXPECT_EQ(queue.size(), 4u);
  EXPECT_EQ(queue.size(Rank::kInput), 2u);
  EXPECT_EQ(drain(queue), (std::vector<uint64_t>{1, 5, 2, 4}));
}

TEST(WakeQueue, an_entry_owns_its_relay_channel) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  io::Fd in(ends[0]);
  {
    WakeQueue queue(10);
    Waiting waiting = entry(Rank::kInput, 1, 1);
    waiting.relay = io::Fd(ends[1]);
    queue.push(std::move(waiting));
  }
  char byte = 0;
  EXPECT_EQ(read(in.get(), &byte, 1), 0);
}

}  // namespace
}  // namespace dormouse::tracker
