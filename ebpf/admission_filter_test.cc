// The filter on real listeners of 127.0.0.1 and ::1.

#include "ebpf/admission_filter.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <vector>

#include "ebpf/admission.h"
#include "ebpf/test_sockets.h"
#include "io/fd.h"

namespace dormouse::ebpf {
namespace {

using test::connected;
using test::Listener;
using test::refused;

class Filter : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    auto loaded = AdmissionFilter::load();
    if (!loaded && loaded.error().kind == ErrorKind::kDenied) {
      GTEST_SKIP() << loaded.error().message;
    }
    ASSERT_TRUE(loaded) << loaded.error().message;
    filter_.emplace(std::move(*loaded));
    auto control = AdmissionControl::over(filter_->rates_fd());
    ASSERT_TRUE(control) << control.error().message;
    control_ = std::move(*control);
  }
  std::optional<AdmissionFilter> filter_;
  AdmissionControl control_;
};

TEST_P(Filter, what_is_over_the_rate_waits_and_is_not_refused) {
  Listener listener(GetParam());
  Listener other(GetParam());
  ASSERT_TRUE(filter_->attach(listener.socket.get()));
  control_.set_rates({.per_second = 1, .burst = 4, .prefix_percent = 100});
  std::vector<io::Fd> clients;
  unsigned in = 0;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(listener.connect());
    in += connected(clients.back()) ? 1 : 0;
    EXPECT_FALSE(refused(clients.back()));
  }
  EXPECT_GE(in, 4u);
  EXPECT_LT(in, 8u);
  EXPECT_TRUE(connected(other.connect())) << "a listener without the filter";
  AdmissionCounters counters = filter_->counters();
  EXPECT_EQ(counters[ADMISSION_WITHIN], in);
  EXPECT_GE(counters[ADMISSION_DROPPED_RATE], 8 - in);
  EXPECT_EQ(counters[ADMISSION_COMPLETED], in);
  // TCP asks again by itself, and gets in.
  control_.set_rates({});
  for (const io::Fd& client : clients) {
    pollfd wait{.fd = client.get(), .events = POLLOUT, .revents = 0};
    ASSERT_EQ(::poll(&wait, 1, 10'000), 1);
    EXPECT_TRUE(connected(client));
  }
}

TEST_P(Filter, connections_that_are_in_are_untouched_when_nobody_else_gets_in) {
  Listener listener(GetParam());
  ASSERT_TRUE(filter_->attach(listener.socket.get()));
  control_.set_rates({.per_second = 1, .burst = 2, .prefix_percent = 100});
  io::Fd client = listener.connect();
  ASSERT_TRUE(connected(client));
  io::Fd before_detach = listener.accept();
  while (connected(listener.connect())) continue;
  for (bool detached : {false, true}) {
    if (detached) detach_filter(before_detach.get());
    char byte = 'x';
    EXPECT_EQ(::send(client.get(), &byte, 1, 0), 1);
    EXPECT_EQ(::recv(before_detach.get(), &byte, 1, 0), 1);
    EXPECT_EQ(::send(before_detach.get(), &byte, 1, 0), 1);
    pollfd wait{.fd = client.get(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&wait, 1, 10'000), 1);
    EXPECT_EQ(::recv(client.get(), &byte, 1, 0), 1);
  }
}

TEST_P(Filter, an_accepted_socket_loses_the_filter_and_the_listener_keeps_it) {
  Listener listener(GetParam());
  ASSERT_TRUE(filter_->attach(listener.socket.get()));
  io::Fd client = listener.connect();
  ASSERT_TRUE(connected(client));
  io::Fd accepted = listener.accept();
  ASSERT_TRUE(accepted);
  int none = 0;
  detach_filter(accepted.get());
  EXPECT_EQ(setsockopt(accepted.get(), SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none), -1);
  EXPECT_EQ(errno, ENOENT);
  const uint64_t before = filter_->counters()[ADMISSION_UNPACED];
  EXPECT_TRUE(connected(listener.connect()));
  EXPECT_EQ(filter_->counters()[ADMISSION_UNPACED], before + 1);
}

INSTANTIATE_TEST_SUITE_P(Families, Filter, testing::Values(AF_INET, AF_INET6),
                         [](const auto& info) { return info.param == AF_INET ? "ipv4" : "ipv6"; });

}  // namespace
}  // namespace dormouse::ebpf
