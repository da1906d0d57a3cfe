// Whatever another program does to mailboxes, a den that believes the watch knows them in the end:
// with each source, with the kernel's limits exhausted, and with its queues run over.

#include "hibernate/watch/test_storm.h"

#include <sched.h>

#include <optional>

#include "hibernate/watch/stores.h"
#include "hibernate/watch/test_mounts.h"

namespace dormouse::hibernate {
namespace {

WatchOptions by_path(const std::string& backend) {
  WatchOptions options;
  options.settings.set_backend(backend);
  options.settings.set_polling_ms(uint32_t(PollingSource::kIntervalMinMs));
  options.settings.set_shared_store("no");
  return options;
}

// A sysctl of the whole machine, changed for the moment in which a queue is made.
class Sysctl {
 public:
  Sysctl(std::string path, const std::string& value) : path_(std::move(path)) {
    std::ifstream(path_) >> former_;
    changed_ = !former_.empty() && put(value);
  }
  ~Sysctl() { restore(); }
  Sysctl(const Sysctl&) = delete;
  Sysctl& operator=(const Sysctl&) = delete;
  bool changed() const { return changed_; }
  void restore() {
    if (std::exchange(changed_, false)) put(former_);
  }

 private:
  bool put(const std::string& value) {
    std::ofstream out(path_);
    out << value << std::flush;
    return out.good();
  }
  std::string path_;
  std::string former_;
  bool changed_ = false;
};

// In a process of its own, in a user namespace with limits of its own; its failures are told by its
// exit status.
void in_namespace(const char* sysctl, const char* value, void (*body)()) {
  pid_t child = fork();
  if (child == 0) {
    constexpr int kSkipped = 77;
    if (unshare(CLONE_NEWUSER) != 0) _exit(kSkipped);
    std::ofstream out(sysctl);
    out << value << std::flush;
    if (!out.good()) _exit(kSkipped);
    body();
    std::fflush(nullptr);
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
    GTEST_SKIP() << "no user namespace with limits of its own (" << sysctl << ")";
  }
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST(Storm, is_seen_under_inotify) {
  for (uint32_t seed : {1, 2}) {
    expect_every_change_is_seen(testing::TempDir(), by_path("inotify"),
                                {.seed = seed, .view_says = {"overflows=0"}});
  }
}

TEST(Storm, is_seen_by_polling) {
  StormOptions options{.seed = 3, .operations = 800};
  expect_every_change_is_seen(testing::TempDir(), by_path("polling"), options);
}

TEST(Storm, is_seen_by_polling_of_a_store_whose_clock_is_another_machines) {
  WatchOptions watching = by_path("auto");
  watching.settings.set_shared_store("yes");
  StormOptions options{.seed = 4, .operations = 800, .view_says = {"shared_store="}};
  expect_every_change_is_seen(testing::TempDir(), std::move(watching), options);
}

TEST(Storm, is_seen_where_inotify_has_watches_for_some_mailboxes_only) {
  WatchOptions watching = by_path("inotify");
  watching.inotify_watches_max = 20;
  expect_every_change_is_seen(
      testing::TempDir(), std::move(watching),
      {.seed = 5, .operations = 800, .view_says = {"backend=inotify"}, .must_poll = true});
}

TEST(Storm, is_seen_where_the_kernel_has_no_inotify_watch_left) {
  in_namespace("/proc/sys/user/max_inotify_watches", "20", [] {
    expect_every_change_is_seen(testing::TempDir(), by_path("auto"),
                                {.seed = 6,
                                 .operations = 800,
                                 .view_says = {"backend=inotify", "user_watches="},
                                 .must_poll = true});
  });
}

TEST(Storm, is_seen_where_the_kernel_has_no_inotify_instance_left) {
  in_namespace("/proc/sys/user/max_inotify_instances", "0", [] {
    expect_every_change_is_seen(
        testing::TempDir(), by_path("auto"),
        {.seed = 7,
         .operations = 800,
         .view_says = {"backend=polling why=\"inotify_init1 (fs.inotify.max_user_instances?)"}});
  });
}

TEST(Storm, is_seen_although_inotifys_queue_runs_over) {
  Sysctl limit("/proc/sys/fs/inotify/max_queued_events", "32");
  if (!limit.changed()) GTEST_SKIP() << "fs.inotify.max_queued_events cannot be set";
  StormOptions options{.seed = 8, .stall_ms = 60, .must_lose = true};
  expect_every_change_is_seen(testing::TempDir(), by_path("inotify"), options,
                              [&] { limit.restore(); });
}

// On a file system of its own: a mark hears of everybody's files.
void under_fanotify(const StormOptions& options, std::optional<int> queued_max = {}) {
  TestMounts mounts;
  fs::path root = mounts.hindered().empty() ? mounts.make("tmpfs") : fs::path();
  if (root.empty()) GTEST_SKIP() << mounts.hindered();
  std::optional<Sysctl> limit;
  if (queued_max) {
    limit.emplace("/proc/sys/fs/fanotify/max_queued_events", std::to_string(*queued_max));
    if (!limit->changed()) GTEST_SKIP() << "fs.fanotify.max_queued_events cannot be set";
  }
  auto marked = mark_stores(root, SharedStore::kAuto);
  if (limit) limit->restore();
  if (!marked) GTEST_SKIP() << marked.error().message;
  ASSERT_TRUE(marked->group) << marked->stores.reasons(0);
  WatchOptions watching;
  watching.settings.set_backend("auto");
  watching.fanotify = std::move(marked->group);
  watching.stores = std::move(marked->stores);
  expect_every_change_is_seen(root, std::move(watching), options);
}

TEST(Storm, is_seen_under_fanotify) {
  under_fanotify({.seed = 9, .view_says = {"backend=fanotify", "overflows=0"}});
}

TEST(Storm, is_seen_although_fanotifys_queue_runs_over) {
  under_fanotify({.seed = 10, .stall_ms = 60, .must_lose = true}, 32);
}

}  // namespace
}  // namespace dormouse::hibernate
