// What happens between two boots: the ledger of those that ended well, the write-ahead log that
// stays behind, and an index that lost its end.

#include "store/boots.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include "store/test_mail.h"

namespace dormouse::store {
namespace {

using BootsTest = MailTest;

// As another process, which leaves the log as it is.
void execute(const std::string& index, const std::string& sql) {
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(index.c_str(), &database), SQLITE_OK);
  sqlite3_db_config(database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sql;
  sqlite3_close(database);
}

constexpr const char* kOtherBoot = "UPDATE meta SET value = 'other' WHERE key = 'boot_id'";

TEST_F(BootsTest, ABootIsCleanFromItsStopToItsNextStart) {
  std::string ledger = directory_ + "/clean-boots";
  EXPECT_EQ(need(take_clean_boots(ledger)), "");
  write(ledger, "one\ntwo\n");
  need(enter_clean_boot(ledger));
  EXPECT_EQ(read(ledger), "one\ntwo\n" + this_boot() + "\n");
  EXPECT_TRUE(is_clean_boot(read(ledger), this_boot()));
  EXPECT_EQ(need(take_clean_boots(ledger)), "one\ntwo\n");
  EXPECT_EQ(read(ledger), "one\ntwo\n");
  EXPECT_FALSE(is_clean_boot(read(ledger), this_boot()));
  EXPECT_TRUE(is_clean_boot(read(ledger), "two"));
  EXPECT_FALSE(is_clean_boot(read(ledger), "tw"));
  EXPECT_FALSE(is_clean_boot(read(ledger), ""));
}

TEST_F(BootsTest, TheLedgerForgetsTheOldestAndRefusesWhatIsTooLong) {
  std::string ledger = directory_ + "/clean-boots";
  std::string many;
  for (size_t i = 0; i < kCleanBootsMax; ++i) many += fmt::format("boot-{}\n", i);
  write(ledger, many);
  need(enter_clean_boot(ledger));
  EXPECT_FALSE(is_clean_boot(read(ledger), "boot-0"));
  EXPECT_TRUE(is_clean_boot(read(ledger), "boot-1"));
  write(ledger, std::string(kCleanBootsBytesMax + 1, 'x'));
  EXPECT_FALSE(take_clean_boots(ledger));
}

TEST_F(BootsTest, ALogLeftByACleanBootLostNothing) {
  uint32_t uid_next = 0;
  uint64_t mod_seq = 0;
  {
    auto store = open();
    Mailbox inbox = need(store->open_mailbox("INBOX"));
    append(inbox);
    uid_next = need(inbox.status()).uid_next;
    mod_seq = need(inbox.status()).highest_mod_seq;
  }
  execute(root_ + "/dormouse.index", kOtherBoot);
  ASSERT_GT(std::filesystem::file_size(root_ + "/dormouse.index-wal"), 0u);
  auto store = need(UserStore::open(root_, {.clean_boots = "older\nother\n"}));
  auto status = need(need(store->open_mailbox("INBOX")).status());
  EXPECT_EQ(status.uid_next, uid_next);
  EXPECT_EQ(status.highest_mod_seq, mod_seq);
  // The boot that reads it now is not among the clean ones.
  store.reset();
  execute(root_ + "/dormouse.index",
          "UPDATE meta SET value = 'third' WHERE key = 'boot_id' AND value NOT IN ('other')");
  store = need(UserStore::open(root_, {.clean_boots = "older\nother\n"}));
  EXPECT_GT(need(need(store->open_mailbox("INBOX")).status()).uid_next, uid_next + 1000);
}

TEST_F(BootsTest, NoBoundOfTheLogGivesAUidOrModSeqOutTwice) {
  uint32_t uid_next = 0;
  uint64_t mod_seq = 0;
  {
    auto store = open();
    need(store->open_mailbox("INBOX"));
  }
  {
    auto store = open();
    Mailbox inbox = need(store->open_mailbox("INBOX"));
    for (int i = 0; i < 4; ++i) append(inbox);
    uint32_t first = need(inbox.uids()).front();
    need(inbox.store_flags(std::span(&first, 1), {FlagsMode::kAdd, {Flags::kSeen}, {}, {}}));
    need(inbox.expunge(std::span(&first, 1)));
    uid_next = need(inbox.status()).uid_next;
    mod_seq = need(inbox.status()).highest_mod_seq;
  }
  std::string whole = root_;
  uint64_t log_bytes = std::filesystem::file_size(whole + "/dormouse.index-wal");
  ASSERT_GT(log_bytes, 10'000u);
  // Its header is on the disk from the first commit on; behind it the power may have gone anywhere.
  for (uint64_t kept = 32; kept < log_bytes; kept += 3000) {
    root_ = directory_ + fmt::format("/cut-{}", kept);
    std::filesystem::copy(whole, root_, std::filesystem::copy_options::recursive);
    std::filesystem::remove(root_ + "/dormouse.index-shm");
    std::filesystem::resize_file(root_ + "/dormouse.index-wal", kept);
    execute(root_ + "/dormouse.index", kOtherBoot);
    auto store = open();
    Mailbox inbox = need(store->open_mailbox("INBOX"));
    need(inbox.sync());
    auto status = need(inbox.status());
    EXPECT_EQ(status.exists, 3u) << kept;
    for (uint32_t uid : need(inbox.uids())) {
      auto message = need(inbox.message(uid));
      EXPECT_GT(message->mod_seq, mod_seq) << kept;
    }
    EXPECT_GT(append(inbox), uid_next) << kept;
    EXPECT_FALSE(need(inbox.changes_since(mod_seq)).complete) << kept;
  }
}

TEST_F(BootsTest, ClosingLeavesAShortLogAndWritesALongOneBack) {
  std::string log = root_ + "/dormouse.index-wal";
  {
    (void)open();
  }
  // A new index is durable when its first opener has gone.
  EXPECT_EQ(std::filesystem::file_size(log), 0u);
  uint32_t uid = 0;
  {
    auto store = open();
    uid = append(need(store->open_mailbox("INBOX")));
  }
  EXPECT_GT(std::filesystem::file_size(log), 0u);
  auto store = open();
  Mailbox inbox = need(store->open_mailbox("INBOX"));
  EXPECT_TRUE(need(inbox.message(uid)));
  EXPECT_FALSE(store->write_back());
  while (std::filesystem::file_size(log) < 300'000) append(inbox);
  EXPECT_TRUE(store->write_back());
  EXPECT_EQ(std::filesystem::file_size(log), 0u);
  EXPECT_FALSE(store->write_back());
  while (std::filesystem::file_size(log) < 300'000) append(inbox);
  uint32_t exists = need(inbox.status()).exists;
  store.reset();
  EXPECT_EQ(std::filesystem::file_size(log), 0u);
  EXPECT_EQ(need(need(open()->open_mailbox("INBOX")).status()).exists, exists);
}

TEST_F(BootsTest, AnIndexRemovedWithoutItsLogIsMadeAnew) {
  Guid guid;
  for (int i = 0; i < 2; ++i) {
    auto store = open();
    Mailbox inbox = need(store->open_mailbox("INBOX"));
    append(inbox);
    guid = need(inbox.status()).guid;
  }
  ASSERT_GT(std::filesystem::file_size(root_ + "/dormouse.index-wal"), 0u);
  std::filesystem::remove(root_ + "/dormouse.index");
  auto store = open();
  auto status = need(need(store->open_mailbox("INBOX")).status());
  EXPECT_EQ(status.exists, 2u);
  EXPECT_EQ(status.guid, guid);
  EXPECT_FALSE(store->broken());
}

TEST_F(BootsTest, AnotherProcessAtWorkPutsWritingBackOff) {
  auto store = open();
  Mailbox inbox = need(store->open_mailbox("INBOX"));
  append(inbox);
  sqlite3* reader = nullptr;
  ASSERT_EQ(sqlite3_open((root_ + "/dormouse.index").c_str(), &reader), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM mailbox", nullptr, nullptr, nullptr),
            SQLITE_OK);
  append(inbox);
  EXPECT_FALSE(store->write_back());
  EXPECT_FALSE(store->broken());
  append(inbox);
  sqlite3_close(reader);
  EXPECT_TRUE(store->write_back());
}

}  // namespace
}  // namespace dormouse::store
