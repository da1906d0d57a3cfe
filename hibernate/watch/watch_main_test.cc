// The watch as a process in its sandbox, with this test as its master.

#include "hibernate/watch/watch_main.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "hibernate/watch/fanotify_group.h"
#include "role/test_master.h"
#include "wire/den_watch.pb.h"

namespace dormouse::hibernate {
namespace {

namespace fs = std::filesystem;

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
  role::TestMaster master;
  master.fork_role(watch_main);
  wire::Settings settings;
  settings.set_log_level("error");
  settings.mutable_watch()->set_backend(GetParam());
  settings.mutable_watch()->set_polling_ms(200);
  settings.mutable_watch()->set_mail_root(root);
  master.start(wire::WATCH, settings);
  if (group) master.give(wire::MasterToRole::Resource::FANOTIFY, "", group.get());
  master.go();
  io::Channel den = master.link(wire::DEN);
  auto mode = role::next<wire::WatchToDen>(den);
  EXPECT_EQ(mode.mode().name(), GetParam());
  EXPECT_EQ(mode.mode().by_handle(), GetParam() == "fanotify");
  EXPECT_TRUE(role::next<wire::WatchToDen>(den).lost().subscribe_again());
  wire::DenToWatch subscribe;
  subscribe.mutable_subscribe()->set_watch(5);
  auto* directory = subscribe.mutable_subscribe()->add_directories();
  directory->set_path(root);
  auto handle = directory_handle(root);
  if (handle) directory->set_handle(*handle);
  ASSERT_TRUE(wire::try_send(den, subscribe));
  auto subscribed = role::next<wire::WatchToDen>(den);
  EXPECT_TRUE(subscribed.subscribed().watched()) << subscribed.subscribed().reason();
  std::ofstream(fs::path(root) / "1") << "mail";
  auto told = role::next<wire::WatchToDen>(den);
  // Or lost: a file system mark hears of everybody's files, and others may fill the queue.
  if (!told.has_lost()) {
    const auto& changed = told.changed();
    uint32_t watch = changed.arrived_size() > 0   ? changed.arrived(0).watch()
                     : changed.watches_size() > 0 ? changed.watches(0)
                                                  : 0;
    EXPECT_EQ(watch, 5u);
  }
  master.drain();
  master.expect_drained();
  fs::remove_all(root);
}

INSTANTIATE_TEST_SUITE_P(All, WatchProcess, testing::Values("fanotify", "inotify", "polling"),
                         [](const auto& parameter) { return parameter.param; });

}  // namespace
}  // namespace dormouse::hibernate
