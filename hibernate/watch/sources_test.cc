// The three sources of changes, on real directories: what each must tell.

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <set>

#include "hibernate/watch/fanotify_events.h"
#include "hibernate/watch/fanotify_group.h"
#include "hibernate/watch/fanotify_source.h"
#include "hibernate/watch/inotify_source.h"
#include "hibernate/watch/polling_source.h"

namespace dormouse::hibernate {
namespace {

namespace fs = std::filesystem;

class TemporaryMaildir {
 public:
  TemporaryMaildir() {
    std::string name = testing::TempDir() + "dormouse_watch_XXXXXX";
    path_ = mkdtemp(name.data());
    for (const char* sub : {"new", "cur", "tmp", "other"}) fs::create_directory(path_ / sub);
  }
  ~TemporaryMaildir() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  fs::path operator/(const std::string& name) const { return path_ / name; }
  void write(const std::string& name) const { std::ofstream(path_ / name) << "mail"; }
  // For polling, which trusts no young time stamp: as if it were an hour old.
  void settle(const std::string& name) const {
    fs::last_write_time(path_ / name, fs::file_time_type::clock::now() - std::chrono::hours(1));
  }
  wire::Directory directory(const std::string& name) const {
    wire::Directory directory;
    directory.set_path((path_ / name).string());
    auto handle = directory_handle(directory.path());
    EXPECT_TRUE(handle);
    if (handle) directory.set_handle(*handle);
    return directory;
  }

 private:
  fs::path path_;
};

class Recorder final : public ChangeSink {
 public:
  void changed(const Change& change, uint64_t after_ms) override {
    keys.insert(change.from);
    keys.insert(change.to);
    bool ours = wanted.contains(change.from) || wanted.contains(change.to);
    if (!ours) return;  // a mark on the file system hears of everybody's files
    last = change;
    last_after_ms = after_ms;
  }
  void lost(const std::string& reason) override { losses.push_back(reason); }
  void flush() override {}
  std::set<DirectoryKey> keys;
  std::vector<std::string> losses;
  std::set<DirectoryKey> wanted;
  Change last;  // of the wanted
  uint64_t last_after_ms = 0;
};

using Make = std::function<Result<std::unique_ptr<ChangeSource>>(io::Loop&)>;

template <class T>
Result<std::unique_ptr<ChangeSource>> as_source(Result<std::unique_ptr<T>> made) {
  if (!made) return std::unexpected(made.error());
  return std::unique_ptr<ChangeSource>(std::move(*made));
}

constexpr uint64_t kFastPollingMs = PollingSource::kIntervalMinMs;

Result<std::unique_ptr<ChangeSource>> make(const std::string& name, io::Loop& loop) {
  if (name == "inotify") return as_source(InotifySource::create(loop));
  if (name == "polling") {
    return std::unique_ptr<ChangeSource>(std::make_unique<PollingSource>(loop, kFastPollingMs));
  }
  auto group = make_fanotify_group(testing::TempDir());
  if (!group) return std::unexpected(group.error());
  auto fsid = directory_handle(testing::TempDir());
  std::vector<std::string> fsids = {fsid->substr(0, 8)};
  return as_source(FanotifySource::create(loop, std::move(*group), std::move(fsids), SipKey{1, 2}));
}

io::Task<void> run_source(ChangeSource* source, ChangeSink* sink) {
  [[maybe_unused]] auto ended = co_await source->run(*sink);
}

// Does something, then waits until `key` was told, or that something was lost: a file system mark
// hears of everybody's files, and others may fill the queue. Bounded: a test that must fail ends.
io::Task<bool> told(io::Loop* loop, Recorder* recorder, DirectoryKey key,
                    std::function<void()> act) {
  recorder->keys.clear();
  act();
  for (int i = 0; i < 1000 && !recorder->keys.contains(key); ++i) {
    if (!recorder->losses.empty()) co_return true;
    if (!co_await loop->sleep(10)) co_return false;
  }
  co_return recorder->keys.contains(key);
}

io::Task<int> tell_changes(io::Loop* loop, ChangeSource* source, const TemporaryMaildir* mail) {
  Recorder recorder;
  io::Scope scope(*loop, co_await io::current_scope());
  for (const char* name : {"new", "cur", "other"}) mail->settle(name);
  auto fresh = source->add(mail->directory("new"));
  auto cur = source->add(mail->directory("cur"));
  auto other = source->add(mail->directory("other"));
  EXPECT_TRUE(fresh && cur && other);
  if (!fresh || !cur || !other) co_return 1;
  EXPECT_NE(*fresh, *cur);
  auto again = source->add(mail->directory("new"));
  EXPECT_EQ(*again, *fresh) << "one directory has one key";
  scope.spawn(run_source(source, &recorder));

  EXPECT_TRUE(co_await told(loop, &recorder, *fresh, [mail] {
    mail->write("tmp/1");
    fs::rename(*mail / "tmp/1", *mail / "new/1");
  })) << "delivery by rename";
  EXPECT_TRUE(co_await told(loop, &recorder, *fresh, [mail] {
    mail->write("tmp/2");
    fs::create_hard_link(*mail / "tmp/2", *mail / "new/2");
    fs::remove(*mail / "tmp/2");
  })) << "delivery by link";
  EXPECT_TRUE(co_await told(loop, &recorder, *cur, [mail] {
    fs::rename(*mail / "new/1", *mail / "cur/1:2,");
  })) << "a message is taken over";
  EXPECT_TRUE(co_await told(loop, &recorder, *cur, [mail] {
    fs::rename(*mail / "cur/1:2,", *mail / "cur/1:2,S");
  })) << "a flag is set";
  EXPECT_TRUE(co_await told(loop, &recorder, *cur, [mail] { fs::remove(*mail / "cur/1:2,S"); }))
      << "a message is expunged";
  EXPECT_FALSE(recorder.keys.contains(*other)) << "nobody touched it";
  EXPECT_TRUE(co_await told(loop, &recorder, *fresh, [mail] { fs::remove_all(*mail / "new"); }))
      << "the mailbox is deleted";
  wire::Directory gone;
  gone.set_path((*mail / "new").string());
  if (!source->by_handle()) EXPECT_FALSE(source->add(gone)) << "no such directory";
  // A watch that is removed may come again, under whatever key.
  source->remove(*cur);
  auto returned = source->add(mail->directory("cur"));
  EXPECT_TRUE(returned);
  EXPECT_TRUE(co_await told(loop, &recorder, *returned, [mail] { mail->write("cur/3:2,"); }));
  if (!source->by_handle()) EXPECT_TRUE(recorder.losses.empty());
  scope.cancel();
  co_await scope.join();
  co_return 0;
}

class Sources : public testing::TestWithParam<std::string> {};

TEST_P(Sources, tell_deliveries_flags_expunges_and_a_deleted_directory) {
  auto loop = io::Loop::create();
  ASSERT_TRUE(loop);
  auto source = make(GetParam(), **loop);
  if (!source && GetParam() == "fanotify") GTEST_SKIP() << source.error().message;
  ASSERT_TRUE(source) << source.error().message;
  TemporaryMaildir mail;
  EXPECT_EQ((*loop)->run(tell_changes(loop->get(), source->get(), &mail)), 0);
}

// More changes than the kernel's queue holds, and nobody reads meanwhile.
io::Task<int> overflow_main(io::Loop* loop, ChangeSource* source, const TemporaryMaildir* mail) {
  std::ifstream limit(fmt::format("/proc/sys/fs/{}/max_queued_events", source->name()));
  int queued_max = 16'384;
  limit >> queued_max;
  if (queued_max > 200'000) co_return 0;
  EXPECT_TRUE(source->add(mail->directory("new")));
  // Names differ, so the kernel cannot merge the events.
  for (int i = 0; i <= queued_max; ++i) {
    std::string name = (*mail / fmt::format("new/{}", i)).string();
    int fd = open(name.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    EXPECT_GE(fd, 0);
    close(fd);
  }
  Recorder recorder;
  io::Scope scope(*loop, co_await io::current_scope());
  scope.spawn(run_source(source, &recorder));
  for (int i = 0; i < 1000 && recorder.losses.empty(); ++i) {
    if (!co_await loop->sleep(10)) break;
  }
  EXPECT_FALSE(recorder.losses.empty());
  scope.cancel();
  co_await scope.join();
  co_return 0;
}

TEST_P(Sources, say_so_when_the_kernel_had_to_drop_events) {
  if (GetParam() == "polling") GTEST_SKIP() << "polling has no queue";
  auto loop = io::Loop::create();
  ASSERT_TRUE(loop);
  auto source = make(GetParam(), **loop);
  if (!source && GetParam() == "fanotify") GTEST_SKIP() << source.error().message;
  ASSERT_TRUE(source) << source.error().message;
  TemporaryMaildir mail;
  EXPECT_EQ((*loop)->run(overflow_main(loop->get(), source->get(), &mail)), 0);
}

io::Task<int> tell_kinds(io::Loop* loop, ChangeSource* source, const TemporaryMaildir* mail) {
  Recorder recorder;
  io::Scope scope(*loop, co_await io::current_scope());
  auto fresh = source->add(mail->directory("new"));
  auto cur = source->add(mail->directory("cur"));
  EXPECT_TRUE(fresh && cur);
  if (!fresh || !cur) co_return 1;
  recorder.wanted = {*fresh, *cur};
  scope.spawn(run_source(source, &recorder));
  auto see = [&](DirectoryKey key, std::function<void()> act) {
    return told(loop, &recorder, key, std::move(act));
  };
  uint64_t before_ms = loop->now_ms();
  EXPECT_TRUE(co_await loop->sleep(20));
  source->take_queued(recorder);
  EXPECT_TRUE(co_await see(*fresh, [mail] {
    mail->write("tmp/1");
    fs::rename(*mail / "tmp/1", *mail / "new/1");
  }));
  if (recorder.losses.empty()) {
    EXPECT_TRUE(recorder.last.file) << "by rename";
    EXPECT_EQ(recorder.last.to, *fresh);
    EXPECT_GT(recorder.last_after_ms, before_ms) << "it came after the look";
  }
  EXPECT_TRUE(co_await see(*cur, [mail] { fs::rename(*mail / "new/1", *mail / "cur/1:2,"); }));
  if (recorder.losses.empty()) {
    EXPECT_TRUE(recorder.last.as_it_was);
    EXPECT_EQ(recorder.last.from, *fresh);
  }
  EXPECT_TRUE(co_await see(*cur, [mail] { fs::rename(*mail / "cur/1:2,", *mail / "cur/1:2,S"); }));
  if (recorder.losses.empty()) EXPECT_FALSE(recorder.last.as_it_was) << "a flag was set";
  EXPECT_TRUE(co_await see(*fresh, [mail] { fs::create_directory(*mail / "new/folder"); }));
  if (recorder.losses.empty()) EXPECT_FALSE(recorder.last.file) << "a directory is no message";
  EXPECT_TRUE(co_await see(*fresh, [mail] { mail->write("new/.hidden"); }));
  if (recorder.losses.empty()) EXPECT_FALSE(recorder.last.file) << "nor is a dot file";
  scope.cancel();
  co_await scope.join();
  co_return 0;
}

TEST_P(Sources, tell_mail_that_came_and_mail_that_was_taken_over_from_other_changes) {
  if (GetParam() == "polling") GTEST_SKIP() << "polling knows no names";
  auto loop = io::Loop::create();
  ASSERT_TRUE(loop);
  auto source = make(GetParam(), **loop);
  if (!source && GetParam() == "fanotify") GTEST_SKIP() << source.error().message;
  ASSERT_TRUE(source) << source.error().message;
  TemporaryMaildir mail;
  EXPECT_EQ((*loop)->run(tell_kinds(loop->get(), source->get(), &mail)), 0);
}

INSTANTIATE_TEST_SUITE_P(All, Sources, testing::Values("fanotify", "inotify", "polling"),
                         [](const auto& parameter) { return parameter.param; });

TEST(FanotifySource, refuses_a_directory_of_another_file_system) {
  auto loop = io::Loop::create();
  ASSERT_TRUE(loop);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  io::Fd writer(ends[1]);
  auto source = FanotifySource::create(**loop, io::Fd(ends[0]), {"otherfs!"}, SipKey{1, 2});
  ASSERT_TRUE(source);
  TemporaryMaildir mail;
  EXPECT_FALSE((*source)->add(mail.directory("new")));
  EXPECT_FALSE((*source)->add(wire::Directory()));
}

TEST(InotifySource, says_that_the_limit_is_reached) {
  auto loop = io::Loop::create();
  ASSERT_TRUE(loop);
  auto source = InotifySource::create(**loop, 1);
  ASSERT_TRUE(source);
  TemporaryMaildir mail;
  auto first = (*source)->add(mail.directory("new"));
  ASSERT_TRUE(first);
  auto second = (*source)->add(mail.directory("cur"));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::kLimit);
  (*source)->remove(*first);
  EXPECT_TRUE((*source)->add(mail.directory("cur")));
}

// SipHash-2-4 of 00 01 .. 0e under the key 00 01 .. 0f: appendix A of the paper.
TEST(SipHash, is_that_of_the_paper) {
  std::string input;
  for (char c = 0; c < 15; ++c) input.push_back(c);
  SipKey key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  EXPECT_EQ(siphash(key, input), 0xa129ca6149be45e5);
}

}  // namespace
}  // namespace dormouse::hibernate
