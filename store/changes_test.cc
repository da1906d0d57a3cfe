// changes_since() against a model that remembers every view.

#include <sqlite3.h>

#include <functional>
#include <map>
#include <random>

#include "store/test_mail.h"

namespace dormouse::store {
namespace {

using ChangesTest = MailTest;

struct View {
  uint64_t mod_seq = 0;
  // Flags and keywords by UID: what a client that fetched everything then would know.
  std::map<uint32_t, std::pair<uint8_t, uint64_t>> messages;
};

View look(Mailbox mailbox) {
  View view;
  view.mod_seq = need(mailbox.status()).highest_mod_seq;
  for (const Message& message : need(mailbox.messages(UidRange{}))) {
    view.messages[message.uid] = {message.flags.bits, message.keywords.to_ullong()};
  }
  return view;
}

// Applies `changes` to the former view as a session would, by sequence number where it has one.
void replay(View& view, const Changes& changes) {
  ASSERT_TRUE(changes.complete);
  ASSERT_EQ(changes.former_exists, view.messages.size());
  std::vector<uint32_t> order;
  for (const auto& [uid, flags] : view.messages) order.push_back(uid);
  ASSERT_EQ(changes.changed.size(), changes.changed_sequence.size());
  for (size_t i = 0; i < changes.changed.size(); ++i) {
    const Message& message = changes.changed[i];
    ASSERT_GE(changes.changed_sequence[i], 1u);
    ASSERT_LE(changes.changed_sequence[i], order.size());
    ASSERT_EQ(order[changes.changed_sequence[i] - 1], message.uid);
    view.messages[message.uid] = {message.flags.bits, message.keywords.to_ullong()};
  }
  for (const Expunged& gone : changes.expunged) {
    if (gone.created_mod_seq > changes.since) {
      ASSERT_EQ(gone.former_sequence, 0u);
      ASSERT_FALSE(view.messages.contains(gone.uid));
      continue;
    }
    ASSERT_EQ(order.at(gone.former_sequence - 1), gone.uid);
    ASSERT_EQ(view.messages.erase(gone.uid), 1u);
  }
  for (const Message& message : changes.arrived) {
    ASSERT_FALSE(view.messages.contains(message.uid));
    view.messages[message.uid] = {message.flags.bits, message.keywords.to_ullong()};
  }
}

class Actor {
 public:
  Actor(Mailbox inbox, Mailbox other, const std::string& root, unsigned seed)
      : inbox_(inbox), other_(other), root_(root), random_(seed) {}

  void act(const std::function<std::string()>& drop, const std::function<void()>& append) {
    switch (random_() % 9) {
      case 0:
        append();
        break;
      case 1:
        drop();
        break;
      case 2:
      case 3:
        need(inbox_.store_flags(some(), change()));
        break;
      case 4:
        need(inbox_.expunge(some()));
        break;
      case 5:
        need(inbox_.copy(some(), inbox_));
        break;
      case 6:
        need(inbox_.move(some(), other_));
        break;
      case 7:
        need(other_.move(need(other_.uids()), inbox_));
        break;
      case 8:
        disturb();
        break;
    }
  }

 private:
  std::vector<uint32_t> some() {
    std::vector<uint32_t> chosen;
    for (uint32_t uid : need(inbox_.uids())) {
      if (random_() % 8 == 0) chosen.push_back(uid);
    }
    return chosen;
  }
  FlagsChange change() {
    FlagsChange wanted;
    wanted.mode = static_cast<FlagsMode>(random_() % 3);
    wanted.flags.bits = static_cast<uint8_t>(random_() % 32);
    if (random_() % 2 == 0) wanted.keywords.push_back(fmt::format("k{}", random_() % 30));
    return wanted;
  }
  // Another program renames one file and removes another.
  void disturb() {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(root_ + "/cur")) {
      names.push_back(entry.path().filename());
    }
    if (names.size() < 2) return;
    std::string renamed = names[random_() % names.size()];
    std::string removed = names[random_() % names.size()];
    std::string base(split_file_name(renamed).base);
    std::filesystem::rename(root_ + "/cur/" + renamed,
                            root_ + "/cur/" + base + (random_() % 2 == 0 ? ":2,S" : ":2,F"));
    if (removed != renamed) std::filesystem::remove(root_ + "/cur/" + removed);
  }

  Mailbox inbox_;
  Mailbox other_;
  std::string root_;
  std::mt19937 random_;
};

void expect_counts_hold(Mailbox mailbox) {
  auto status = need(mailbox.status());
  uint32_t unseen = 0, deleted = 0;
  auto messages = need(mailbox.messages(UidRange{}));
  uint32_t position = 0;
  for (const Message& message : messages) {
    unseen += message.flags.has(Flags::kSeen) ? 0 : 1;
    deleted += message.flags.has(Flags::kDeleted) ? 1 : 0;
    ASSERT_EQ(need(mailbox.rank(message.uid)), ++position);
    ASSERT_LE(message.mod_seq, status.highest_mod_seq);
    ASSERT_LT(message.uid, status.uid_next);
  }
  ASSERT_EQ(status.exists, messages.size());
  ASSERT_EQ(status.unseen, unseen);
  ASSERT_EQ(status.deleted, deleted);
}

TEST_F(ChangesTest, EveryFormerViewIsReconstructed) {
  auto store = open();
  Mailbox inbox = need(store->open_mailbox("INBOX"));
  for (unsigned seed = 1; seed <= 3; ++seed) {
    Actor actor(inbox, need(store->open_mailbox("Trash")), root_, seed);
    std::vector<View> views;
    for (int step = 0; step < 120; ++step) {
      actor.act([&] { return drop(); }, [&] { append(inbox, "x\r\n", {}, {"k1"}); });
      need(inbox.sync());
      views.push_back(look(inbox));
      if (views.size() > 1) ASSERT_GE(views.back().mod_seq, views[views.size() - 2].mod_seq);
    }
    expect_counts_hold(inbox);
    const View now = views.back();
    for (View& view : views) {
      Changes changes = need(inbox.changes_since(view.mod_seq));
      ASSERT_EQ(changes.status.highest_mod_seq, now.mod_seq);
      replay(view, changes);
      if (HasFatalFailure()) return;
      ASSERT_EQ(view.messages, now.messages) << "seed " << seed;
    }
  }
}

TEST_F(ChangesTest, NothingSinceNowAndRefusedBeyond) {
  auto store = open();
  Mailbox inbox = need(store->open_mailbox("INBOX"));
  append(inbox);
  uint64_t now = need(inbox.status()).highest_mod_seq;
  Changes changes = need(inbox.changes_since(now));
  EXPECT_TRUE(changes.changed.empty() && changes.arrived.empty() && changes.expunged.empty());
  EXPECT_EQ(changes.former_exists, 1u);
  EXPECT_FALSE(inbox.changes_since(now + 1));
  EXPECT_EQ(need(inbox.changes_since(0)).arrived.size(), 1u);
}

// Fills the log up to its bound: real expunges would take 65,536 files.
void fill_log(const std::string& root, uint32_t entries, bool one_mod_seq) {
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open((root + "/dormouse.index").c_str(), &database), SQLITE_OK);
  std::string sql = fmt::format(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) "
      "INSERT INTO expunged SELECT mailbox.id, {}, i + 1000, 1 FROM n, mailbox WHERE name = "
      "'INBOX';"
      "UPDATE mailbox SET expunged_count = {}, uid_next = {}, highest_mod_seq = {};",
      entries, one_mod_seq ? "100" : "i + 100", entries, entries + 2000, entries + 200);
  char* message = nullptr;
  EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, &message), SQLITE_OK)
      << (message != nullptr ? message : "");
  sqlite3_free(message);
  sqlite3_close(database);
}

TEST_F(ChangesTest, BeyondTheLogsHorizonSaysIncomplete) {
  auto store = open();
  Mailbox inbox = need(store->open_mailbox("INBOX"));
  uint32_t uid = append(inbox);
  uint64_t start = need(inbox.status()).highest_mod_seq;
  fill_log(root_, kExpungeLogMax, false);
  uint64_t middle = need(inbox.status()).highest_mod_seq;
  EXPECT_TRUE(need(inbox.changes_since(start)).complete);
  need(inbox.expunge(std::span(&uid, 1)));
  EXPECT_FALSE(need(inbox.changes_since(start)).complete);
  Changes changes = need(inbox.changes_since(middle));
  EXPECT_TRUE(changes.complete);
  EXPECT_EQ(changes.expunged.size(), 1u);
  EXPECT_EQ(changes.former_exists, 1u);
  // Half of the log is still there.
  EXPECT_TRUE(need(inbox.changes_since(kExpungeLogMax / 2 + 200)).complete);
  EXPECT_FALSE(need(inbox.changes_since(kExpungeLogMax / 2)).complete);
}

TEST_F(ChangesTest, TheLatestExpungeIsNeverPrunedHoweverLarge) {
  auto store = open();
  Mailbox inbox = need(store->open_mailbox("INBOX"));
  std::vector<uint32_t> uids;
  for (int i = 0; i < 50; ++i) uids.push_back(append(inbox));
  fill_log(root_, kExpungeLogMax, true);
  uint64_t before = need(inbox.status()).highest_mod_seq;
  need(inbox.expunge(uids));
  Changes changes = need(inbox.changes_since(before));
  EXPECT_TRUE(changes.complete);
  EXPECT_EQ(changes.expunged.size(), uids.size());
  EXPECT_FALSE(need(inbox.changes_since(50)).complete);
}

}  // namespace
}  // namespace dormouse::store
