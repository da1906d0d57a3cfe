#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "ebpf/steering.h"
#include "ebpf/test_sockets.h"

namespace dormouse::ebpf {
namespace {

using test::Group;

std::string address(unsigned i) { return fmt::format("127.0.{}.{}", i / 200, 1 + i % 200); }

TEST(HashSteering, an_address_always_goes_to_the_same_process_and_addresses_are_spread) {
  Group group(AF_INET, 4);
  auto steering = make_hash_steering(4);
  ASSERT_TRUE(steering->attach(group.sockets()));
  for (uint32_t process = 0; process < 4; ++process) steering->set_ready(process, true);
  std::map<int, unsigned> share;
  for (unsigned i = 0; i < 400; ++i) {
    int first = group.who_gets(address(i));
    ++share[first];
    if (i < 20) EXPECT_EQ(group.who_gets(address(i)), first);
  }
  ASSERT_EQ(share.size(), 4u);
  for (const auto& [process, count] : share) EXPECT_GE(count, 50u) << "process " << process;
}

TEST(HashSteering, a_process_that_is_not_ready_gets_nothing) {
  Group group(AF_INET, 3);
  auto steering = make_hash_steering(3);
  ASSERT_TRUE(steering->attach(group.sockets()));
  for (uint32_t process = 0; process < 3; ++process) steering->set_ready(process, true);
  steering->set_ready(1, false);
  for (unsigned i = 0; i < 100; ++i) EXPECT_NE(group.who_gets(address(i)), 1);
  steering->set_ready(1, true);
  std::set<int> seen;
  for (unsigned i = 0; i < 100; ++i) seen.insert(group.who_gets(address(i)));
  EXPECT_EQ(seen, (std::set{0, 1, 2}));
}

TEST(HashSteering, when_nobody_is_ready_connections_still_wait_somewhere) {
  for (int family : {AF_INET, AF_INET6}) {
    Group group(family, 3);
    auto steering = make_hash_steering(3);
    ASSERT_TRUE(steering->attach(group.sockets()));
    EXPECT_GE(group.who_gets(), 0);
    steering->set_ready(2, true);
    EXPECT_EQ(group.who_gets(), 2);
    steering->set_ready(2, false);
    EXPECT_GE(group.who_gets(), 0);
  }
}

TEST(HashSteering, as_many_processes_as_there_may_be) {
  Group group(AF_INET, STEERING_PROCESSES_MAX);
  auto steering = make_hash_steering(STEERING_PROCESSES_MAX);
  ASSERT_TRUE(steering->attach(group.sockets()));
  for (uint32_t process = 0; process < STEERING_PROCESSES_MAX; ++process) {
    steering->set_ready(process, true);
  }
  EXPECT_GE(group.who_gets(), 0);
}

}  // namespace
}  // namespace dormouse::ebpf
