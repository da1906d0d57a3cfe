// A session with NOTIFY that sleeps at any time believes exactly what one believes that never
// slept, and both believe what is true.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <sstream>

#include "imap/test_watcher.h"

namespace dormouse::imap {
namespace {

constexpr int kSteps = 60;
const char* const kNames[] = {"INBOX", "Junk", "Lists", "Lists/a", "Lists/b", "Work"};

struct Program {
  const char* groups;
  bool names;  // MailboxName and SubscriptionChange of every mailbox
  bool (*named)(const std::string& name, bool subscribed);
};
const Program kPrograms[] = {
    {"(SELECTED (MessageNew MessageExpunge FlagChange)) (PERSONAL (MessageNew MessageExpunge "
     "FlagChange MailboxName SubscriptionChange))",
     true, [](const std::string&, bool) { return true; }},
    {"(SELECTED-DELAYED (MessageNew MessageExpunge FlagChange)) (PERSONAL (MessageNew "
     "MessageExpunge FlagChange MailboxName SubscriptionChange))",
     true, [](const std::string&, bool) { return true; }},
    {"(SELECTED (MessageNew (UID FLAGS) MessageExpunge FlagChange)) (SUBSCRIBED (MessageNew "
     "MessageExpunge FlagChange))",
     false, [](const std::string&, bool subscribed) { return subscribed; }},
    {"(SELECTED-DELAYED (MessageNew (UID FLAGS) MessageExpunge FlagChange)) (SUBTREE Lists "
     "(MessageNew MessageExpunge FlagChange)) (INBOXES (MessageNew MessageExpunge FlagChange))",
     false,
     [](const std::string& name, bool) { return name == "INBOX" || name.starts_with("Lists"); }},
};

// What a client believes of mailboxes, by STATUS and LIST alone.
struct Beliefs {
  struct Status {
    std::map<std::string, std::string> items = {
        {"MESSAGES", "0"}, {"UIDNEXT", "1"}, {"UNSEEN", "0"}};
    bool operator==(const Status&) const = default;
  };
  std::map<std::string, Status> status;
  std::map<std::string, bool> names;  // and whether subscribed
  void take(const std::string& responses);
};

std::string word_after(const std::string& line, const std::string& key) {
  size_t at = line.find(key + " ");
  if (at == std::string::npos) return "?";
  at += key.size() + 1;
  return line.substr(at, line.find_first_of(" )\r", at) - at);
}

void Beliefs::take(const std::string& responses) {
  std::istringstream lines(responses);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("* STATUS ")) {
      for (auto& [key, value] : status[word_after(line, "* STATUS")].items) {
        if (std::string told = word_after(line, key); told != "?") value = told;
      }
    }
    if (!line.starts_with("* LIST ")) continue;
    std::string name = word_after(line, "\"/\"");
    std::string old =
        line.find("OLDNAME") == std::string::npos ? "" : word_after(line, "\"OLDNAME\"");
    if (!old.empty()) {
      old = old.substr(1, old.find(')') - 1);
      names.erase(old);
      if (status.contains(old)) status[name] = status[old];
      status.erase(old);
    }
    bool subscribed = line.find("\\Subscribed") != std::string::npos;
    bool gone = line.find("\\NonExistent") != std::string::npos;
    if (gone) status.erase(name);
    if (gone && !subscribed) {
      names.erase(name);
    } else {
      names[name] = subscribed;
    }
  }
}

struct Notified : Watcher {
  void take(const std::string& reply) override {
    Watcher::take(reply);
    beliefs.take(reply);
  }
  Beliefs beliefs;
};

// What is true, from a session that asks.
io::Task<void> learn(Notified* asker, Beliefs* truth) {
  std::string names = co_await asker->client->command("LIST \"\" * RETURN (SUBSCRIBED)");
  truth->take(names);
  names = co_await asker->client->command("LIST (SUBSCRIBED) \"\" *");
  truth->take(names);
  auto known = truth->names;
  for (const auto& [name, subscribed] : known) {
    std::string status =
        co_await asker->client->command(fmt::format("STATUS {} (MESSAGES UIDNEXT UNSEEN)", name));
    truth->take(status);
  }
}

io::Task<void> check(Notified* watcher, Notified* asker, const Program* program) {
  if (watcher->idle) co_await end_idle(watcher);
  // Watched and refreshed, it has heard everything but what waits for a command.
  if (watcher->sleeps) {
    bool parked = co_await watcher->client->parked();
    EXPECT_TRUE(parked);
    co_await watcher->client->refresh();
  }
  co_await say(watcher, "NOOP");
  Beliefs truth;
  co_await learn(asker, &truth);
  for (const auto& [name, status] : truth.status) {
    auto subscribed = truth.names.find(name);
    if (name == "INBOX" || !program->named(name, subscribed->second)) continue;
    EXPECT_EQ(watcher->beliefs.status[name].items, status.items) << name;
  }
  if (program->names) EXPECT_EQ(watcher->beliefs.names, truth.names);
  co_await check_mailbox(watcher);
}

// Another process, which has its own store.
// Who did not ask for names cannot know of a rename.
void change_elsewhere(Household* home, Random* random, bool renames) {
  store::UserStore& store = home->elsewhere();
  std::string name = kNames[random->below(std::size(kNames))];
  std::string other = kNames[random->below(std::size(kNames))];
  auto mailbox = store.open_mailbox(name);
  switch (random->below(9)) {
    case 0:
    case 1:
    case 2:
      if (mailbox) home->deliver(name, "Subject: x\n\nx\n");
      break;
    case 3:
      if (name != "INBOX") (void)store.create(name);
      break;
    case 4:
      if (random->below(3) == 0) (void)store.remove(name);
      break;
    case 5:
      if (renames && name != "INBOX") (void)store.rename(name, other);
      break;
    case 6:
      (void)(random->below(2) == 0 ? store.subscribe(name) : store.unsubscribe(name));
      break;
    default: {
      if (!mailbox || !mailbox->sync()) break;
      auto uids = mailbox->uids();
      if (!uids || uids->empty()) break;
      uint32_t uid = (*uids)[random->below(unsigned(uids->size()))];
      if (random->below(2) == 0) {
        (void)mailbox->expunge(std::span(&uid, 1));
      } else {
        store::FlagsChange flags;
        flags.flags.bits = store::Flags::kSeen;
        (void)mailbox->store_flags(std::span(&uid, 1), flags);
      }
    }
  }
}

io::Task<void> act(Notified* watcher, Random* random) {
  if (watcher->sleeps && random->below(2) == 0) {
    bool parked = co_await watcher->client->parked();
    EXPECT_TRUE(parked);
    if (random->below(4) != 0) co_await watcher->client->refresh();
    co_return;
  }
  if (watcher->idle) {
    if (random->below(3) == 0) co_await end_idle(watcher);
    co_return;
  }
  size_t count = watcher->mirror.entries().size();
  switch (random->below(count == 0 ? 2 : 6)) {
    case 0:
      co_await say(watcher, "NOOP");
      break;
    case 1:
      co_await begin_idle(watcher);
      break;
    case 2:
      co_await say(watcher,
                   fmt::format("FETCH {} (UID FLAGS)", 1 + random->below(unsigned(count))));
      break;
    case 3:
      co_await say(watcher,
                   fmt::format("STORE {} +FLAGS (\\Draft)", 1 + random->below(unsigned(count))));
      break;
    case 4:
      // What it has done itself it knows: by asking, here.
      co_await say(watcher, fmt::format("UID COPY {} Junk", 1 + random->below(unsigned(count))));
      co_await say(watcher, "STATUS Junk (MESSAGES UIDNEXT UNSEEN)");
      break;
    default:
      co_await say(watcher, "UID SEARCH ALL");
  }
}

io::Task<void> sleep_and_wake(Household* home, io::Scope* scope, unsigned seed) {
  home->host().settings.set_park_after_ms(1);
  home->host().settings.set_park_quiet_ms(1);
  Random random(seed);
  const Program& program = kPrograms[seed % std::size(kPrograms)];
  Notified awake;
  Notified sleeper;
  Notified asker;
  sleeper.sleeps = true;
  home->deliver("INBOX", "Subject: x\n\nx\n");
  const char* names[] = {"t", "a", "s"};
  Notified* all[] = {&asker, &awake, &sleeper};
  for (int i = 0; i < 3; ++i) {
    co_await log_in(home, scope, all[i], names[i]);
    if (i == 0) continue;
    co_await say(all[i], "LIST \"\" * RETURN (SUBSCRIBED)");
    co_await say(all[i], "LIST (SUBSCRIBED) \"\" *");
    co_await say(all[i], "SELECT INBOX");
    co_await say(all[i], fmt::format("NOTIFY SET STATUS {}", program.groups));
  }
  for (int step = 0; step < kSteps; ++step) {
    if (random.below(3) != 0) change_elsewhere(home, &random, program.names);
    co_await act(&sleeper, &random);
    co_await act(&awake, &random);
    if (step % 10 == 9) {
      co_await check(&sleeper, &asker, &program);
      co_await check(&awake, &asker, &program);
    }
    if (::testing::Test::HasFailure()) {
      ADD_FAILURE() << "seed " << seed << " step " << step << "\n--- sleeper\n"
                    << sleeper.client->transcript() << "\n--- awake\n"
                    << awake.client->transcript();
      break;
    }
  }
  EXPECT_GT(home->host().counters.parks, 0u);
  EXPECT_GT(home->host().counters.refreshes, 0u);
}

class NotifySleep : public ::testing::TestWithParam<unsigned> {};

TEST_P(NotifySleep, believes_what_an_awake_session_believes_and_what_is_true) {
  play(sleep_and_wake, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Seeds, NotifySleep, ::testing::Range(1u, 25u));

}  // namespace
}  // namespace dormouse::imap
