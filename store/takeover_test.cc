// Existing mail: Dovecot's UIDs and keywords stay, nothing is lost, and an old uidlist is not
// believed twice.

#include "store/test_mail.h"

namespace dormouse::store {
namespace {

class TakeoverTest : public MailTest {
 protected:
  void SetUp() override {
    MailTest::SetUp();
    for (const char* part : {"cur", "new", "tmp"}) {
      std::filesystem::create_directories(root_ + "/" + part);
    }
    write(root_ + "/dovecot-uidlist",
          "3 V1275660208 N500 G3085f01b7f11094c501100008c4a11c1\n"
          "10 :1276528487.M1.host,S=7,W=9:2,\n"
          "20 W12 :1276528488.M2.host:2,F\n"
          "30 :gone.host:2,S\n"
          "garbage line\n");
    write(root_ + "/dovecot-keywords", "0 $Forwarded\n2 Work\n");
    write(root_ + "/cur/1276528487.M1.host,S=7,W=9:2,Sc", "a: b\n\nc");
    write(root_ + "/cur/1276528488.M2.host:2,", "a: b\n\ncd\n\n");
    write(root_ + "/cur/unknown.host:2,d", "new to all\n");
    write(root_ + "/new/fresh.host", "just came\n");
  }
};

TEST_F(TakeoverTest, DovecotUidsKeywordsAndSizesAreKept) {
  auto store = open();
  Mailbox inbox = need(store->open_mailbox("INBOX"));
  auto status = need(inbox.status());
  EXPECT_EQ(status.uid_validity, 1275660208u);
  EXPECT_EQ(status.guid.hex(), "3085f01b7f11094c501100008c4a11c1");
  EXPECT_EQ(need(inbox.uids()), (std::vector<uint32_t>{10, 20, 500, 501}));
  EXPECT_EQ(status.uid_next, 502u);
  EXPECT_EQ(status.recent, 1u);
  auto message = *need(inbox.message(10));
  EXPECT_EQ(message.flags.bits, Flags::kSeen);
  EXPECT_EQ(need(inbox.keywords()), (std::vector<std::string>{"$Forwarded", "", "Work"}));
  EXPECT_EQ(message.keywords.to_ullong(), 4u);
  EXPECT_EQ(message.rfc822_size_bytes, 9u);
  EXPECT_EQ(need(inbox.message(20))->rfc822_size_bytes, 12u);
  // A letter that has no name is no keyword, and stays in the file name.
  uint32_t unknown = 500;
  EXPECT_TRUE(need(inbox.message(unknown))->keywords.none());
  need(inbox.store_flags(std::span(&unknown, 1), {FlagsMode::kReplace, {}, {"Work"}, {}}));
  EXPECT_TRUE(std::filesystem::exists(root_ + "/cur/unknown.host:2,cd"));
  // An existing user gets no folders that were not there, and Dovecot's files stay.
  EXPECT_EQ(need(store->mailboxes()).size(), 1u);
  EXPECT_TRUE(std::filesystem::exists(root_ + "/dovecot-uidlist"));
}

TEST_F(TakeoverTest, LostIndexDoesNotBelieveTheOldUidlistAgain) {
  Guid guid;
  {
    auto store = open();
    Mailbox inbox = need(store->open_mailbox("INBOX"));
    guid = need(inbox.status()).guid;
    uint32_t uid = 10;
    need(inbox.store_flags(std::span(&uid, 1), {FlagsMode::kAdd, {}, {"later"}, {}}));
  }
  std::filesystem::remove(root_ + "/dormouse.index");
  auto store = open();
  Mailbox inbox = need(store->open_mailbox("INBOX"));
  auto status = need(inbox.status());
  EXPECT_EQ(status.guid, guid);
  EXPECT_GT(status.uid_validity, 1275660208u);
  EXPECT_EQ(status.exists, 4u);
  EXPECT_EQ(need(inbox.keywords()), (std::vector<std::string>{"$Forwarded", "later", "Work"}));
  for (const Message& message : need(inbox.messages(UidRange{}))) {
    if (message.flags.has(Flags::kSeen)) EXPECT_EQ(message.keywords.to_ullong(), 6u);
  }
}

TEST_F(TakeoverTest, UnusableUidlistCostsOnlyUids) {
  write(root_ + "/dovecot-uidlist", std::string(1000, '\xff'));
  auto store = open();
  Mailbox inbox = need(store->open_mailbox("INBOX"));
  EXPECT_EQ(need(inbox.uids()), (std::vector<uint32_t>{1, 2, 3, 4}));
}

TEST_F(TakeoverTest, UidsNearTheEndOfTheirRangeRunOutCleanly) {
  write(root_ + "/dovecot-uidlist", "3 V5 N4294967293\n");
  std::filesystem::remove(root_ + "/cur/unknown.host:2,d");
  std::filesystem::remove(root_ + "/new/fresh.host");
  std::filesystem::remove(root_ + "/cur/1276528488.M2.host:2,");
  auto store = open();
  Mailbox inbox = need(store->open_mailbox("INBOX"));
  EXPECT_EQ(need(inbox.uids()), std::vector<uint32_t>{4294967293});
  EXPECT_EQ(need(inbox.rank(4294967295)), 1u);
  drop();
  auto refused = inbox.sync();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kLimit);
  EXPECT_EQ(need(inbox.status()).exists, 1u);
}

}  // namespace
}  // namespace dormouse::store
