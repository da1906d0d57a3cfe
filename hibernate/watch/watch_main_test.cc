// The watch as a process in its sandbox, with this test as its master.

#include "hibernate/watch/watch_main.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "hibernate/watch/fanotify_group.h"
#include "wire/control.pb.h"
#include "wire/den_watch.pb.h"
#include "wire/link.h"

namespace dormouse::hibernate {
namespace {

namespace fs = std::filesystem;

template <class T>
T next(io::Channel& from) {
  pollfd wait{.fd = from.fd(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&wait, 1, 20'000), 1);
  auto got = wire::try_receive<T>(from);
  EXPECT_TRUE(got) << (got ? "" : got.error().message);
  return got ? got->message : T();
}

class WatchProcess : public testing::TestWithParam<std::string> {};

TEST_P(WatchProcess, tells_a_delivery_inside_its_sandbox) {
  io::Fd group;
  if (GetParam() == "fanotify") {
    auto made = make_fanotify_group(testing::TempDir());
    if (!made) GTEST_SKIP() << made.error().message;
    group = std::move(*made);
  }
  std::string root = testing::TempDir() + "dormouse_watch_XXXXXX";
  ASSERT_NE(mkdtemp(root.data()), nullptr);
  auto ends = io::Channel::pair();
  ASSERT_TRUE(ends);
  io::Channel control = std::move(ends->first);
  pid_t child = fork();
  if (child == 0) {
    control.close();
    group.reset();
    if (ends->second.fd() != 3) dup2(ends->second.fd(), 3);
    std::exit(watch_main());
  }
  ends->second.close();
  wire::MasterToRole start;
  start.mutable_start()->set_role(wire::WATCH);
  auto* settings = start.mutable_start()->mutable_settings();
  settings->set_log_level("error");
  settings->mutable_watch()->set_backend(GetParam());
  settings->mutable_watch()->set_polling_ms(200);
  settings->mutable_watch()->set_mail_root(root);
  ASSERT_TRUE(wire::try_send(control, start));
  if (group) {
    wire::MasterToRole resource;
    resource.mutable_resource()->set_kind(wire::MasterToRole::Resource::FANOTIFY);
    int fd = group.get();
    ASSERT_TRUE(wire::try_send(control, resource, std::span(&fd, 1)));
  }
  wire::MasterToRole go;
  go.mutable_go();
  ASSERT_TRUE(wire::try_send(control, go));
  ASSERT_TRUE(next<wire::RoleToMaster>(control).has_ready());
  auto link = io::Channel::pair();
  wire::MasterToRole give;
  give.mutable_link()->set_peer(wire::DEN);
  int fd = link->first.fd();
  ASSERT_TRUE(wire::try_send(control, give, std::span(&fd, 1)));
  io::Channel& den = link->second;
  auto mode = next<wire::WatchToDen>(den);
  EXPECT_EQ(mode.mode().name(), GetParam());
  EXPECT_EQ(mode.mode().by_handle(), GetParam() == "fanotify");
  EXPECT_TRUE(next<wire::WatchToDen>(den).lost().subscribe_again());
  wire::DenToWatch subscribe;
  subscribe.mutable_subscribe()->set_watch(5);
  auto* directory = subscribe.mutable_subscribe()->add_directories();
  directory->set_path(root);
  auto handle = directory_handle(root);
  if (handle) directory->set_handle(*handle);
  ASSERT_TRUE(wire::try_send(den, subscribe));
  auto subscribed = next<wire::WatchToDen>(den);
  EXPECT_TRUE(subscribed.subscribed().watched()) << subscribed.subscribed().reason();
  std::ofstream(fs::path(root) / "1") << "mail";
  auto told = next<wire::WatchToDen>(den);
  // Or lost: a file system mark hears of everybody's files, and others may fill the queue.
  if (!told.has_lost()) {
    const auto& changed = told.changed();
    uint32_t watch = changed.arrived_size() > 0   ? changed.arrived(0).watch()
                     : changed.watches_size() > 0 ? changed.watches(0)
                                                  : 0;
    EXPECT_EQ(watch, 5u);
  }
  wire::MasterToRole drain;
  drain.mutable_drain();
  ASSERT_TRUE(wire::try_send(control, drain));
  EXPECT_TRUE(next<wire::RoleToMaster>(control).has_drained());
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  fs::remove_all(root);
}

INSTANTIATE_TEST_SUITE_P(All, WatchProcess, testing::Values("fanotify", "inotify", "polling"),
                         [](const auto& parameter) { return parameter.param; });

}  // namespace
}  // namespace dormouse::hibernate
