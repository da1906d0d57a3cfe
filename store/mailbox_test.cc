// Messages: arriving, being flagged, copied, moved, expunged, by us and by others.

#include "store/test_mail.h"

namespace dormouse::store {
namespace {

using MailboxTest = MailTest;

TEST_F(MailboxTest, NewUserHasInboxAndTheUsualFoldersSubscribed) {
  auto store = open();
  std::vector<std::string> names;
  for (const MailboxInfo& info : need(store->mailboxes())) {
    EXPECT_TRUE(info.subscribed) << info.name;
    names.push_back(info.name + std::string(special_use_attribute(info.special_use)));
  }
  EXPECT_EQ(names, (std::vector<std::string>{"Drafts\\Drafts", "INBOX", "Junk\\Junk", "Sent\\Sent",
                                             "Trash\\Trash"}));
}

TEST_F(MailboxTest, NobodyElseMayReadTheIndex) {
  auto store = open();
  for (const char* name : {"/dormouse.index", "/dormouse.index-wal", "/dormouse.index-shm"}) {
    struct stat info{};
    ASSERT_EQ(stat((root_ + name).c_str(), &info), 0) << name;
    EXPECT_EQ(info.st_mode & 0777, 0600u) << name;
  }
}

TEST_F(MailboxTest, DeliveryIsFoundOnceAndMovedToCur) {
  auto store = open();
  Mailbox inbox = need(store->open_mailbox("inbox"));
  std::string base = drop();
  EXPECT_EQ(need(inbox.sync()).arrived, 1u);
  EXPECT_FALSE(need(inbox.sync()).any());
  EXPECT_EQ(names_in(root_ + "/cur"), std::vector<std::string>{base + ":2,"});
  auto messages = need(inbox.messages(UidRange{}));
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].uid, 1u);
  EXPECT_EQ(messages[0].file_size_bytes, 18u);
  EXPECT_EQ(need(inbox.status()).recent, 1u);
  EXPECT_EQ(need(inbox.claim_recent()), 1u);
  EXPECT_EQ(need(inbox.status()).recent, 0u);
  EXPECT_EQ(need(inbox.claim_recent()), 2u);
}

TEST_F(MailboxTest, DeliverMakesMailboxAndGivesSizes) {
  int pipes[2];
  ASSERT_EQ(pipe(pipes), 0);
  ASSERT_EQ(::write(pipes[1], "A: b\n\nc\n", 8), 8);
  close(pipes[1]);
  std::string path = need(deliver(root_, "Lists/C++", pipes[0]));
  close(pipes[0]);
  EXPECT_TRUE(path.starts_with(root_ + "/.Lists.C++/new/")) << path;
  EXPECT_TRUE(path.ends_with(",S=8,W=11")) << path;
  auto store = open();
  Mailbox mailbox = need(store->open_mailbox("Lists/C++"));
  need(mailbox.sync());
  auto message = need(mailbox.message(1));
  ASSERT_TRUE(message);
  EXPECT_EQ(message->rfc822_size_bytes, 11u);
  EXPECT_EQ(need(mailbox.status()).recent, 1u);
}

TEST_F(MailboxTest, SizeIsABoundUntilAllMessagesHaveBeenCounted) {
  auto store = open();
  Mailbox inbox = need(store->open_mailbox("inbox"));
  EXPECT_EQ(need(inbox.size_octets()), 0u);
  drop();
  drop();
  need(inbox.sync());
  EXPECT_EQ(need(inbox.size_octets()), 2u * 2 * 18);
  need(inbox.remember(1, 21, ""));
  EXPECT_EQ(need(inbox.size_octets()), 21u + 2 * 18);
  need(inbox.expunge(std::vector<uint32_t>{1}));
  EXPECT_EQ(need(inbox.size_octets()), 2u * 18);
}

TEST_F(MailboxTest, DeliveryBeforeTheFirstLoginStillMakesANewUser) {
  int source = ::open("/dev/null", O_RDONLY);
  need(deliver(root_, "INBOX", source));
  close(source);
  auto store = open();
  EXPECT_EQ(need(store->mailboxes()).size(), 5u);
  EXPECT_EQ(need(need(store->open_mailbox("INBOX")).status()).recent, 1u);
}

TEST_F(MailboxTest, FlagsChangeTheFileNameAndTheModSeq) {
  auto store = open();
  Mailbox inbox = need(store->open_mailbox("INBOX"));
  uint32_t uid = append(inbox);
  uint64_t before = need(inbox.status()).highest_mod_seq;
  FlagsChange change{FlagsMode::kAdd, {Flags::kSeen | Flags::kFlagged}, {"$Label1"}, {}};
  auto result = need(inbox.store_flags(std::span(&uid, 1), change));
  EXPECT_EQ(result.changed, std::vector<uint32_t>{uid});
  EXPECT_EQ(result.highest_mod_seq, before + 1);
  EXPECT_TRUE(names_in(root_ + "/cur").at(0).ends_with(":2,FSa"));
  EXPECT_EQ(read(root_ + "/dovecot-keywords"), "0 $Label1\n");
  // Again: nothing changes, nothing is bumped.
  result = need(inbox.store_flags(std::span(&uid, 1), change));
  EXPECT_TRUE(result.changed.empty());
  EXPECT_EQ(result.messages.size(), 1u);
  EXPECT_EQ(result.highest_mod_seq, before + 1);
  EXPECT_FALSE(need(inbox.sync()).any());
  // Case of keywords does not matter.
  change = {FlagsMode::kRemove, {Flags::kFlagged}, {"$LABEL1"}, {}};
  need(inbox.store_flags(std::span(&uid, 1), change));
  EXPECT_TRUE(names_in(root_ + "/cur").at(0).ends_with(":2,S"));
  EXPECT_EQ(need(inbox.status()).unseen, 0u);
}

TEST_F(MailboxTest, UnchangedSinceRefusesNewerMessages) {
  auto store = open();
  Mailbox inbox = need(store->open_mailbox("INBOX"));
  uint32_t first = append(inbox);
  uint64_t then = need(inbox.status()).highest_mod_seq;
  uint32_t second = append(inbox);
  std::vector<uint32_t> uids{first, second, 77};
  auto result = need(inbox.store_flags(uids, {FlagsMode::kReplace, {Flags::kDraft}, {}, then}));
  EXPECT_EQ(result.changed, std::vector<uint32_t>{first});
  EXPECT_EQ(result.modified, std::vector<uint32_t>{second});
  EXPECT_EQ(result.missing, std::vector<uint32_t>{77});
}

TEST_F(MailboxTest, FlagsThatAnotherProgramSetAreTaken) {
  auto store = open();
  Mailbox inbox = need(store->open_mailbox("INBOX"));
  uint32_t uid = append(inbox);
  std::string name = names_in(root_ + "/cur").at(0);
  std::filesystem::rename(root_ + "/cur/" + name, root_ + "/cur/" + name + "PRS");
  EXPECT_EQ(need(inbox.sync()).changed, 1u);
  EXPECT_EQ(need(inbox.message(uid))->flags.bits, Flags::kAnswered | Flags::kSeen);
  // 'P' means nothing to us and stays.
  need(inbox.store_flags(std::span(&uid, 1), {FlagsMode::kAdd, {Flags::kDraft}, {}, {}}));
  EXPECT_EQ(names_in(root_ + "/cur").at(0), name + "DPRS");
}

TEST_F(MailboxTest, StoreFindsAFileThatWasRenamedMeanwhile) {
  auto store = open();
  Mailbox inbox = need(store->open_mailbox("INBOX"));
  uint32_t uid = append(inbox);
  std::string name = names_in(root_ + "/cur").at(0);
  std::filesystem::rename(root_ + "/cur/" + name, root_ + "/cur/" + name + "S");
  auto result =
      need(inbox.store_flags(std::span(&uid, 1), {FlagsMode::kAdd, {Flags::kFlagged}, {}, {}}));
  EXPECT_EQ(result.changed, std::vector<uint32_t>{uid});
  EXPECT_EQ(names_in(root_ + "/cur").at(0), name + "FS");
  EXPECT_EQ(need(inbox.message(uid))->flags.bits, Flags::kFlagged | Flags::kSeen);
}

TEST_F(MailboxTest, OpeningSurvivesARenameAndTellsExpunged) {
  auto store = open();
  Mailbox inbox = need(store->open_mailbox("INBOX"));
  uint32_t uid = append(inbox);
  std::string name = names_in(root_ + "/cur").at(0);
  std::filesystem::rename(root_ + "/cur/" + name, root_ + "/cur/" + name + "S");
  EXPECT_TRUE(inbox.open_message(uid));
  std::filesystem::remove(root_ + "/cur/" + name + "S");
  auto gone = inbox.open_message(uid);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().kind, ErrorKind::kNotFound);
}

TEST_F(MailboxTest, ExpungeDeletedKeepsTheRest) {
  auto store = open();
  Mailbox inbox = need(store->open_mailbox("INBOX"));
  append(inbox);
  uint32_t doomed = append(inbox, "x\r\n", {Flags::kDeleted});
  uint32_t later = append(inbox, "x\r\n", {Flags::kDeleted});
  auto result = need(inbox.expunge_deleted(std::span<const uint32_t>(&doomed, 1)));
  EXPECT_EQ(result.uids, std::vector<uint32_t>{doomed});
  EXPECT_EQ(need(inbox.status()).exists, 2u);
  result = need(inbox.expunge_deleted());
  EXPECT_EQ(result.uids, std::vector<uint32_t>{later});
  EXPECT_EQ(names_in(root_ + "/cur").size(), 1u);
  EXPECT_FALSE(need(inbox.sync()).any());
}

TEST_F(MailboxTest, CopyKeepsDateFlagsKeywordsAndCache) {
  auto store = open();
  Mailbox inbox = need(store->open_mailbox("INBOX"));
  Mailbox sent = need(store->open_mailbox("Sent"));
  append(sent, "z\r\n", {}, {"other"});
  uint32_t uid = append(inbox, "x\r\n", {Flags::kSeen}, {"mine"});
  need(inbox.remember(uid, 3, "structure"));
  auto result = need(inbox.copy(std::span(&uid, 1), sent));
  EXPECT_EQ(result.to_uids, std::vector<uint32_t>{2});
  EXPECT_EQ(result.uid_validity, need(sent.status()).uid_validity);
  auto copy = need(sent.message(2));
  ASSERT_TRUE(copy);
  EXPECT_EQ(copy->internal_date_s, 1'000'000'000);
  EXPECT_TRUE(copy->flags.has(Flags::kSeen));
  EXPECT_EQ(need(sent.keywords()).at(1), "mine");
  EXPECT_TRUE(copy->keywords.test(1));
  EXPECT_EQ(need(sent.cached(2)), "structure");
  EXPECT_FALSE(need(sent.sync()).any());
  EXPECT_EQ(need(inbox.status()).exists, 1u);
}

TEST_F(MailboxTest, MoveLeavesExactlyOneFile) {
  auto store = open();
  Mailbox inbox = need(store->open_mailbox("INBOX"));
  Mailbox trash = need(store->open_mailbox("Trash"));
  uint32_t uid = append(inbox);
  uint64_t then = need(inbox.status()).highest_mod_seq;
  EXPECT_EQ(need(inbox.move(std::span(&uid, 1), trash)).to_uids, std::vector<uint32_t>{1});
  EXPECT_TRUE(names_in(root_ + "/cur").empty());
  EXPECT_EQ(names_in(root_ + "/.Trash/cur").size(), 1u);
  EXPECT_EQ(need(inbox.changes_since(then)).expunged.size(), 1u);
  // Into the same mailbox: a new UID for the same file (RFC 6851 4.3 leaves it to us).
  uid = 1;
  EXPECT_EQ(need(trash.move(std::span(&uid, 1), trash)).to_uids, std::vector<uint32_t>{2});
  EXPECT_EQ(need(trash.uids()), std::vector<uint32_t>{2});
  EXPECT_FALSE(need(trash.sync()).any());
}

TEST_F(MailboxTest, AppendThatIsNotCommittedLeavesNothing) {
  auto store = open();
  Mailbox inbox = need(store->open_mailbox("INBOX"));
  {
    AppendSlot slot = need(inbox.prepare_append());
    write(slot.path(), "half a mess");
    EXPECT_EQ(names_in(root_ + "/tmp").size(), 1u);
  }
  EXPECT_TRUE(names_in(root_ + "/tmp").empty());
  // One of several without a file: none arrives.
  AppendSlot good = need(inbox.prepare_append());
  AppendSlot bad = need(inbox.prepare_append());
  write(good.path(), "x\r\n");
  AppendItem items[2];
  items[0].slot = &good;
  items[1].slot = &bad;
  EXPECT_FALSE(inbox.commit_append(items));
  EXPECT_TRUE(names_in(root_ + "/cur").empty());
  EXPECT_EQ(need(inbox.status()).exists, 0u);
}

TEST_F(MailboxTest, RanksAndPositionsAgreeAcrossChunks) {
  auto store = open();
  Mailbox inbox = need(store->open_mailbox("INBOX"));
  for (int i = 0; i < 3000; ++i) write(root_ + fmt::format("/cur/{:05}.a:2,", i), "x\n");
  need(inbox.sync());
  std::vector<uint32_t> doomed;
  for (uint32_t uid = 7; uid < 3000; uid += 3) doomed.push_back(uid);
  need(inbox.expunge(doomed));
  auto uids = need(inbox.uids());
  ASSERT_EQ(uids.size(), 3000 - doomed.size());
  for (uint32_t i = 0; i < uids.size(); i += 97) {
    EXPECT_EQ(need(inbox.rank(uids[i])), i + 1);
    EXPECT_EQ(need(inbox.uid_at(i + 1)), uids[i]);
  }
  EXPECT_EQ(need(inbox.rank(1024)), std::ranges::upper_bound(uids, 1024u) - uids.begin());
  EXPECT_EQ(need(inbox.uid_at(static_cast<uint32_t>(uids.size()) + 1)), std::nullopt);
}

TEST_F(MailboxTest, HostileFileNamesAreMessagesLikeOthers) {
  auto store = open();
  Mailbox inbox = need(store->open_mailbox("INBOX"));
  write(root_ + "/cur/" + std::string(255, 'a'), "x\n");
  write(root_ + "/cur/:2,S", "x\n");
  write(root_ + "/cur/new\nline \xff\x01:2,ZZzz,junk", "x\n");
  write(root_ + "/cur/twice:2,", "x\n");
  write(root_ + "/cur/twice:2,S", "y\n");
  write(root_ + "/new/" + std::string(254, 'b'), "x\n");
  write(root_ + "/new/twice", "z\n");
  std::filesystem::create_directory(root_ + "/cur/directory:2,S");
  std::filesystem::create_symlink("/etc/passwd", root_ + "/cur/link:2,S");
  EXPECT_EQ(need(inbox.sync()).arrived, 7u);
  EXPECT_FALSE(need(inbox.sync()).any());
  auto uids = need(inbox.uids());
  ASSERT_EQ(uids.size(), 7u);
  auto result = need(inbox.store_flags(uids, {FlagsMode::kAdd, {Flags::kFlagged}, {}, {}}));
  EXPECT_EQ(result.changed.size(), 7u);
  EXPECT_FALSE(need(inbox.sync()).any());
  for (uint32_t uid : uids) EXPECT_TRUE(inbox.open_message(uid));
}

TEST_F(MailboxTest, SixtyFourKeywordsAndNoMore) {
  auto store = open();
  Mailbox inbox = need(store->open_mailbox("INBOX"));
  uint32_t uid = append(inbox);
  FlagsChange change;
  for (size_t i = 0; i < kKeywordsMax; ++i) change.keywords.push_back(fmt::format("key{}", i));
  need(inbox.store_flags(std::span(&uid, 1), change));
  EXPECT_TRUE(need(inbox.message(uid))->keywords.all());
  EXPECT_FALSE(need(inbox.status()).can_add_keywords);
  auto refused = inbox.store_flags(std::span(&uid, 1), {FlagsMode::kAdd, {}, {"more"}, {}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kLimit);
  // A flag changed by another program leaves keywords without a letter alone.
  std::string name = names_in(root_ + "/cur").at(0);
  std::filesystem::rename(root_ + "/cur/" + name,
                          root_ + "/cur/" + name.substr(0, name.find(':')) + ":2,S");
  need(inbox.sync());
  EXPECT_EQ(need(inbox.message(uid))->keywords.count(), kKeywordsMax - 26);
}

TEST_F(MailboxTest, WatchedDirectoriesHaveTheSameKeyUntilReplaced) {
  auto store = open();
  Mailbox inbox = need(store->open_mailbox("INBOX"));
  auto first = need(inbox.watched_directories());
  auto second = need(inbox.watched_directories());
  ASSERT_EQ(first.size(), 2u);
  EXPECT_EQ(first[0].path, root_ + "/new");
  EXPECT_EQ(first[0].key, second[0].key);
  EXPECT_NE(first[0].key, first[1].key);
}

}  // namespace
}  // namespace dormouse::store
