// A session that sleeps and wakes at any time sees exactly what one sees that never slept.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "imap/test_watcher.h"

namespace dormouse::imap {
namespace {

constexpr int kSteps = 60;
const char* const kFlagNames[] = {"\\Seen",     "\\Flagged",  "\\Deleted",
                                  "\\Answered", "$Forwarded", "Junk"};

io::Task<void> check(Watcher* watcher) {
  if (watcher->idle) co_await end_idle(watcher);
  co_await say(watcher, "NOOP");
  co_await check_mailbox(watcher);
}

// Another session, or another process, changes something.
io::Task<void> change(Household* home, Watcher* writer, Random* random) {
  size_t count = writer->mirror.entries().size();
  unsigned what = random->below(6);
  if (what == 0 || count == 0) {
    home->deliver("INBOX", fmt::format("Subject: {}\n\nx\n", random->below(1000)));
    co_await say(writer, "NOOP");
  } else if (what <= 3) {
    const char* flag = kFlagNames[random->below(std::size(kFlagNames))];
    co_await say(writer, fmt::format("STORE {} {}FLAGS ({})", 1 + random->below(unsigned(count)),
                                     random->below(3) == 0 ? "-" : "+", flag));
  } else if (what == 4) {
    co_await say(writer, "EXPUNGE");
  } else {
    expunge_elsewhere(home, random);
    co_await say(writer, "NOOP");
  }
}

// Mail comes while the watcher sleeps, and its den says so without asking a worker: in IDLE always,
// else where nothing is owed but that. Some of it is gone again before anyone has looked at it.
io::Task<void> announce_mail(Household* home, Watcher* watcher, Random* random) {
  bool parked = co_await watcher->client->parked();
  EXPECT_TRUE(parked);
  unsigned count = 1 + random->below(3);
  for (unsigned i = 0; i < count; ++i) {
    home->deliver("INBOX", fmt::format("Subject: announced {}\n\nx\n", random->below(1000)));
  }
  bool announced = watcher->client->announce(count);
  EXPECT_TRUE(announced || !watcher->idle);
  if (random->below(3) != 0) co_return;
  namespace fs = std::filesystem;
  std::vector<fs::path> fresh;
  for (const auto& file : fs::directory_iterator(home->mail_path() + "/new")) {
    fresh.push_back(file.path());
  }
  if (!fresh.empty()) fs::remove(fresh[random->below(unsigned(fresh.size()))]);
}

// The watcher does something of its own; the sleeper also sleeps, or is told of changes.
io::Task<void> act(Watcher* watcher, Random* random) {
  if (watcher->sleeps && random->below(2) == 0) {
    bool parked = co_await watcher->client->parked();
    EXPECT_TRUE(parked);
    if (random->below(4) != 0) co_await watcher->client->refresh();
    co_return;
  }
  if (watcher->idle) {
    if (random->below(4) == 0) co_await end_idle(watcher);
    co_return;
  }
  size_t count = watcher->mirror.entries().size();
  switch (random->below(count == 0 ? 2 : 7)) {
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
      co_await say(watcher, "UID SEARCH ALL");
      break;
    default:
      co_await begin_idle(watcher);
  }
}

io::Task<void> sleep_and_wake(Household* home, io::Scope* scope, unsigned seed) {
  home->host().settings.set_park_after_ms(1);
  home->host().settings.set_park_quiet_ms(1);
  Random random(seed);
  Watcher writer;
  Watcher awake;
  Watcher sleeper;
  sleeper.sleeps = true;
  const char* names[] = {"w", "a", "s"};
  Watcher* all[] = {&writer, &awake, &sleeper};
  for (int i = 0; i < 3; ++i) {
    co_await log_in(home, scope, all[i], names[i]);
    co_await say(all[i], "SELECT INBOX");
  }
  for (int step = 0; step < kSteps; ++step) {
    if (random.below(sleeper.idle ? 2 : 4) == 0) co_await announce_mail(home, &sleeper, &random);
    if (random.below(3) != 0) co_await change(home, &writer, &random);
    co_await act(&sleeper, &random);
    co_await act(&awake, &random);
    if (step % 10 == 9) {
      co_await check(&sleeper);
      co_await check(&awake);
    }
    if (::testing::Test::HasFailure()) {
      ADD_FAILURE() << "seed " << seed << " step " << step << "\n--- sleeper\n"
                    << sleeper.client->transcript();
      break;
    }
  }
  EXPECT_GT(home->host().counters.parks, 0u);
}

class Sleep : public ::testing::TestWithParam<unsigned> {};

TEST_P(Sleep, sees_what_an_awake_session_sees) { play(sleep_and_wake, GetParam()); }

INSTANTIATE_TEST_SUITE_P(Seeds, Sleep, ::testing::Range(1u, 17u));

// The sleeper in IDLE, parked, of a mailbox with two messages.
io::Task<Client*> dozing(Household* home, io::Scope* scope, std::string enable) {
  home->host().settings.set_park_after_ms(1);
  home->deliver("INBOX", "Subject: 1\n\nx\n");
  home->deliver("INBOX", "Subject: 2\n\nx\n");
  Client& client = home->client(*scope, "s");
  client.log_in();
  co_await client.take_until("l0 ");
  if (!enable.empty()) co_await client.command(enable);
  co_await client.command("SELECT INBOX");
  client.send("i IDLE\r\n");
  co_await client.take_until("+ ");
  bool parked = co_await client.parked();
  EXPECT_TRUE(parked);
  EXPECT_TRUE(client.record().announces());
  EXPECT_EQ(client.record().exists(), 2u);
  co_return &client;
}

io::Task<void> told_once(Household* home, io::Scope* scope) {
  Client* client = co_await dozing(home, scope, "");
  home->deliver("INBOX", "Subject: 3\n\nx\n");
  EXPECT_TRUE(client->announce(1));
  home->deliver("INBOX", "Subject: 4\n\nx\n");
  co_await client->refresh();
  EXPECT_EQ(client->record().exists(), 4u);
  client->send("DONE\r\n");
  std::string told = co_await client->take_until("i ");
  EXPECT_EQ(told, "* 3 EXISTS\r\n* 4 EXISTS\r\n* 4 RECENT\r\ni OK Idle completed.\r\n");
  std::string uids = co_await client->command("UID SEARCH ALL");
  EXPECT_NE(uids.find("* SEARCH 1 2 3 4\r\n"), std::string::npos) << uids;
}
TEST(Announced, messages_are_counted_once_and_get_their_uids_when_a_worker_looks) {
  play(told_once);
}

io::Task<void> told_of_the_gone(Household* home, io::Scope* scope) {
  Client* client = co_await dozing(home, scope, "");
  std::string new_folder = home->mail_path() + "/new";
  home->deliver("INBOX", "Subject: 3\n\nx\n");
  home->deliver("INBOX", "Subject: 4\n\nx\n");
  EXPECT_TRUE(client->announce(2));
  std::filesystem::remove(std::filesystem::directory_iterator(new_folder)->path());
  // The first word is a command during which EXPUNGE may not be said (RFC 3501 7.4.1).
  client->send("DONE\r\n");
  std::string told = co_await client->take_until("i ");
  EXPECT_TRUE(told.starts_with("* 4 EXISTS\r\n")) << told;
  std::string found = co_await client->command("FETCH 1:4 (UID)");
  found += co_await client->command("NOOP");
  Mirror mirror;
  mirror.take("* 2 EXISTS\r\n");
  mirror.take(told);
  mirror.take(found);
  EXPECT_EQ(mirror.entries().size(), 3u) << told << found;
  EXPECT_TRUE(mirror.complaints().empty());
  std::string after = co_await client->command("FETCH 1:3 (UID)");
  mirror.take(after);
  EXPECT_EQ(mirror.entries().size(), 3u) << after;
}
TEST(Announced, a_message_that_was_gone_before_anyone_looked_is_reported_expunged) {
  play(told_of_the_gone);
}

io::Task<void> told_wrongly(Household* home, io::Scope* scope) {
  Client* client = co_await dozing(home, scope, "ENABLE QRESYNC");
  EXPECT_TRUE(client->announce(2));
  co_await client->refresh();
  EXPECT_EQ(client->record().exists(), 2u);
  client->send("DONE\r\n");
  std::string told = co_await client->take_until("i ");
  EXPECT_NE(told.find("* VANISHED 3:4\r\n"), std::string::npos) << told;
  home->deliver("INBOX", "Subject: 3\n\nx\n");
  std::string next = co_await client->command("NOOP");
  EXPECT_NE(next.find("* 3 EXISTS\r\n"), std::string::npos) << next;
  std::string uids = co_await client->command("UID SEARCH ALL");
  EXPECT_NE(uids.find("* SEARCH 1 2 5\r\n"), std::string::npos) << "those UIDs are used up" << uids;
}
TEST(Announced, a_qresync_client_hears_vanished_uids_for_files_that_never_were_messages) {
  play(told_wrongly);
}

// --- QRESYNC against a model: what the client knew, plus what it was told, is the mailbox.

io::Task<void> resynchronize(Household* home, io::Scope* scope) {
  home->host().settings.set_park_quiet_ms(600'000);
  Random random(4711);
  Watcher writer;
  Watcher reader;
  writer.client = &home->client(*scope, "w");
  reader.client = &home->client(*scope, "r");
  for (Watcher* watcher : {&writer, &reader}) {
    watcher->client->log_in();
    co_await watcher->client->take_until("l0 ");
  }
  co_await say(&writer, "SELECT INBOX");
  co_await say(&reader, "ENABLE QRESYNC");
  for (int round = 0; round < 40; ++round) {
    for (unsigned i = random.below(8); i > 0; --i) co_await change(home, &writer, &random);
    uint64_t mod_seq = reader.mirror.highest_mod_seq();
    reader.mirror.clear_view();
    co_await say(&reader, mod_seq == 0 ? std::string("SELECT INBOX")
                                       : fmt::format("SELECT INBOX (QRESYNC ({} {}))",
                                                     reader.mirror.uid_validity(), mod_seq));
    auto told = reader.mirror.known();
    Mirror truth;
    std::string all = co_await reader.client->command("UID FETCH 1:* (FLAGS)");
    truth.take(fmt::format("* {} EXISTS\r\n", reader.mirror.entries().size()) + all);
    if (mod_seq != 0) EXPECT_EQ(told, truth.known()) << "round " << round;
    reader.mirror.take(all);
    // The mod-sequence of the SELECT is what the mailbox was at; go on from there.
    co_await say(&reader, "UNSELECT");
    if (::testing::Test::HasFailure()) break;
  }
}

TEST(Qresync, tells_exactly_what_changed) { play(resynchronize); }

}  // namespace
}  // namespace dormouse::imap
