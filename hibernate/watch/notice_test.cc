// Notices: their form, whom they are believed from, and what is refused.

#include "hibernate/watch/notice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "hibernate/watch/notice_guard.h"
#include "hibernate/watch/notice_port.h"
#include "hibernate/watch/notice_sockets.h"

namespace dormouse::hibernate {
namespace {

constexpr std::string_view kKey = "0123456789abcdef";
constexpr uint64_t kNowMs = 1'700'000'000'000;
constexpr uint64_t kWindowMs = 30'000;

Notice example(uint64_t number = 1) {
  return {.kind = Notice::Kind::kArrival,
          .user = "ada",
          .mailbox = "INBOX",
          .time_ms = kNowMs,
          .sender = 7,
          .number = number};
}

std::string sealed(const Notice& notice, std::string_view key = kKey) {
  std::string datagram = *encode_notice(notice);
  seal_notice(datagram, key);
  return datagram;
}

std::string from_hex(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i < hex.size(); i += 2) {
    out += char(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return out;
}

// By Python's struct and hmac modules.
TEST(Notice, is_the_documented_datagram_with_the_documented_mac) {
  constexpr std::string_view kSaid =
      "444d4e310100000300050000018bcfe568000000000000000007000000000000000161646149"
      "4e424f58";
  EXPECT_EQ(*encode_notice(example()), from_hex(kSaid));
  EXPECT_EQ(sealed(example()), from_hex(std::string(kSaid) + "75a16b5874c3668489151521b729e9cb"));
}

TEST(Notice, comes_back_as_it_went) {
  for (const char* mailbox : {"", "INBOX", "Lists/C++", "\xc3\xa4"}) {
    Notice notice = example();
    notice.kind = Notice::Kind::kChange;
    notice.local = true;
    notice.mailbox = mailbox;
    auto back = decode_notice(*encode_notice(notice));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->mailbox, mailbox);
    EXPECT_EQ(back->user, "ada");
    EXPECT_TRUE(back->local);
    EXPECT_EQ(back->kind, Notice::Kind::kChange);
    EXPECT_EQ(back->time_ms, kNowMs);
    EXPECT_EQ(back->number, 1u);
  }
}

TEST(Notice, of_impossible_names_is_neither_made_nor_taken) {
  Notice notice = example();
  notice.user = "";
  EXPECT_FALSE(encode_notice(notice));
  notice.user = std::string(321, 'u');
  EXPECT_FALSE(encode_notice(notice));
  notice = example();
  notice.mailbox = "a\nb";
  EXPECT_FALSE(encode_notice(notice));
  notice.mailbox = std::string(kNoticeMailboxBytesMax + 1, 'm');
  EXPECT_FALSE(encode_notice(notice));
  std::string datagram = *encode_notice(example());
  datagram[datagram.size() - 1] = '\n';
  EXPECT_FALSE(decode_notice(datagram));
}

TEST(Notice, is_refused_at_every_wrong_length_and_value) {
  std::string good = *encode_notice(example());
  for (size_t bytes = 0; bytes < good.size(); ++bytes) {
    EXPECT_FALSE(decode_notice(std::string_view(good).substr(0, bytes))) << bytes;
  }
  EXPECT_FALSE(decode_notice(good + "x"));
  auto with = [&](size_t at, char value) {
    std::string other = good;
    other[at] = value;
    return decode_notice(other);
  };
  EXPECT_FALSE(with(0, 'X')) << "magic";
  EXPECT_FALSE(with(4, 0)) << "kind";
  EXPECT_FALSE(with(4, 3)) << "kind";
  EXPECT_FALSE(with(5, 2)) << "flags";
  EXPECT_FALSE(with(7, 9)) << "user_bytes";
}

TEST(Notice, under_another_key_or_changed_by_one_bit_is_denied) {
  std::string good = sealed(example());
  EXPECT_TRUE(open_notice(good, kKey));
  EXPECT_FALSE(open_notice(good, "another key 0000"));
  for (size_t at = 0; at < good.size(); ++at) {
    std::string other = good;
    other[at] = char(other[at] ^ 1);
    EXPECT_FALSE(open_notice(other, kKey)) << at;
  }
  EXPECT_FALSE(open_notice(good.substr(0, 10), kKey));
}

TEST(NoticeGuard, takes_each_number_of_a_sender_once_in_whatever_order_they_come) {
  NoticeGuard guard(kWindowMs);
  auto judge = [&](uint64_t number) { return guard.judge(example(number), kNowMs); };
  using enum NoticeGuard::Verdict;
  for (uint64_t number : {5, 3, 100, 99, 37, 36, 101}) EXPECT_EQ(judge(number), kFresh) << number;
  for (uint64_t number : {100, 99, 37, 101}) EXPECT_EQ(judge(number), kRepeated) << number;
  EXPECT_EQ(judge(5), kRepeated) << "too far below to be known";
  EXPECT_EQ(judge(1'000), kFresh);
  EXPECT_EQ(judge(1'000 - 64), kFresh);
  EXPECT_EQ(judge(1'000 - 64), kRepeated);
  EXPECT_EQ(judge(1'000 - 65), kRepeated);
  Notice other = example(5);
  other.sender = 8;
  EXPECT_EQ(guard.judge(other, kNowMs), kFresh);
}

TEST(NoticeGuard, takes_nothing_from_outside_its_window_in_either_direction) {
  NoticeGuard guard(kWindowMs);
  using enum NoticeGuard::Verdict;
  EXPECT_EQ(guard.judge(example(1), kNowMs + kWindowMs + 1), kStale);
  EXPECT_EQ(guard.judge(example(1), kNowMs - kWindowMs - 1), kStale);
  EXPECT_EQ(guard.judge(example(1), kNowMs + kWindowMs), kFresh);
}

TEST(NoticeGuard, has_room_for_so_many_senders_and_forgets_those_that_cannot_be_repeated) {
  NoticeGuard guard(kWindowMs, 2);
  using enum NoticeGuard::Verdict;
  auto from = [&](uint64_t sender, uint64_t now_ms) {
    Notice notice = example();
    notice.sender = sender;
    notice.time_ms = now_ms;
    return guard.judge(notice, now_ms);
  };
  EXPECT_EQ(from(1, kNowMs), kFresh);
  EXPECT_EQ(from(2, kNowMs), kFresh);
  EXPECT_EQ(from(3, kNowMs), kCrowded);
  EXPECT_EQ(from(3, kNowMs + 2 * kWindowMs), kCrowded);
  EXPECT_EQ(from(3, kNowMs + 3 * kWindowMs), kFresh);
  EXPECT_EQ(guard.senders(), 1u);
}

class Heard final : public NoticeSink {
 public:
  void noticed(const Notice& notice) override {
    users.push_back(notice.user);
    local = notice.local;
  }
  void notices_end() override { ++batches; }
  std::vector<std::string> users;
  bool local = false;
  int batches = 0;
};

TEST(NoticePort, counts_what_it_refuses_by_reason) {
  auto loop = io::Loop::create();
  ASSERT_TRUE(loop);
  NoticePort port(**loop, io::Secret(kKey), kWindowMs);
  Heard heard;
  Notice local = example();
  local.local = true;
  EXPECT_EQ(port.take(sealed(local), true, kNowMs, heard), NoticePort::kTaken);
  EXPECT_FALSE(heard.local) << "another machine's file system is not ours";
  EXPECT_EQ(port.take(sealed(local), true, kNowMs, heard), NoticePort::kRepeated);
  EXPECT_EQ(port.take(sealed(example(2)), true, kNowMs + 60'000, heard), NoticePort::kStale);
  EXPECT_EQ(port.take(sealed(example(2), "another key 0000"), true, kNowMs, heard),
            NoticePort::kDenied);
  EXPECT_EQ(port.take(*encode_notice(example(2)), true, kNowMs, heard), NoticePort::kDenied);
  std::string nonsense = "nonsense";
  seal_notice(nonsense, kKey);
  EXPECT_EQ(port.take(nonsense, true, kNowMs, heard), NoticePort::kMalformed);
  EXPECT_EQ(heard.users.size(), 1u);
  // The unix socket's permissions are its key, and its clock is ours.
  EXPECT_EQ(port.take(*encode_notice(local), false, 1, heard), NoticePort::kTaken);
  EXPECT_TRUE(heard.local);
  EXPECT_EQ(port.take(sealed(example()), false, 1, heard), NoticePort::kMalformed);
  EXPECT_THAT(port.view(), testing::HasSubstr("taken=2 malformed=2 denied=2 stale=1 repeated=1"));
}

io::Task<int> hear(io::Loop* loop, NoticePort* port, const NoticeSocket* socket, Heard* heard,
                   size_t count) {
  io::Scope scope(*loop, co_await io::current_scope());
  scope.spawn(port->run(socket, heard));
  for (int i = 0; i < 1'000 && heard->users.size() < count; ++i) {
    if (!co_await loop->sleep(5)) break;
  }
  scope.cancel();
  co_await scope.join();
  co_return 0;
}

TEST(NoticeSockets, carry_notices_over_unix_and_udp) {
  auto loop = io::Loop::create();
  ASSERT_TRUE(loop);
  std::string folder = testing::TempDir() + "dormouse_notice_XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  std::string path = folder + "/socket";
  EXPECT_FALSE(connect_notices(path)) << "nobody is there";
  // A second one, too: as after a server that died.
  ASSERT_TRUE(make_notice_socket(path, true));
  auto unix = make_notice_socket(path, false);
  ASSERT_TRUE(unix);
  struct stat info{};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  NoticePort port(**loop, io::Secret(kKey), kWindowMs);
  Heard heard;
  NoticeSocket socket{.fd = std::move(*unix), .sealed = false};
  auto to = connect_notices(path);
  ASSERT_TRUE(to);
  EXPECT_TRUE(send_notice(*to, {.user = "ada", .mailbox = "INBOX"}, ""));
  // What is longer than any notice, and what is empty, end nothing.
  std::string junk(kNoticeBytesMax + 100, 'D');
  EXPECT_EQ(write(to->get(), junk.data(), junk.size()), ssize_t(junk.size()));
  EXPECT_EQ(send(to->get(), "", 0, 0), 0);
  EXPECT_TRUE(send_notice(*to, {.user = "bob", .mailbox = ""}, ""));
  (*loop)->run(hear(loop->get(), &port, &socket, &heard, 2));
  EXPECT_THAT(heard.users, testing::ElementsAre("ada", "bob"));
  EXPECT_EQ(port.count(NoticePort::kMalformed), 2u);

  auto udp = make_udp_notice_socket("127.0.0.1", 0);
  ASSERT_TRUE(udp);
  sockaddr_in bound{};
  socklen_t length = sizeof bound;
  ASSERT_EQ(getsockname(udp->get(), reinterpret_cast<sockaddr*>(&bound), &length), 0);
  NoticeSocket hosts{.fd = std::move(*udp), .sealed = true};
  auto there = connect_notices("127.0.0.1", ntohs(bound.sin_port));
  ASSERT_TRUE(there);
  EXPECT_TRUE(send_notice(*there, {.user = "eve", .mailbox = "INBOX"}, "wrong key 000000"));
  EXPECT_TRUE(send_notice(*there, {.user = "cleo", .mailbox = "INBOX"}, kKey));
  (*loop)->run(hear(loop->get(), &port, &hosts, &heard, 3));
  EXPECT_THAT(heard.users, testing::ElementsAre("ada", "bob", "cleo"));
  EXPECT_EQ(port.count(NoticePort::kDenied), 1u);
  unlink(path.c_str());
  rmdir(folder.c_str());
}

TEST(NoticeKey, is_of_a_file_that_is_not_everybodys_and_long_enough) {
  std::string path = testing::TempDir() + "dormouse_key_" + std::to_string(getpid());
  auto load = [&](std::string_view text, mode_t mode) {
    std::ofstream(path) << text;
    chmod(path.c_str(), mode);
    return load_notice_key(path);
  };
  auto key = load("0123456789abcdef\n", 0600);
  ASSERT_TRUE(key) << key.error().message;
  EXPECT_EQ(key->view(), kKey);
  EXPECT_FALSE(load("0123456789abcdef\n", 0604));
  EXPECT_FALSE(load("0123456789abcde\n", 0600));
  EXPECT_FALSE(load(std::string(kNoticeKeyBytesMax + 1, 'k'), 0600));
  EXPECT_TRUE(load(std::string(kNoticeKeyBytesMax, 'k'), 0640));
  unlink(path.c_str());
  EXPECT_FALSE(load_notice_key(path));
}

}  // namespace
}  // namespace dormouse::hibernate
