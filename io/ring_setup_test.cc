#include "io/ring_setup.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "io/loop.h"

namespace dormouse::io {
namespace {

struct Answers {
  int open_errno = -1;  // 0: it worked
  int connect_errno = -1;
  int recv_errno = -1;
};

Task<int> try_all(Loop* loop, Answers* answers) {
  auto opened = co_await loop->open("/dev/null", O_RDONLY);
  answers->open_errno = opened ? 0 : opened.error().errno_value;
  int ends[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  Fd a(ends[0]);
  Fd b(ends[1]);
  EXPECT_EQ(::send(a.get(), "x", 1, 0), 1);
  std::array<std::byte, 8> buffer;
  auto received = co_await loop->recv(b.get(), buffer);
  answers->recv_errno = received ? 0 : received.error().errno_value;
  Fd other(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in nowhere{};
  nowhere.sin_family = AF_INET;
  nowhere.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  nowhere.sin_port = htons(1);
  auto connected =
      co_await loop->connect(other.get(), reinterpret_cast<sockaddr*>(&nowhere), sizeof nowhere);
  answers->connect_errno = connected ? 0 : connected.error().errno_value;
  co_return 0;
}

Answers answers_of(RingUse use) {
  LoopOptions options;
  options.use = use;
  auto loop = Loop::create(options);
  EXPECT_TRUE(loop) << loop.error().message;
  Answers answers;
  if (loop) (*loop)->run(try_all(loop->get(), &answers));
  return answers;
}

TEST(RingUse, a_ring_for_messages_opens_no_file_and_no_connection) {
  Answers answers = answers_of(RingUse::kMessages);
  EXPECT_EQ(answers.recv_errno, 0);
  EXPECT_EQ(answers.open_errno, EACCES);
  EXPECT_EQ(answers.connect_errno, EACCES);
}

TEST(RingUse, a_ring_for_files_opens_files_and_no_connection) {
  Answers answers = answers_of(RingUse::kFiles);
  EXPECT_EQ(answers.recv_errno, 0);
  EXPECT_EQ(answers.open_errno, 0);
  EXPECT_EQ(answers.connect_errno, EACCES);
  LoopOptions options;
  options.use = RingUse::kFiles;
  auto loop = Loop::create(options);
  ASSERT_TRUE(loop);
  auto id = (*loop)->register_personality();
  ASSERT_TRUE(id) << id.error().message;
  (*loop)->unregister_personality(*id);
}

TEST(RingUse, a_ring_for_anything_is_not_restricted) {
  Answers answers = answers_of(RingUse::kAnything);
  EXPECT_EQ(answers.open_errno, 0);
  EXPECT_EQ(answers.connect_errno, ECONNREFUSED);
}

TEST(RingSetup, no_memory_is_tried_again_and_other_errors_are_not) {
  int calls = 0;
  EXPECT_EQ(set_up_ring([&] { return ++calls < 3 ? -ENOMEM : 7; }), 7);
  EXPECT_EQ(calls, 3);
  calls = 0;
  EXPECT_EQ(set_up_ring([&] { return ++calls, -EPERM; }), -EPERM);
  EXPECT_EQ(calls, 1);
  calls = 0;
  EXPECT_EQ(set_up_ring([&] { return ++calls, -ENOMEM; }), -ENOMEM);
  EXPECT_GT(calls, 1);
}

}  // namespace
}  // namespace dormouse::io
