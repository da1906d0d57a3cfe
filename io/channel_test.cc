#include "io/channel.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

namespace dormouse::io {
namespace {

Task<void> send_many(Loop* loop, Channel channel, int count) {
  for (int i = 0; i < count; ++i) {
    auto sent = co_await channel.send(*loop, std::string(40'000, char('a' + i % 26)));
    EXPECT_TRUE(sent);
  }
}

Task<int> pressure_main(Loop* loop) {
  auto ends = Channel::pair();
  EXPECT_TRUE(ends);
  Scope scope(*loop, co_await current_scope());
  scope.spawn(send_many(loop, std::move(ends->first), 200));
  int received = 0;
  while (true) {
    auto message = co_await ends->second.receive(*loop);
    if (!message) {
      EXPECT_EQ(message.error().kind, ErrorKind::kClosed);
      break;
    }
    EXPECT_EQ(message->bytes.size(), 40'000u);
    EXPECT_EQ(message->bytes[0], char('a' + received % 26));
    ++received;
  }
  co_await scope.join();
  co_return received;
}

TEST(Channel, a_full_channel_makes_the_sender_wait_and_loses_nothing) {
  auto loop = Loop::create();
  ASSERT_TRUE(loop);
  EXPECT_EQ((*loop)->run(pressure_main(loop->get())), 200);
}

TEST(Channel, descriptors_travel_with_their_message) {
  auto ends = Channel::pair();
  ASSERT_TRUE(ends);
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  Fd in(pipe_ends[0]), out(pipe_ends[1]);
  int fds[] = {out.get()};
  ASSERT_TRUE(ends->first.try_send("with a pipe", fds));
  out.reset();
  auto message = ends->second.try_receive();
  ASSERT_TRUE(message);
  ASSERT_EQ(message->fd_count, 1u);
  ASSERT_EQ(write(message->fds[0].get(), "x", 1), 1);
  char byte = 0;
  ASSERT_EQ(read(in.get(), &byte, 1), 1);
  EXPECT_EQ(byte, 'x');
}

TEST(Channel, a_longer_message_than_the_bound_is_refused) {
  auto ends = Channel::pair();
  ASSERT_TRUE(ends);
  std::string long_message(kMaxMessageBytes + 1, 'x');
  ASSERT_EQ(write(ends->first.fd(), long_message.data(), long_message.size()),
            ssize_t(long_message.size()));
  auto message = ends->second.try_receive();
  ASSERT_FALSE(message);
  EXPECT_EQ(message.error().kind, ErrorKind::kInvalid);
}

}  // namespace
}  // namespace dormouse::io
