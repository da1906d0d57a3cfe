#include "login/penalties.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include "login/limits.h"

namespace dormouse::login {
namespace {

AddressKey key(unsigned char n) {
  AddressKey made;
  made.bytes[0] = 4;
  made.bytes[4] = n;
  return made;
}

TEST(Penalties, delays_double_up_to_a_bound) {
  EXPECT_EQ(doubled_delay_ms(100, 0), 0u);
  EXPECT_EQ(doubled_delay_ms(100, 1), 100u);
  EXPECT_EQ(doubled_delay_ms(100, 4), 800u);
  EXPECT_EQ(doubled_delay_ms(100, 4'000'000'000), kDelayMsMax);
}

TEST(Penalties, an_address_waits_after_many_failures_only) {
  Penalties penalties(10);
  for (uint32_t i = 0; i < kFreeFailures; ++i) penalties.failed(key(1), 0);
  EXPECT_EQ(penalties.wait_ms(key(1), 100, 0), 0u);
  penalties.failed(key(1), 1000);
  EXPECT_EQ(penalties.wait_ms(key(1), 100, 1000), 100u);
  EXPECT_EQ(penalties.wait_ms(key(1), 100, 1060), 40u) << "time passed counts";
  EXPECT_EQ(penalties.wait_ms(key(1), 100, 1100), 0u);
  EXPECT_EQ(penalties.wait_ms(key(2), 100, 1000), 0u);
}

TEST(Penalties, failures_fade) {
  Penalties penalties(10);
  for (uint32_t i = 0; i < 2 * kFreeFailures; ++i) penalties.failed(key(1), 0);
  penalties.failed(key(1), kFailureHalfLifeMs);
  EXPECT_EQ(penalties.wait_ms(key(1), 100, kFailureHalfLifeMs), 100u) << "half of 20, and one";
}

TEST(Penalties, the_longest_quiet_address_is_forgotten_first) {
  Penalties penalties(2);
  for (uint32_t i = 0; i < kFreeFailures + 5; ++i) {
    penalties.failed(key(1), 0);
    penalties.failed(key(2), 0);
  }
  penalties.failed(key(1), 0);
  penalties.failed(key(3), 0);
  EXPECT_EQ(penalties.size(), 2u);
  EXPECT_GT(penalties.wait_ms(key(1), 100, 0), 0u);
  EXPECT_EQ(penalties.wait_ms(key(2), 100, 0), 0u);
}

PeerAddress peer(int family, const char* text) {
  sockaddr_storage storage{};
  if (family == AF_INET) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(4711);
    EXPECT_EQ(inet_pton(AF_INET, text, &v4->sin_addr), 1);
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(4711);
    EXPECT_EQ(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
  }
  return PeerAddress::from(storage);
}

TEST(PeerAddress, one_customer_has_one_key) {
  EXPECT_EQ(peer(AF_INET, "192.0.2.1").text, "192.0.2.1");
  EXPECT_EQ(peer(AF_INET, "192.0.2.1").port, 4711);
  EXPECT_EQ(peer(AF_INET6, "::ffff:192.0.2.1").text, "192.0.2.1");
  EXPECT_EQ(peer(AF_INET6, "::ffff:192.0.2.1").key, peer(AF_INET, "192.0.2.1").key);
  EXPECT_EQ(peer(AF_INET6, "2001:db8::1").key, peer(AF_INET6, "2001:db8::2").key);
  EXPECT_FALSE(peer(AF_INET6, "2001:db8::1").key == peer(AF_INET6, "2001:db8:0:1::1").key);
  EXPECT_TRUE(peer(AF_INET, "127.9.9.9").loopback);
  EXPECT_TRUE(peer(AF_INET6, "::1").loopback);
  EXPECT_TRUE(peer(AF_INET6, "::ffff:127.0.0.1").loopback);
  EXPECT_FALSE(peer(AF_INET, "10.0.0.1").loopback);
}

}  // namespace
}  // namespace dormouse::login
