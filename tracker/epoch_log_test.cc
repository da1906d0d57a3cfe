#include "tracker/epoch_log.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <map>
#include <random>

namespace dormouse::tracker {
namespace {

io::Fd memory_file() { return io::Fd(memfd_create("epochs", MFD_CLOEXEC)); }
io::Fd again(const io::Fd& file) { return io::Fd(dup(file.get())); }

TEST(EpochLog, an_unknown_user_has_epoch_0) {
  auto log = EpochLog::open(memory_file());
  ASSERT_TRUE(log);
  EXPECT_EQ(log->epoch("alice"), 0u);
  EXPECT_FALSE(log->was_damaged());
}

TEST(EpochLog, epochs_survive_the_process) {
  io::Fd file = memory_file();
  {
    auto log = EpochLog::open(again(file));
    ASSERT_TRUE(log);
    EXPECT_EQ(*log->raise("alice"), 1u);
    EXPECT_EQ(*log->raise("alice"), 2u);
    EXPECT_EQ(*log->raise("bob"), 1u);
  }
  auto log = EpochLog::open(again(file));
  ASSERT_TRUE(log);
  EXPECT_EQ(log->epoch("alice"), 2u);
  EXPECT_EQ(log->epoch("bob"), 1u);
  EXPECT_EQ(log->users(), 2u);
}

TEST(EpochLog, compaction_keeps_every_users_newest_epoch) {
  constexpr size_t kSmallHalf = 4096;
  io::Fd file = memory_file();
  std::map<std::string, uint32_t> model;
  std::mt19937 random(7);
  for (int life = 0; life < 20; ++life) {
    auto log = EpochLog::open(again(file), kSmallHalf);
    ASSERT_TRUE(log);
    EXPECT_FALSE(log->was_damaged());
    EXPECT_EQ(log->users(), model.size());
    for (const auto& [user, epoch] : model) EXPECT_EQ(log->epoch(user), epoch) << user;
    for (int i = 0; i < 300; ++i) {
      std::string user = fmt::format("user{}", random() % 100);
      auto raised = log->raise(user);
      ASSERT_TRUE(raised);
      EXPECT_EQ(*raised, ++model[user]);
    }
  }
}

TEST(EpochLog, a_record_torn_by_a_kill_loses_only_itself) {
  io::Fd file = memory_file();
  {
    auto log = EpochLog::open(again(file), 4096);
    ASSERT_TRUE(log);
    ASSERT_TRUE(log->raise("alice"));
    ASSERT_TRUE(log->raise("bob"));
  }
  // The last byte of bob's name: 4096 + (10 + 5) + (10 + 3) - 1.
  char zero = 0;
  ASSERT_EQ(pwrite(file.get(), &zero, 1, 4096 + 15 + 13 - 1), 1);
  auto log = EpochLog::open(again(file), 4096);
  ASSERT_TRUE(log);
  EXPECT_EQ(log->epoch("alice"), 1u);
  EXPECT_EQ(log->epoch("bob"), 0u);
  EXPECT_EQ(*log->raise("carol"), 1u);
  auto next = EpochLog::open(again(file), 4096);
  EXPECT_EQ(next->epoch("alice"), 1u);
  EXPECT_EQ(next->epoch("carol"), 1u);
}

TEST(EpochLog, a_log_full_of_users_says_so_and_still_counts) {
  auto log = EpochLog::open(memory_file(), 256);
  ASSERT_TRUE(log);
  bool full = false;
  for (int i = 0; i < 100 && !full; ++i) {
    auto raised = log->raise(fmt::format("user{:02}", i));
    if (raised) continue;
    full = true;
    EXPECT_EQ(raised.error().kind, ErrorKind::kNoSpace);
    EXPECT_EQ(log->epoch(fmt::format("user{:02}", i)), 1u);
  }
  EXPECT_TRUE(full);
}

TEST(EpochLog, a_damaged_superblock_is_told_and_started_anew) {
  io::Fd file = memory_file();
  ASSERT_EQ(write(file.get(), "rubbish", 7), 7);
  auto log = EpochLog::open(again(file));
  ASSERT_TRUE(log);
  EXPECT_TRUE(log->was_damaged());
  EXPECT_EQ(*log->raise("alice"), 1u);
}

}  // namespace
}  // namespace dormouse::tracker
