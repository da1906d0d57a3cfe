// Mailboxes: names, CREATE, DELETE, RENAME, subscriptions, and what other programs do to folders.

#include "store/dovecot_files.h"
#include "store/test_mail.h"

namespace dormouse::store {
namespace {

using FoldersTest = MailTest;

std::string describe(const std::vector<MailboxInfo>& infos) {
  std::string text;
  for (const MailboxInfo& info : infos) {
    if (info.special_use != SpecialUse::kNone || info.name == "INBOX") continue;
    text += info.name + (info.no_select ? "!" : "") + (info.has_children ? "+" : "") + " ";
  }
  return text;
}

TEST_F(FoldersTest, ParentsThatDoNotExistAreShown) {
  auto store = open();
  need(store->create("a/b/c/"));
  need(store->create("Ünï/日本"));
  EXPECT_TRUE(std::filesystem::exists(root_ + "/.a.b.c/cur"));
  EXPECT_TRUE(std::filesystem::exists(root_ + "/.&ANw-n&AO8-.&ZeVnLA-/cur"));
  EXPECT_EQ(describe(need(store->mailboxes())), "a!+ a/b!+ a/b/c Ünï!+ Ünï/日本 ");
  EXPECT_EQ(store->create("a/b/c").error().kind, ErrorKind::kExists);
  need(store->create("a"));
  EXPECT_EQ(describe(need(store->mailboxes())), "a+ a/b!+ a/b/c Ünï!+ Ünï/日本 ");
}

TEST_F(FoldersTest, BadNamesAreRefused) {
  auto store = open();
  for (std::string name :
       {"", "/", "a//b", "/a", "a.b", "..", "a\nb", "a\x7f", "\xff", "\xc0\x80", "a/../b"}) {
    auto made = store->create(name);
    ASSERT_FALSE(made) << name;
    EXPECT_EQ(made.error().kind, ErrorKind::kInvalid) << name;
  }
  EXPECT_EQ(store->create(std::string(300, 'x')).error().kind, ErrorKind::kInvalid);
  EXPECT_EQ(store->create("inbox").error().kind, ErrorKind::kExists);
  need(store->create("Inbox/below"));
  EXPECT_TRUE(store->open_mailbox("INBOX/below"));
}

TEST_F(FoldersTest, DeleteLeavesChildrenUnderANoSelectParent) {
  auto store = open();
  Mailbox parent = need(store->create("p"));
  append(parent);
  need(store->create("p/child"));
  need(store->remove("p"));
  EXPECT_EQ(describe(need(store->mailboxes())), "p!+ p/child ");
  EXPECT_EQ(parent.sync().error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(parent.uids().value(), std::vector<uint32_t>{});
  EXPECT_EQ(store->remove("p").error().kind, ErrorKind::kExists);
  EXPECT_EQ(store->remove("INBOX").error().kind, ErrorKind::kDenied);
  EXPECT_EQ(store->remove("none").error().kind, ErrorKind::kNotFound);
  for (const std::string& name : names_in(root_)) EXPECT_FALSE(name.starts_with("..")) << name;
  // The name again is another mailbox.
  EXPECT_EQ(need(need(store->create("p")).status()).exists, 0u);
}

TEST_F(FoldersTest, RecreatedMailboxHasALargerUidValidity) {
  auto store = open();
  auto before = need(need(store->create("x")).status());
  need(store->remove("x"));
  auto after = need(need(store->create("x")).status());
  EXPECT_GT(after.uid_validity, before.uid_validity);
  EXPECT_NE(after.guid, before.guid);
}

TEST_F(FoldersTest, RenameTakesChildrenAndKeepsUids) {
  auto store = open();
  Mailbox old = need(store->create("old"));
  append(old);
  auto before = need(old.status());
  need(store->create("old/child"));
  need(store->create("older"));
  need(store->rename("old", "new/place"));
  EXPECT_EQ(describe(need(store->mailboxes())), "new!+ new/place+ new/place/child older ");
  auto after = need(old.status());
  EXPECT_EQ(after.name, "new/place");
  EXPECT_EQ(after.uid_validity, before.uid_validity);
  EXPECT_FALSE(need(old.sync()).any());
  EXPECT_TRUE(old.open_message(1));
  EXPECT_EQ(store->rename("old", "other").error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(store->rename("new/place", "older").error().kind, ErrorKind::kExists);
  // Into itself, and a parent that does not exist.
  need(store->rename("new/place", "new/place/deeper"));
  need(store->rename("new", "n"));
  EXPECT_EQ(describe(need(store->mailboxes())),
            "n!+ n/place!+ n/place/deeper+ n/place/deeper/child older ");
}

TEST_F(FoldersTest, RenamingInboxMovesItsMessages) {
  auto store = open();
  Mailbox inbox = need(store->open_mailbox("INBOX"));
  append(inbox);
  drop();
  need(store->create("INBOX/child"));
  need(store->rename("INBOX", "saved"));
  EXPECT_EQ(need(inbox.status()).exists, 0u);
  EXPECT_EQ(need(need(store->open_mailbox("saved")).status()).exists, 2u);
  EXPECT_TRUE(store->open_mailbox("INBOX/child"));
}

TEST_F(FoldersTest, SubscriptionsOutliveMailboxes) {
  auto store = open();
  need(store->subscribe("some/where"));
  need(store->subscribe("some/where"));
  need(store->unsubscribe("Junk"));
  need(store->unsubscribe("never"));
  EXPECT_EQ(need(store->subscriptions()),
            (std::vector<std::string>{"Drafts", "INBOX", "Sent", "Trash", "some/where"}));
  EXPECT_EQ(read(root_ + "/subscriptions"), "V\t2\n\nDrafts\nINBOX\nSent\nTrash\nsome\twhere\n");
  // The form of old Dovecots, and Courier's.
  write(root_ + "/subscriptions", "a.b\nZ&APw-rich\nbad&name\n");
  EXPECT_EQ(need(store->subscriptions()), (std::vector<std::string>{"Zürich", "a/b", "bad&name"}));
  std::filesystem::remove(root_ + "/subscriptions");
  write(root_ + "/courierimapsubscribed", "INBOX\nINBOX.Work\n");
  EXPECT_EQ(need(store->subscriptions()), (std::vector<std::string>{"INBOX", "Work"}));
}

TEST_F(FoldersTest, FolderRenamedByAnotherProgramKeepsItsUids) {
  auto store = open();
  Mailbox mailbox = need(store->create("before"));
  append(mailbox);
  auto before = need(mailbox.status());
  std::filesystem::rename(root_ + "/.before", root_ + "/.after");
  EXPECT_EQ(mailbox.sync().error().kind, ErrorKind::kNotFound);
  Mailbox after = need(store->open_mailbox("after"));
  EXPECT_EQ(need(after.status()).guid, before.guid);
  EXPECT_EQ(need(after.status()).uid_validity, before.uid_validity);
  std::filesystem::rename(root_ + "/.after", root_ + "/.third");
  need(store->mailboxes());
  EXPECT_EQ(need(mailbox.status()).name, "third");
  // A copy is another mailbox.
  std::filesystem::copy(root_ + "/.third", root_ + "/.copy",
                        std::filesystem::copy_options::recursive);
  EXPECT_NE(need(need(store->open_mailbox("copy")).status()).guid, before.guid);
  EXPECT_EQ(need(need(store->open_mailbox("copy")).status()).exists, 1u);
}

TEST_F(FoldersTest, FolderMadeAndRemovedByAnotherProgram) {
  auto store = open();
  for (const char* part : {"cur", "new", "tmp"}) {
    std::filesystem::create_directories(root_ + "/.Foreign/" + part);
  }
  std::filesystem::create_directories(root_ + "/.notamailbox");
  std::filesystem::create_directories(root_ + "/.a..b/cur");
  std::filesystem::create_directories(root_ + "/.\xff/cur");
  drop("x\n", ".Foreign");
  EXPECT_EQ(describe(need(store->mailboxes())), "Foreign ");
  Mailbox mailbox = need(store->open_mailbox("Foreign"));
  EXPECT_EQ(need(mailbox.status()).exists, 1u);
  EXPECT_EQ(need(mailbox.status()).recent, 1u);
  std::filesystem::remove_all(root_ + "/.Foreign");
  EXPECT_EQ(describe(need(store->mailboxes())), "");
  EXPECT_EQ(mailbox.status().error().kind, ErrorKind::kNotFound);
}

TEST_F(FoldersTest, ParkedSessionsFindTheirMailboxByGuid) {
  auto store = open();
  Mailbox mailbox = need(store->create("x"));
  Guid guid = need(mailbox.status()).guid;
  EXPECT_TRUE(need(store->open_mailbox(guid)) == mailbox);
  EXPECT_EQ(Guid::from_hex(guid.hex()), guid);
  need(store->remove("x"));
  EXPECT_EQ(store->open_mailbox(guid).error().kind, ErrorKind::kNotFound);
}

TEST_F(FoldersTest, SpecialUseIsKept) {
  {
    auto store = open();
    need(store->create("Gesendet", SpecialUse::kSent));
    need(store->set_special_use("Sent", SpecialUse::kNone));
  }
  auto store = open();
  for (const MailboxInfo& info : need(store->mailboxes())) {
    EXPECT_EQ(info.special_use == SpecialUse::kSent, info.name == "Gesendet") << info.name;
  }
  EXPECT_EQ(special_use_from_attribute("\\jUnK"), SpecialUse::kJunk);
  EXPECT_EQ(special_use_from_attribute("\\Nope"), std::nullopt);
}

}  // namespace
}  // namespace dormouse::store
