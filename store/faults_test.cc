// Full disks, damaged indexes, power failures, files nobody may read, and other processes at work.

#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <cstring>
#include <functional>
#include <random>
#include <set>

#include "store/test_mail.h"

namespace dormouse::store {
namespace {

using FaultsTest = MailTest;

void execute(const std::string& index, const std::string& sql) {
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(index.c_str(), &database), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sql;
  sqlite3_close(database);
}

size_t count_aside(const std::string& root) {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(root)) {
    std::string name = entry.path().filename();
    if (name.starts_with("dormouse.index.corrupt-") && !name.ends_with("-wal") &&
        !name.ends_with("-shm")) {
      ++count;
    }
  }
  return count;
}

TEST_F(FaultsTest, IndexThatIsNoDatabaseIsPutAsideAndRebuilt) {
  Guid guid;
  uint32_t uid_validity = 0;
  {
    auto store = open();
    Mailbox inbox = need(store->open_mailbox("INBOX"));
    append(inbox, "one\r\n", {Flags::kFlagged}, {"$Label1"});
    guid = need(inbox.status()).guid;
    uid_validity = need(inbox.status()).uid_validity;
  }
  write(root_ + "/dormouse.index", std::string(8192, 'x'));
  auto store = open();
  EXPECT_EQ(count_aside(root_), 1u);
  Mailbox inbox = need(store->open_mailbox("INBOX"));
  auto status = need(inbox.status());
  EXPECT_EQ(status.guid, guid);
  EXPECT_GT(status.uid_validity, uid_validity);
  auto messages = need(inbox.messages(UidRange{}));
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].flags.bits, Flags::kFlagged);
  EXPECT_TRUE(messages[0].keywords.test(0));
  EXPECT_EQ(messages[0].internal_date_s, 1'000'000'000);
  EXPECT_EQ(messages[0].rfc822_size_bytes, 5u);
}

TEST_F(FaultsTest, DamageMetWhileRunningBreaksTheStoreNotTheMail) {
  {
    auto store = open();
    Mailbox inbox = need(store->open_mailbox("INBOX"));
    for (int i = 0; i < 300; ++i) append(inbox);
  }
  {
    // The first pages, with the schema and the roots of the tables, stay good: opening finds
    // nothing.
    constexpr std::streamoff kGoodBytes = 15 * 4096;
    std::fstream file(root_ + "/dormouse.index", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(kGoodBytes);
    std::string rubbish(std::filesystem::file_size(root_ + "/dormouse.index") - kGoodBytes, '\x5a');
    file << rubbish;
  }
  auto store = open();
  EXPECT_EQ(count_aside(root_), 0u);
  Mailbox inbox = need(store->open_mailbox("INBOX"));
  auto messages = inbox.messages(UidRange{});
  ASSERT_FALSE(messages);
  EXPECT_EQ(messages.error().kind, ErrorKind::kUnavailable) << messages.error().message;
  EXPECT_EQ(inbox.sync().error().kind, ErrorKind::kUnavailable);
  EXPECT_TRUE(store->broken());
  EXPECT_EQ(count_aside(root_), 1u);
  store = open();
  EXPECT_EQ(need(need(store->open_mailbox("INBOX")).status()).exists, 300u);
}

TEST_F(FaultsTest, IndexReplacedByAnotherProcessIsNoticed) {
  auto store = open();
  Mailbox inbox = need(store->open_mailbox("INBOX"));
  std::filesystem::remove(root_ + "/dormouse.index");
  EXPECT_EQ(inbox.sync().error().kind, ErrorKind::kUnavailable);
  EXPECT_TRUE(store->broken());
  EXPECT_EQ(inbox.status().error().kind, ErrorKind::kUnavailable);
}

TEST_F(FaultsTest, NewerFormatIsRefusedAndKept) {
  {
    auto store = open();
  }
  execute(root_ + "/dormouse.index", "PRAGMA user_version=99");
  auto refused = UserStore::open(root_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kUnsupported);
  EXPECT_EQ(count_aside(root_), 0u);
}

TEST_F(FaultsTest, AfterAPowerFailureNoUidOrModSeqIsGivenTwice) {
  auto first = open();
  Mailbox inbox = need(first->open_mailbox("INBOX"));
  uint32_t uid = append(inbox);
  auto before = need(inbox.status());
  // As found after a power failure: another boot, and a WAL that was never checkpointed.
  execute(root_ + "/dormouse.index", "UPDATE meta SET value = 'other' WHERE key = 'boot_id'");
  auto store = open();
  Mailbox again = need(store->open_mailbox("INBOX"));
  auto after = need(again.status());
  EXPECT_GT(after.uid_next, before.uid_next + 1000);
  EXPECT_GT(after.highest_mod_seq, before.highest_mod_seq + 1000);
  EXPECT_EQ(after.uid_validity, before.uid_validity);
  EXPECT_EQ(need(again.message(uid))->mod_seq, after.highest_mod_seq);
  EXPECT_FALSE(need(again.changes_since(before.highest_mod_seq + 5)).complete);
  // Once, not at every opening.
  store = open();
  EXPECT_EQ(need(need(store->open_mailbox("INBOX")).status()).uid_next, after.uid_next);
}

TEST_F(FaultsTest, FullDiskRefusesAndKeepsWhatWasThere) {
  std::filesystem::create_directories(root_);
  if (mount("tmpfs", root_.c_str(), "tmpfs", 0, "size=1m") != 0) {
    GTEST_SKIP() << "mounting a small tmpfs needs root: " << strerror(errno);
  }
  {
    auto store = open();
    Mailbox inbox = need(store->open_mailbox("INBOX"));
    uint32_t uid = append(inbox);
    std::string base = drop("waiting\n");
    write(root_ + "/filler", std::string(2'000'000, 'x'));

    int source = ::open("/dev/zero", O_RDONLY);
    auto delivered = deliver(root_, "INBOX", source);
    close(source);
    ASSERT_FALSE(delivered);
    EXPECT_EQ(delivered.error().kind, ErrorKind::kNoSpace);
    EXPECT_TRUE(is_temporary(delivered.error()));
    EXPECT_TRUE(names_in(root_ + "/tmp").empty());

    // Calls that need new index pages fail as a whole; those that do not may succeed.
    ErrorKind kind = ErrorKind::kSystem;
    for (int i = 0; i < 2000 && kind == ErrorKind::kSystem; ++i) {
      auto copied = inbox.copy(std::span(&uid, 1), inbox);
      if (!copied) kind = copied.error().kind;
    }
    EXPECT_EQ(kind, ErrorKind::kNoSpace);
    EXPECT_FALSE(store->broken());
    EXPECT_TRUE(inbox.open_message(uid));
    size_t files = names_in(root_ + "/cur").size();

    std::filesystem::remove(root_ + "/filler");
    need(inbox.sync());
    need(inbox.store_flags(std::span(&uid, 1), {FlagsMode::kAdd, {Flags::kSeen}, {}, {}}));
    auto status = need(inbox.status());
    EXPECT_EQ(status.exists, names_in(root_ + "/cur").size());
    EXPECT_GE(status.exists, files);
    EXPECT_TRUE(names_in(root_ + "/new").empty());
  }
  EXPECT_EQ(umount(root_.c_str()), 0);
}

TEST_F(FaultsTest, UnreadableDirectoryIsAnErrorNotAnExpunge) {
  auto store = open();
  Mailbox inbox = need(store->open_mailbox("INBOX"));
  append(inbox);
  need(inbox.sync());
  std::filesystem::rename(root_ + "/cur", root_ + "/away");
  EXPECT_FALSE(inbox.sync());
  EXPECT_EQ(need(inbox.status()).exists, 1u);
  std::filesystem::rename(root_ + "/away", root_ + "/cur");
  EXPECT_FALSE(need(inbox.sync()).any());
  EXPECT_EQ(need(inbox.status()).exists, 1u);
}

// --- Other processes

// Runs `work` in a child; its success is the child's exit status.
pid_t start(const std::function<bool()>& work) {
  pid_t child = fork();
  if (child == 0) _exit(work() ? 0 : 1);
  return child;
}
bool ended_well(pid_t child) {
  int status = 0;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST_F(FaultsTest, ProcessesThatFlagDeliverAndAppendAtOnceLoseNothing) {
  constexpr int kEach = 60;
  {
    (void)open();
  }
  auto deliver_many = [&] {
    for (int i = 0; i < kEach; ++i) drop(fmt::format("Subject: drop {}\n\n", i));
    return true;
  };
  auto append_many = [&] {
    auto store = open();
    Mailbox inbox = need(store->open_mailbox("INBOX"));
    for (int i = 0; i < kEach; ++i) {
      append(inbox, fmt::format("Subject: append {}\r\n\r\n", i));
      need(inbox.sync());
    }
    return true;
  };
  auto flag_many = [&] {
    auto store = open();
    Mailbox inbox = need(store->open_mailbox("INBOX"));
    std::mt19937 random(7);
    for (int i = 0; i < kEach; ++i) {
      need(inbox.sync());
      auto uids = need(inbox.uids());
      if (uids.empty()) continue;
      uint32_t uid = uids[random() % uids.size()];
      need(inbox.store_flags(std::span(&uid, 1), {FlagsMode::kAdd, {Flags::kSeen}, {"k"}, {}}));
    }
    return true;
  };
  // A mail program without an index: toggles \Flagged by renaming.
  auto rename_many = [&] {
    std::mt19937 random(9);
    for (int i = 0; i < kEach * 4; ++i) {
      std::vector<std::string> names;
      std::error_code error;
      for (const auto& entry : std::filesystem::directory_iterator(root_ + "/cur", error)) {
        names.push_back(entry.path().filename());
      }
      if (names.empty()) continue;
      std::string name = names[random() % names.size()];
      FileFlags flags = parse_suffix(split_file_name(name).suffix);
      flags.flags.bits ^= Flags::kFlagged;
      std::string to = std::string(split_file_name(name).base) +
                       make_suffix(flags.flags, flags.letters, split_file_name(name).suffix);
      std::filesystem::rename(root_ + "/cur/" + name, root_ + "/cur/" + to, error);
    }
    return true;
  };
  std::vector<pid_t> children{start(deliver_many), start(append_many), start(append_many),
                              start(flag_many), start(rename_many)};
  // Meanwhile this process watches, as a session would, and never sees a UID leave.
  auto store = open();
  Mailbox inbox = need(store->open_mailbox("INBOX"));
  uint64_t since = 0;
  std::set<uint32_t> seen;
  // Two calls, between which the others go on.
  do {
    since = need(inbox.status()).highest_mod_seq;
    auto uids = need(inbox.uids());
    seen = std::set<uint32_t>(uids.begin(), uids.end());
  } while (need(inbox.status()).highest_mod_seq != since);
  for (pid_t child : children) {
    int status = -1;
    while (waitpid(child, &status, WNOHANG) == 0) {
      need(inbox.sync());
      Changes changes = need(inbox.changes_since(since));
      since = changes.status.highest_mod_seq;
      EXPECT_TRUE(changes.expunged.empty());
      for (const Message& message : changes.arrived) EXPECT_TRUE(seen.insert(message.uid).second);
      for (const Message& message : changes.changed) EXPECT_TRUE(seen.contains(message.uid));
      usleep(2000);
    }
    EXPECT_EQ(status, 0);
  }
  need(inbox.sync());
  for (const Message& message : need(inbox.changes_since(since)).arrived) seen.insert(message.uid);
  auto uids = need(inbox.uids());
  EXPECT_EQ(uids.size(), 3u * kEach);
  EXPECT_EQ(std::vector<uint32_t>(seen.begin(), seen.end()), uids);
  EXPECT_EQ(names_in(root_ + "/cur").size(), uids.size());
  // What the index says is what the names say.
  for (uint32_t uid : uids) {
    std::string path = need(inbox.path(uid));
    EXPECT_TRUE(std::filesystem::exists(path)) << path;
    Flags on_disk = parse_suffix(path.substr(path.rfind(':'))).flags;
    EXPECT_EQ(need(inbox.message(uid))->flags.bits, on_disk.bits);
  }
}

TEST_F(FaultsTest, TwoProcessesExpungeTheSameMessagesOnce) {
  {
    auto store = open();
    Mailbox inbox = need(store->open_mailbox("INBOX"));
    for (int i = 0; i < 100; ++i) append(inbox, "x\r\n", {Flags::kDeleted});
  }
  auto expunge_all = [&] {
    auto store = open();
    Mailbox inbox = need(store->open_mailbox("INBOX"));
    for (uint32_t uid = 1; uid <= 100; ++uid) need(inbox.expunge(std::span(&uid, 1)));
    return true;
  };
  pid_t one = start(expunge_all);
  pid_t two = start(expunge_all);
  EXPECT_TRUE(ended_well(one));
  EXPECT_TRUE(ended_well(two));
  auto store = open();
  Mailbox inbox = need(store->open_mailbox("INBOX"));
  EXPECT_EQ(need(inbox.status()).exists, 0u);
  EXPECT_EQ(need(inbox.changes_since(1)).expunged.size(), 100u);
}

TEST_F(FaultsTest, TwoProcessesTakeTheSameMailboxOverOnce) {
  {
    (void)open();
  }
  for (int i = 0; i < 50; ++i) write(root_ + fmt::format("/cur/{}.x:2,", i), "x\n");
  auto look = [&] {
    auto store = open();
    return need(need(store->open_mailbox("INBOX")).status()).exists == 50u;
  };
  pid_t one = start(look);
  pid_t two = start(look);
  EXPECT_TRUE(ended_well(one));
  EXPECT_TRUE(ended_well(two));
  EXPECT_EQ(need(need(open()->open_mailbox("INBOX")).status()).uid_next, 51u);
}

}  // namespace
}  // namespace dormouse::store
