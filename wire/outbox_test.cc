#include "wire/outbox.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "wire/den_tracker.pb.h"

namespace dormouse::wire {
namespace {

TrackerToDen opened(uint64_t request) {
  TrackerToDen message;
  message.mutable_opened()->set_request(request);
  message.mutable_opened()->set_user(std::string(1000, 'u'));
  return message;
}

constexpr uint64_t kMany = 3000;  // 3 MB: more than a socket buffer holds

io::Task<int> slow_reader(io::Loop* loop, io::Channel* mine, io::Channel* theirs) {
  Outbox outbox(*loop, *mine, 2 * kMany);
  io::Scope scope(*loop, co_await io::current_scope());
  for (uint64_t i = 0; i < kMany; ++i) EXPECT_TRUE(outbox.push(opened(i)));
  EXPECT_GT(outbox.size(), 0u) << "the peer has read nothing, so not all was sent";
  scope.spawn(outbox.run());
  for (uint64_t i = 0; i < kMany; ++i) {
    auto got = co_await receive<TrackerToDen>(*loop, *theirs);
    EXPECT_TRUE(got);
    if (!got || got->message.opened().request() != i) co_return 1;
  }
  EXPECT_EQ(outbox.size(), 0u);
  scope.cancel();
  co_await scope.join();
  co_return 0;
}

TEST(Outbox, keeps_the_order_for_a_peer_that_reads_late) {
  auto loop = io::Loop::create();
  ASSERT_TRUE(loop);
  auto ends = io::Channel::pair();
  ASSERT_TRUE(ends);
  EXPECT_EQ((*loop)->run(slow_reader(loop->get(), &ends->first, &ends->second)), 0);
}

TEST(Outbox, refuses_beyond_its_bound_and_says_when_it_is_crowded) {
  auto loop = io::Loop::create();
  ASSERT_TRUE(loop);
  auto ends = io::Channel::pair();
  ASSERT_TRUE(ends);
  Outbox outbox(**loop, ends->first, 10);
  uint64_t sent = 0;
  while (outbox.size() == 0 && sent < 100'000) ASSERT_TRUE(outbox.push(opened(sent++)));
  EXPECT_FALSE(outbox.crowded());
  for (int i = 1; i < 10; ++i) EXPECT_TRUE(outbox.push(opened(sent++)));
  EXPECT_TRUE(outbox.crowded());
  EXPECT_FALSE(outbox.push(opened(sent)));
}

TEST(Outbox, a_peer_that_is_gone_is_told_by_push) {
  auto loop = io::Loop::create();
  ASSERT_TRUE(loop);
  auto ends = io::Channel::pair();
  ASSERT_TRUE(ends);
  Outbox outbox(**loop, ends->first, 10);
  ends->second.close();
  EXPECT_FALSE(outbox.push(opened(1)));
}

TEST(Outbox, a_descriptor_is_closed_once_it_is_sent) {
  auto loop = io::Loop::create();
  ASSERT_TRUE(loop);
  auto ends = io::Channel::pair();
  ASSERT_TRUE(ends);
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  io::Fd in(pipe_ends[0]);
  Outbox outbox(**loop, ends->first, 10);
  EXPECT_TRUE(outbox.push(opened(1), io::Fd(pipe_ends[1])));
  {
    auto got = try_receive<TrackerToDen>(ends->second);
    ASSERT_TRUE(got);
    EXPECT_EQ(got->fd_count, 1u);
  }
  char byte = 0;
  EXPECT_EQ(read(in.get(), &byte, 1), 0) << "no writing end is left";
}

}  // namespace
}  // namespace dormouse::wire
