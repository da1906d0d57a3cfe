#include "ebpf/census.h"

#include <gtest/gtest.h>
#include <linux/filter.h>

#include <vector>

#include "ebpf/test_sockets.h"

namespace dormouse::ebpf {
namespace {

using test::Listener;

class CensusTest : public testing::TestWithParam<int> {
 protected:
  Result<Census> open(const std::vector<uint16_t>& ports) {
    auto census = Census::open(ports);
    if (!census && census.error().kind == ErrorKind::kDenied) denied_ = true;
    return census;
  }
  bool denied_ = false;
};

TEST_P(CensusTest, counts_our_sockets_and_nobody_elses) {
  Listener ours(GetParam());
  Listener other(GetParam());
  auto census = open({ours.port()});
  if (denied_) GTEST_SKIP() << census.error().message;
  ASSERT_TRUE(census) << census.error().message;
  std::vector<io::Fd> kept;
  for (int i = 0; i < 7; ++i) {
    kept.push_back(ours.connect());
    kept.push_back(ours.accept());
  }
  for (int i = 0; i < 3; ++i) kept.push_back(other.connect());
  auto totals = census->take();
  ASSERT_TRUE(totals) << totals.error().message;
  EXPECT_EQ(totals->states[1], 7u) << "our ends, not the clients'";
  EXPECT_EQ(totals->states[10], 1u) << "the listener";
  uint64_t silent = 0;
  for (uint64_t one : totals->silent) silent += one;
  EXPECT_EQ(silent, 7u);
  kept.clear();
  totals = census->take();
  ASSERT_TRUE(totals);
  EXPECT_EQ(totals->states[1], 0u) << "each census begins anew";
}

TEST_P(CensusTest, tells_of_each_socket_what_waits_in_it) {
  Listener ours(GetParam());
  auto census = open({ours.port()});
  if (denied_) GTEST_SKIP() << census.error().message;
  ASSERT_TRUE(census) << census.error().message;
  io::Fd client = ours.connect();
  io::Fd accepted = ours.accept();
  const std::string text(10'000, 'x');
  ASSERT_EQ(::send(client.get(), text.data(), text.size(), 0), ssize_t(text.size()));
  test::Address of_client(GetParam(), test::loopback(GetParam()));
  ASSERT_EQ(::getsockname(client.get(), of_client.get(), &of_client.length), 0);
  std::vector<census_socket> seen;
  auto totals = census->take([&](const census_socket& socket) {
    if (socket.state == 1) seen.push_back(socket);
  });
  ASSERT_TRUE(totals);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].family, GetParam() == AF_INET6 ? 6 : 4);
  EXPECT_EQ(seen[0].local_port, ours.port());
  EXPECT_EQ(seen[0].peer_port, ntohs(of_client.storage.sin6_port));
  EXPECT_GE(seen[0].received_bytes, text.size());
  EXPECT_EQ(seen[0].received_bytes, totals->received_bytes);
  EXPECT_LT(seen[0].silent_ms, 60'000u);
  const std::string line = census_line(seen[0]);
  EXPECT_NE(line.find(GetParam() == AF_INET6 ? "[::1]:" : "127.0.0.1:"), std::string::npos) << line;
  EXPECT_NE(line.find(" established "), std::string::npos) << line;
}

// The client's own filter throws away all that comes: as a peer that has vanished.
TEST_P(CensusTest, a_peer_that_does_not_answer_is_told_from_one_that_is_silent) {
  Listener ours(GetParam());
  auto census = open({ours.port()});
  if (denied_) GTEST_SKIP() << census.error().message;
  ASSERT_TRUE(census) << census.error().message;
  io::Fd silent = ours.connect();
  io::Fd to_silent = ours.accept();
  io::Fd dead = ours.connect();
  io::Fd to_dead = ours.accept();
  sock_filter nothing[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
  sock_fprog filter{.len = 1, .filter = nothing};
  ASSERT_EQ(setsockopt(dead.get(), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter), 0);
  ASSERT_EQ(::send(to_dead.get(), "x", 1, 0), 1);
  uint64_t unanswered = 0;
  // TCP asks again after 200 ms.
  for (int i = 0; i < 1000 && unanswered == 0; ++i) {
    ::usleep(10'000);
    auto totals = census->take();
    ASSERT_TRUE(totals);
    for (uint64_t one : totals->unanswered) unanswered += one;
    EXPECT_EQ(totals->states[1], 2u);
  }
  EXPECT_EQ(unanswered, 1u);
}

TEST_P(CensusTest, more_sockets_than_one_read_holds_are_all_seen) {
  Listener ours(GetParam());
  auto census = open({ours.port()});
  if (denied_) GTEST_SKIP() << census.error().message;
  ASSERT_TRUE(census) << census.error().message;
  std::vector<io::Fd> kept;
  constexpr unsigned kMany = 3000;
  for (unsigned i = 0; i < kMany; ++i) {
    kept.push_back(ours.connect());
    kept.push_back(ours.accept());
    ASSERT_TRUE(kept.back());
  }
  unsigned seen = 0;
  auto totals = census->take([&](const census_socket& socket) { seen += socket.state == 1; });
  ASSERT_TRUE(totals);
  EXPECT_EQ(seen, kMany);
  EXPECT_EQ(totals->states[1], kMany);
}

INSTANTIATE_TEST_SUITE_P(Families, CensusTest, testing::Values(AF_INET, AF_INET6),
                         [](const auto& info) { return info.param == AF_INET ? "ipv4" : "ipv6"; });

}  // namespace
}  // namespace dormouse::ebpf
