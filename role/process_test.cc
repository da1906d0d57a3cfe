#include "role/process.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>

#include "role/log.h"
#include "role/scheduling.h"
#include "wire/link.h"

namespace dormouse::role {
namespace {

using namespace std::chrono_literals;

// What the role under test does: answers "<text>|" on every link it gets, views its settings.
class Echo final : public Role {
 public:
  explicit Echo(Process& process) : process_(process) {}
  Result<> start() override { return {}; }
  void link(Link link) override {
    wire::RoleToMaster message;
    message.mutable_view_text()->set_text(link.user + "|");
    [[maybe_unused]] auto sent = wire::try_send(link.channel, message);
    wire::RoleToMaster::StartWorker request;
    request.set_request(link.request);
    request.set_user(link.user);
    process_.start_worker(request);
  }
  void worker_failed(uint64_t request, const std::string& reason) override {
    failed_ = fmt::format("{} {}", request, reason);
  }
  void reload() override {
    certificates_ = process_.take_resources(wire::MasterToRole::Resource::CERTIFICATE).size();
  }
  void drain(uint32_t, const std::string& text) override {
    if (text != "be busy") return process_.drained();
    process_.scope().spawn(be_busy());
  }
  // For two seconds a whole CPU, then each tenth of a second next to nothing.
  io::Task<void> be_busy() {
    using Clock = std::chrono::steady_clock;
    for (auto end = Clock::now() + 2s; Clock::now() < end;) {
      for (auto turn = Clock::now() + 10ms; Clock::now() < turn;) continue;
      if (auto yielded = co_await process_.loop().yield(); !yielded) co_return;
    }
    while (co_await process_.loop().sleep(100)) continue;
  }
  std::string view() override {
    return fmt::format("greeting {} certificates {} failed {}\n",
                       process_.settings().login().greeting(), certificates_, failed_) +
           std::string(70'000, 'v') + "\n";
  }

 private:
  Process& process_;
  std::string failed_ = "none";
  size_t certificates_ = 0;
};

// A role process, and this test as its master.
class ProcessTest : public testing::Test {
 protected:
  void SetUp() override {
    auto ends = io::Channel::pair();
    ASSERT_TRUE(ends);
    control_ = std::move(ends->first);
    child_ = fork();
    if (child_ == 0) {
      ::setsid();  // as the master starts them
      control_.close();
      if (ends->second.fd() != 3) dup2(ends->second.fd(), 3);
      set_log_level(LogLevel::kError);
      Process process;
      Echo echo(process);
      std::exit(process.run(echo));
    }
  }
  void TearDown() override {
    control_.close();
    if (child_ > 0) {
      int status = 0;
      waitpid(child_, &status, 0);
    }
  }
  void tell(const wire::MasterToRole& message, std::span<const int> fds = {}) {
    ASSERT_TRUE(wire::try_send(control_, message, fds));
  }
  void start_role(wire::Role role = wire::LOGIN, const char* scheduling = "fair") {
    wire::MasterToRole message;
    auto* start = message.mutable_start();
    start->set_role(role);
    start->mutable_settings()->set_wake_scheduling(scheduling);
    start->set_index(1);
    start->mutable_settings()->mutable_login()->set_greeting("first");
    start->mutable_settings()->set_log_level("error");
    tell(message);
    wire::MasterToRole go;
    go.mutable_go();
    tell(go);
    EXPECT_TRUE(next(control_).has_ready());
  }
  static wire::RoleToMaster next(io::Channel& from) {
    pollfd wait{.fd = from.fd(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(poll(&wait, 1, 10'000), 1);
    auto received = wire::try_receive<wire::RoleToMaster>(from);
    EXPECT_TRUE(received) << received.error().message;
    return received ? received->message : wire::RoleToMaster();
  }
  std::string view() {
    wire::MasterToRole ask;
    ask.mutable_view()->set_request(9);
    tell(ask);
    std::string text;
    while (true) {
      wire::RoleToMaster message = next(control_);
      if (!message.has_view_text() || message.view_text().request() != 9) return "no view";
      text += message.view_text().text();
      if (message.view_text().last()) return text;
    }
  }
  int ended() {
    int status = -1;
    EXPECT_EQ(waitpid(child_, &status, 0), child_);
    child_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  io::Channel control_;
  pid_t child_ = -1;
};

TEST_F(ProcessTest, a_role_gets_ready_and_ends_by_a_drain) {
  start_role();
  wire::MasterToRole drain;
  drain.mutable_drain()->set_text("bye");
  tell(drain);
  EXPECT_TRUE(next(control_).has_drained());
  EXPECT_EQ(ended(), EXIT_SUCCESS);
}

TEST_F(ProcessTest, a_view_longer_than_a_datagram_comes_whole_and_in_order) {
  start_role();
  std::string text = view();
  EXPECT_TRUE(text.starts_with("greeting first certificates 0 failed none\n"));
  EXPECT_EQ(text.size(),
            std::string("greeting first certificates 0 failed none\n").size() + 70'001);
}

TEST_F(ProcessTest, a_reload_brings_settings_and_certificates_together) {
  start_role();
  for (int i = 0; i < 2; ++i) {
    wire::MasterToRole certificate;
    certificate.mutable_resource()->set_kind(wire::MasterToRole::Resource::CERTIFICATE);
    tell(certificate);
  }
  wire::MasterToRole reload;
  reload.mutable_reload()->mutable_settings()->mutable_login()->set_greeting("second");
  tell(reload);
  EXPECT_TRUE(view().starts_with("greeting second certificates 2 failed none\n"));
}

TEST_F(ProcessTest, links_arrive_with_their_descriptor_and_workers_are_asked_for) {
  start_role();
  auto ends = io::Channel::pair();
  ASSERT_TRUE(ends);
  wire::MasterToRole link;
  link.mutable_link()->set_user("mouse");
  link.mutable_link()->set_request(4);
  int fd = ends->second.fd();
  tell(link, std::span(&fd, 1));
  EXPECT_EQ(next(ends->first).view_text().text(), "mouse|");
  wire::RoleToMaster asked = next(control_);
  EXPECT_EQ(asked.start_worker().request(), 4u);
  EXPECT_EQ(asked.start_worker().user(), "mouse");
  wire::MasterToRole failed;
  failed.mutable_start_worker_failed()->set_request(4);
  failed.mutable_start_worker_failed()->set_reason("too many");
  tell(failed);
  EXPECT_NE(view().find("failed 4 too many\n"), std::string::npos);
}

TEST_F(ProcessTest, who_serves_sleepers_has_short_time_slices) {
  start_role(wire::TRACKER);
  auto slice = time_slice_of(child_);
  ASSERT_TRUE(slice) << slice.error().message;
  if (*slice == 0ns) GTEST_SKIP() << "this kernel has no time slices of a task's own";
  EXPECT_EQ(*slice, kShortSlice);
}

TEST_F(ProcessTest, the_others_keep_the_time_slice_they_were_given) {
  start_role(wire::LOGIN);
  EXPECT_EQ(time_slice_of(child_).value(), time_slice_of(0).value());
}

// "/autogroup-12 nice -10": the group of the process's session, as the kernel weighs it; empty
// where it has none.
std::string autogroup_of(pid_t process) {
  std::string text;
  std::ifstream file(fmt::format("/proc/{}/autogroup", process));
  std::getline(file, text);
  return text;
}

TEST_F(ProcessTest, who_serves_sleepers_has_more_weight_than_the_others) {
  const int ours = ::getpriority(PRIO_PROCESS, 0);
  start_role(wire::DEN, "weight");
  EXPECT_EQ(::sched_getscheduler(child_) & ~SCHED_RESET_ON_FORK, SCHED_OTHER);
  if (::geteuid() != 0) {
    EXPECT_EQ(::getpriority(PRIO_PROCESS, id_t(child_)), ours);
    GTEST_SKIP() << "not root: the weight stays what it is";
  }
  EXPECT_EQ(::getpriority(PRIO_PROCESS, id_t(child_)), std::max(ours + kSleepersNice, -20));
  std::string group = autogroup_of(child_);
  if (!group.starts_with("/autogroup-")) GTEST_SKIP() << "no groups of sessions: " << group;
  EXPECT_NE(group, autogroup_of(::getpid()));
  EXPECT_TRUE(group.ends_with(fmt::format(" nice {}", ours + kSleepersNice))) << group;
}

TEST_F(ProcessTest, the_others_keep_the_weight_they_were_given) {
  start_role(wire::WORKER, "realtime");
  EXPECT_EQ(::sched_getscheduler(child_), SCHED_OTHER);
  EXPECT_EQ(::getpriority(PRIO_PROCESS, id_t(child_)), ::getpriority(PRIO_PROCESS, 0));
  std::string group = autogroup_of(child_);
  EXPECT_TRUE(group.empty() || group.ends_with(" nice 0")) << group;
}

TEST_F(ProcessTest, fair_is_no_more_weight_for_anybody) {
  start_role(wire::DEN, "fair");
  EXPECT_EQ(::sched_getscheduler(child_), SCHED_OTHER);
  EXPECT_EQ(::getpriority(PRIO_PROCESS, id_t(child_)), ::getpriority(PRIO_PROCESS, 0));
}

TEST_F(ProcessTest, den_and_watch_are_real_time_and_the_tracker_is_not) {
  start_role(wire::DEN, "realtime");
  if (::geteuid() != 0) GTEST_SKIP() << "not root: no real time";
  EXPECT_EQ(::sched_getscheduler(child_), SCHED_RR | SCHED_RESET_ON_FORK);
}

TEST_F(ProcessTest, the_tracker_has_weight_where_others_have_real_time) {
  start_role(wire::TRACKER, "realtime");
  EXPECT_EQ(::sched_getscheduler(child_), SCHED_OTHER);
  EXPECT_EQ(::getpriority(PRIO_PROCESS, id_t(child_)),
            ::getpriority(PRIO_PROCESS, 0) + (::geteuid() == 0 ? kSleepersNice : 0));
}

// From within the sandbox, too.
TEST_F(ProcessTest, who_takes_more_than_half_of_a_cpu_leaves_real_time_until_it_takes_less) {
  start_role(wire::WATCH, "realtime");
  if (::geteuid() != 0) GTEST_SKIP() << "not root: no real time";
  auto policy_becomes = [this](int wanted) {
    for (int i = 0; i < 1000; ++i) {
      if ((::sched_getscheduler(child_) & ~SCHED_RESET_ON_FORK) == wanted) return true;
      ::usleep(10'000);
    }
    return false;
  };
  ASSERT_TRUE(policy_becomes(SCHED_RR));
  wire::MasterToRole busy;
  busy.mutable_drain()->set_text("be busy");
  tell(busy);
  EXPECT_TRUE(policy_becomes(SCHED_OTHER));
  EXPECT_EQ(time_slice_of(child_).value(), kShortSlice);
  EXPECT_TRUE(policy_becomes(SCHED_RR));
}

TEST_F(ProcessTest, a_role_ends_when_its_master_is_gone) {
  start_role();
  control_.close();
  EXPECT_EQ(ended(), EXIT_FAILURE);
}

TEST_F(ProcessTest, a_role_that_hears_nonsense_before_its_start_gives_up) {
  ASSERT_TRUE(control_.try_send("\xff\xff\xff nonsense"));
  EXPECT_EQ(ended(), EXIT_FAILURE);
}

}  // namespace
}  // namespace dormouse::role
