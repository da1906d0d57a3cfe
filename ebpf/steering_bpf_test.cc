#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

#include "ebpf/steering.h"
#include "ebpf/test_sockets.h"

namespace dormouse::ebpf {
namespace {

using test::Group;

std::string address(unsigned i) { return fmt::format("127.0.{}.{}", i / 200, 1 + i % 200); }

class BpfSteering : public testing::Test {
 protected:
  static constexpr uint32_t kProcesses = 3;

  void SetUp() override {
    auto steering = make_bpf_steering(kProcesses);
    if (!steering && steering.error().kind == ErrorKind::kDenied) {
      GTEST_SKIP() << steering.error().message;
    }
    ASSERT_TRUE(steering) << steering.error().message;
    steering_ = std::move(*steering);
    for (uint32_t process = 0; process < kProcesses; ++process) {
      auto report = QueueReport::over(steering_->queue_fd(process));
      ASSERT_TRUE(report) << report.error().message;
      reports_.push_back(std::move(*report));
    }
  }
  void all_ready() {
    for (uint32_t process = 0; process < kProcesses; ++process) steering_->set_ready(process, true);
  }
  void queues(uint32_t a, uint32_t b, uint32_t c) {
    reports_[0].tell(a, true);
    reports_[1].tell(b, true);
    reports_[2].tell(c, true);
  }

  std::unique_ptr<Steering> steering_;
  std::vector<QueueReport> reports_;
};

TEST_F(BpfSteering, a_new_address_goes_to_the_shortest_queue) {
  Group group(AF_INET, kProcesses);
  ASSERT_TRUE(steering_->attach(group.sockets()));
  all_ready();
  queues(5, 3, 9);
  EXPECT_EQ(group.who_gets(address(1)), 1);
  queues(5, 6, 9);
  EXPECT_EQ(group.who_gets(address(2)), 0);
  queues(5, 6, 0);
  EXPECT_EQ(group.who_gets(address(3)), 2);
  EXPECT_EQ(steering_->counters()[STEERED_NEW], 3u);
}

// The report is as old as the process's last turn; what was sent since counts.
TEST_F(BpfSteering, a_burst_is_spread_before_anybody_has_reported) {
  Group group(AF_INET, kProcesses);
  ASSERT_TRUE(steering_->attach(group.sockets()));
  all_ready();
  queues(0, 0, 0);
  std::array<unsigned, kProcesses> got{};
  for (unsigned i = 0; i < 300; ++i) ++got.at(size_t(group.who_gets(address(i))));
  for (unsigned one : got) EXPECT_EQ(one, 100u);
}

TEST_F(BpfSteering, an_address_stays_with_its_process_until_the_queue_there_is_much_longer) {
  Group group(AF_INET, kProcesses);
  ASSERT_TRUE(steering_->attach(group.sockets()));
  all_ready();
  queues(1, 0, 1);
  ASSERT_EQ(group.who_gets(address(1)), 1);
  queues(5, 2 * 5 + STEERING_SLACK, 5);
  EXPECT_EQ(group.who_gets(address(1)), 1) << "still well";
  queues(5, 2 * 5 + STEERING_SLACK + 1, 6);
  EXPECT_EQ(group.who_gets(address(1)), 0);
  queues(0, 0, 0);
  EXPECT_EQ(group.who_gets(address(1)), 0) << "its process from now on";
  EXPECT_EQ(steering_->counters()[STEERED_HOME], 2u);
  EXPECT_EQ(steering_->counters()[STEERED_AWAY], 1u);
}

TEST_F(BpfSteering, a_process_that_is_not_ready_gets_nothing_not_even_its_own_addresses) {
  Group group(AF_INET, kProcesses);
  ASSERT_TRUE(steering_->attach(group.sockets()));
  all_ready();
  queues(1, 0, 1);
  ASSERT_EQ(group.who_gets(address(1)), 1);
  steering_->set_ready(1, false);
  queues(1000, 0, 1000);
  EXPECT_NE(group.who_gets(address(1)), 1);
  for (unsigned i = 2; i < 100; ++i) EXPECT_NE(group.who_gets(address(i)), 1);
  steering_->set_ready(1, true);
  EXPECT_EQ(group.who_gets(address(100)), 1) << "again, with an empty queue";
}

TEST_F(BpfSteering, when_nobody_is_ready_connections_still_wait_somewhere) {
  Group group(AF_INET, kProcesses);
  ASSERT_TRUE(steering_->attach(group.sockets()));
  EXPECT_GE(group.who_gets(address(1)), 0);
  EXPECT_EQ(steering_->counters()[STEERED_NOWHERE], 1u);
}

TEST_F(BpfSteering, several_addresses_share_queues_and_homes) {
  Group imap(AF_INET, kProcesses);
  Group imaps(AF_INET, kProcesses);
  Group six(AF_INET6, kProcesses);
  for (const Group* group : {&imap, &imaps, &six}) {
    ASSERT_TRUE(steering_->attach(group->sockets()));
  }
  all_ready();
  queues(2, 2, 0);
  EXPECT_EQ(imap.who_gets(address(1)), 2);
  queues(0, 0, 2);
  EXPECT_EQ(imaps.who_gets(address(1)), 2);
  queues(1, 0, 2);
  EXPECT_EQ(six.who_gets(), 1);
  queues(0, 1, 0);
  EXPECT_EQ(six.who_gets(), 1);
}

}  // namespace
}  // namespace dormouse::ebpf
