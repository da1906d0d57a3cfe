// The same storm on real file systems, and which source each of them gets. Each on a loop device of
// its own (docs/watch.md, "File systems").

#include <gtest/gtest.h>

#include "hibernate/watch/stores.h"
#include "hibernate/watch/test_mounts.h"
#include "hibernate/watch/test_storm.h"

namespace dormouse::hibernate {
namespace {

// As the master does it.
WatchOptions options_for(const fs::path& root) {
  WatchOptions watching;
  watching.settings.set_backend("auto");
  watching.settings.set_polling_ms(uint32_t(PollingSource::kIntervalMinMs));
  watching.settings.set_shared_store("auto");
  watching.settings.set_mail_root(root.string());
  auto marked = mark_stores(root, SharedStore::kAuto);
  EXPECT_TRUE(marked);
  if (!marked) return watching;
  watching.fanotify = std::move(marked->group);
  if (!watching.fanotify) watching.no_fanotify = marked->stores.reasons(0);
  watching.stores = std::move(marked->stores);
  return watching;
}

class FileSystem : public testing::TestWithParam<std::string> {};

TEST_P(FileSystem, under_fanotify_and_inotify_shows_every_change) {
  TestMounts mounts;
  fs::path root = mounts.hindered().empty() ? mounts.make(GetParam()) : fs::path();
  if (root.empty()) GTEST_SKIP() << mounts.hindered();
  StormOptions storm{.seed = 11, .operations = 800, .view_says = {"backend=fanotify"}};
  expect_every_change_is_seen(root, options_for(root), storm);
  WatchOptions inotify;
  inotify.settings.set_backend("inotify");
  storm = {.seed = 12, .operations = 800, .view_says = {"backend=inotify"}};
  expect_every_change_is_seen(root, std::move(inotify), storm);
}

INSTANTIATE_TEST_SUITE_P(Each, FileSystem, testing::Values("ext4", "xfs", "btrfs", "tmpfs"),
                         [](const auto& parameter) { return parameter.param; });

TEST(FileSystems, below_one_another_are_each_watched_as_they_can_be) {
  TestMounts mounts;
  fs::path root = mounts.hindered().empty() ? mounts.make("ext4") : fs::path();
  if (root.empty()) GTEST_SKIP() << mounts.hindered();
  fs::create_directory(root / "second");
  ASSERT_TRUE(mounts.mount("tmpfs", root / "second", "tmpfs", "size=64m"));
  WatchOptions watching = options_for(root);
  EXPECT_EQ(watching.stores.fsids_size(), 2);
  EXPECT_FALSE(watching.stores.others());
  expect_every_change_is_seen(root / "second", std::move(watching),
                              {.seed = 13, .operations = 300, .view_says = {"file_systems=2"}});
}

TEST(FileSystems, of_which_only_the_root_can_be_marked_have_subvolumes_under_inotify) {
  TestMounts mounts;
  fs::path root = mounts.hindered().empty() ? mounts.make("btrfs") : fs::path();
  if (root.empty()) GTEST_SKIP() << mounts.hindered();
  if (!mounts.run("btrfs subvolume create " + (root / "sub").string())) {
    GTEST_SKIP() << mounts.hindered();
  }
  WatchOptions watching = options_for(root);
  EXPECT_TRUE(watching.fanotify);
  EXPECT_TRUE(watching.stores.others());
  StormOptions storm{.seed = 14, .operations = 300};
  storm.view_says = {"backend=fanotify", "source=inotify watches=", "subvolumes"};
  expect_every_change_is_seen(root / "sub", std::move(watching), storm);
  // And where the mail root is a subvolume itself.
  WatchOptions inside = options_for(root / "sub");
  bool marked = bool(inside.fanotify);
  storm.view_says = {marked ? "backend=fanotify" : "backend=inotify"};
  expect_every_change_is_seen(root / "sub", std::move(inside), storm);
}

TEST(FileSystems, that_are_overlays_get_the_source_that_works) {
  TestMounts mounts;
  fs::path layers = mounts.hindered().empty() ? mounts.make("tmpfs") : fs::path();
  if (layers.empty()) GTEST_SKIP() << mounts.hindered();
  for (const char* name : {"lower", "upper", "work"}) fs::create_directory(layers / name);
  fs::path root = mounts.point("overlay");
  std::string options =
      fmt::format("lowerdir={0}/lower,upperdir={0}/upper,workdir={0}/work", layers.string());
  if (!mounts.mount("overlay", root, "overlay", options)) GTEST_SKIP() << mounts.hindered();
  WatchOptions watching = options_for(root);
  // Without nfs_export an overlay has no handles that outlive a copy up; kernels differ in what
  // they let be marked. Whatever they say, nothing may be missed.
  bool marked = bool(watching.fanotify);
  StormOptions storm{.seed = 15, .operations = 800};
  storm.view_says = {marked ? "backend=fanotify" : "backend=inotify why=\""};
  expect_every_change_is_seen(root, std::move(watching), storm);
}

// Written to behind the kernel's back, as over NFS by another machine: only polling sees it.
TEST(FileSystems, that_others_write_to_are_polled) {
  TestMounts mounts;
  fs::path store = mounts.hindered().empty() ? mounts.make("tmpfs") : fs::path();
  if (store.empty()) GTEST_SKIP() << mounts.hindered();
  fs::path root = mounts.point("fuse");
  if (!mounts.mirror(store, root)) GTEST_SKIP() << mounts.hindered();
  WatchOptions watching = options_for(root);
  EXPECT_FALSE(watching.fanotify);
  StormOptions storm{.seed = 16, .operations = 400, .other_side = store};
  storm.view_says = {"(fuse): other machines may write there",
                     "ever_polled no_inotify_watch=0 shared_store="};
  expect_every_change_is_seen(root, std::move(watching), storm);
}

}  // namespace
}  // namespace dormouse::hibernate
