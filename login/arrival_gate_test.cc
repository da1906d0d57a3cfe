#include "login/arrival_gate.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <map>
#include <vector>

#include "ebpf/admission.h"

namespace dormouse::login {
namespace {

constexpr uint64_t kSecondNs = 1'000'000'000;

// Clients known by their ports, which come from one network.
class ArrivalGateTest : public testing::Test {
 protected:
  Arrival client(uint16_t port, bool implicit_tls = false) {
    int ends[2] = {-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    clients_[port] = io::Fd(ends[1]);
    return {.socket = io::Fd(ends[0]),
            .peer = {.key = {.bytes = {4, 10, 0, 0, 1}}, .text = "10.0.0.1", .port = port},
            .local_port = 143,
            .implicit_tls = implicit_tls};
  }
  bool come(uint16_t port) { return gate_.offer(client(port), rates_, now_ns_).has_value(); }
  std::vector<uint16_t> let_in() {
    std::vector<uint16_t> ports;
    while (auto arrival = gate_.next(rates_, now_ns_)) ports.push_back(arrival->peer.port);
    return ports;
  }

  ArrivalGate gate_{5};
  admission_rates rates_ = ebpf::limits_of({.per_second = 1, .burst = 2, .prefix_percent = 100});
  uint64_t now_ns_ = 100 * kSecondNs;
  std::map<uint16_t, io::Fd> clients_;
};

using Ports = std::vector<uint16_t>;

TEST_F(ArrivalGateTest, beyond_the_pace_they_are_held_and_come_in_their_order) {
  EXPECT_TRUE(come(1));
  EXPECT_TRUE(come(2));
  EXPECT_FALSE(come(3));
  EXPECT_FALSE(come(4));
  EXPECT_EQ(gate_.held(), 2u);
  EXPECT_EQ(let_in(), Ports{});
  EXPECT_GT(gate_.wait_ms(rates_, now_ns_), 0u);
  now_ns_ += 2 * kSecondNs;
  EXPECT_EQ(let_in(), (Ports{3, 4}));
  EXPECT_EQ(gate_.held(), 0u);
  EXPECT_EQ(gate_.wait_ms(rates_, now_ns_), 0u);
}

TEST_F(ArrivalGateTest, what_was_accepted_is_what_comes_out) {
  for (uint16_t port = 1; port <= 3; ++port) (void)come(port);
  now_ns_ += kSecondNs;
  auto arrival = gate_.next(rates_, now_ns_);
  ASSERT_TRUE(arrival);
  EXPECT_EQ(arrival->local_port, 143);
  ASSERT_EQ(::send(arrival->socket.get(), "x", 1, MSG_NOSIGNAL), 1);
  char byte = 0;
  EXPECT_EQ(::recv(clients_[3].get(), &byte, 1, MSG_DONTWAIT), 1);
}

TEST_F(ArrivalGateTest, no_more_are_held_than_there_is_room_for) {
  for (uint16_t port = 1; port <= 2 + 5; ++port) {
    EXPECT_TRUE(gate_.has_room());
    (void)come(port);
  }
  EXPECT_FALSE(gate_.has_room());
  now_ns_ += kSecondNs;
  EXPECT_EQ(let_in(), Ports{3});
  EXPECT_TRUE(gate_.has_room());
}

TEST_F(ArrivalGateTest, who_has_hung_up_takes_nobodys_turn) {
  for (uint16_t port = 1; port <= 5; ++port) (void)come(port);
  clients_[3].reset();
  ::shutdown(clients_[4].get(), SHUT_WR);
  now_ns_ += kSecondNs;
  EXPECT_EQ(let_in(), Ports{5}) << "with the one token there is";
  EXPECT_EQ(gate_.gave_up(), 2u);
  EXPECT_EQ(gate_.held(), 0u);
}

TEST_F(ArrivalGateTest, who_has_said_all_and_listens_is_served_unless_it_was_the_beginning_of_tls) {
  for (uint16_t port = 1; port <= 3; ++port) (void)come(port);
  ASSERT_FALSE(gate_.offer(client(4, true), rates_, now_ns_));
  for (uint16_t port : {3, 4}) {
    ASSERT_EQ(::send(clients_[port].get(), "a1 NOOP\r\n", 9, MSG_NOSIGNAL), 9);
    ::shutdown(clients_[port].get(), SHUT_WR);
  }
  now_ns_ += 5 * kSecondNs;
  EXPECT_EQ(let_in(), Ports{3});
  EXPECT_EQ(gate_.gave_up(), 1u);
}

TEST_F(ArrivalGateTest, while_the_process_is_behind_nobody_goes_through_at_once) {
  rates_ = {};
  gate_.note_lag(kLagMsMax);
  EXPECT_TRUE(come(1));
  gate_.note_lag(kLagMsMax + 1);
  EXPECT_FALSE(come(2)) << "whatever the rates say";
  EXPECT_FALSE(come(3));
  auto first = gate_.next(rates_, now_ns_);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->peer.port, 2);
  gate_.note_lag(0);
  EXPECT_EQ(let_in(), Ports{3});
  EXPECT_TRUE(come(4));
}

TEST_F(ArrivalGateTest, all_can_be_given_up) {
  for (uint16_t port = 1; port <= 5; ++port) (void)come(port);
  Ports ports;
  while (auto arrival = gate_.next_unpaced()) ports.push_back(arrival->peer.port);
  EXPECT_EQ(ports, (Ports{3, 4, 5}));
  EXPECT_EQ(gate_.held(), 0u);
}

}  // namespace
}  // namespace dormouse::login
