// Sessions that sleep outside IDLE: what may be said while they do, and a view that still holds
// messages that are gone, until a command may say so (RFC 3501 7.4.1, RFC 2180 4).

#include <gmock/gmock.h>

#include "imap/test_script.h"

namespace dormouse::imap {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Parked outside IDLE, with INBOX of `mails` messages selected.
io::Task<Client*> napping(Household* home, io::Scope* scope, int mails) {
  home->host().settings.set_park_quiet_ms(1);
  for (int i = 0; i < mails; ++i) home->deliver("INBOX", "Subject: here\n\nx\n");
  Client& client = home->client(*scope, "s");
  client.log_in();
  co_await client.take_until("l0 ");
  std::string selected = co_await client.command("SELECT INBOX");
  EXPECT_THAT(selected, HasSubstr("OK [READ-WRITE]"));
  bool parked = co_await client.parked();
  EXPECT_TRUE(parked);
  co_return &client;
}

void expunge_elsewhere(Household* home, uint32_t uid) {
  auto inbox = home->elsewhere().open_mailbox("INBOX");
  ASSERT_TRUE(inbox);
  auto gone = inbox->expunge(std::span(&uid, 1));
  ASSERT_TRUE(gone);
}

io::Task<void> counted(Household* home, io::Scope* scope) {
  Client* client = co_await napping(home, scope, 2);
  EXPECT_TRUE(client->record().small_talk());
  EXPECT_TRUE(client->record().announces());
  EXPECT_EQ(client->record().exists(), 2u);
  home->deliver("INBOX", "Subject: 3\n\nx\n");
  EXPECT_TRUE(client->announce(1));
  // One more, of which the den had no occasion to tell.
  home->deliver("INBOX", "Subject: 4\n\nx\n");
  std::string found = co_await client->command("FETCH 3 (UID)");
  EXPECT_THAT(found, HasSubstr("* 3 EXISTS\r\n* 4 EXISTS\r\n")) << "the first is the den's";
  EXPECT_THAT(found, HasSubstr("* 3 FETCH (UID 3)"));
}
TEST(Quiet, what_was_told_asleep_is_counted_and_the_rest_is_told_awake) { play(counted); }

io::Task<void> owed(Household* home, io::Scope* scope) {
  Client* client = co_await napping(home, scope, 3);
  expunge_elsewhere(home, 2);
  // This command may not say that message 2 is gone; the session sleeps with it in its view.
  std::string found = co_await client->command("FETCH 1 (UID)");
  EXPECT_THAT(found, Not(HasSubstr("EXPUNGE")));
  bool parked = co_await client->parked();
  EXPECT_TRUE(parked);
  EXPECT_FALSE(client->record().small_talk()) << "an EXPUNGE is owed to the next NOOP";
  EXPECT_FALSE(client->record().announces());
}
TEST(Quiet, with_an_expunge_owed_the_den_may_answer_nothing) { play(owed); }

// Each command is asked twice: of a session that wakes to a message it did not know to be gone, and
// of one that fell asleep knowing it.
io::Task<void> ghosts(Household* home, io::Scope* scope) {
  Client* client = co_await napping(home, scope, 4);
  std::string reply = co_await client->command("CREATE There");
  expunge_elsewhere(home, 2);
  for (int round = 0; round < 2; ++round) {
    const std::pair<const char*, std::vector<std::string>> asked[] = {
        {"FETCH 2 (UID FLAGS)", {" NO [EXPUNGEISSUED]"}},
        {"FETCH 1:3 (UID BODY.PEEK[])", {"* 1 FETCH (UID 1 ", "* 3 FETCH (UID 3 ", "ISSUED]"}},
        {"STORE 2 +FLAGS (\\Seen)", {" NO [EXPUNGEISSUED]"}},
        {"STORE 2:3 +FLAGS.SILENT (\\Flagged)", {" NO [EXPUNGEISSUED]"}},
        {"SEARCH 2:3", {"* SEARCH 3\r\n", " OK "}},
        {"SEARCH ALL", {"* SEARCH 1 3 4\r\n", " OK "}},
    };
    for (const auto& [command, expected] : asked) {
      bool parked = co_await client->parked();
      EXPECT_TRUE(parked);
      reply = co_await client->command(command);
      for (const std::string& part : expected) EXPECT_THAT(reply, HasSubstr(part)) << command;
      EXPECT_THAT(reply, Not(HasSubstr(" EXPUNGE\r\n"))) << command;
      EXPECT_THAT(reply, Not(HasSubstr("* 2 FETCH"))) << command;
    }
  }
  bool parked = co_await client->parked();
  EXPECT_TRUE(parked);
  reply = co_await client->command("COPY 2 There");
  EXPECT_THAT(reply, HasSubstr("* 2 EXPUNGE\r\n"));
  EXPECT_THAT(reply, HasSubstr(" NO [EXPUNGEISSUED]"));
  parked = co_await client->parked();
  EXPECT_TRUE(parked);
  EXPECT_TRUE(client->record().announces()) << "nothing is owed any more";
  EXPECT_EQ(client->record().exists(), 3u);
  reply = co_await client->command("FETCH 2 (UID FLAGS)");
  EXPECT_THAT(reply, HasSubstr("* 2 FETCH (UID 3 FLAGS (\\Flagged"));
}
TEST(Quiet, a_message_gone_meanwhile_keeps_its_number_until_a_command_may_say_so) { play(ghosts); }

// All of the view is gone, and the mailbox has as many new messages.
io::Task<void> replaced(Household* home, io::Scope* scope) {
  Client* client = co_await napping(home, scope, 2);
  expunge_elsewhere(home, 1);
  expunge_elsewhere(home, 2);
  home->deliver("INBOX", "Subject: new\n\nx\n");
  std::string reply = co_await client->command("FETCH 1:2 (UID)");
  EXPECT_THAT(reply, HasSubstr("* 3 EXISTS\r\n"));
  EXPECT_THAT(reply, HasSubstr(" NO [EXPUNGEISSUED]"));
  bool parked = co_await client->parked();
  EXPECT_TRUE(parked);
  reply = co_await client->command("FETCH 1:* (UID)");
  EXPECT_THAT(reply, HasSubstr("* 3 FETCH (UID 3)"));
  EXPECT_THAT(reply, HasSubstr(" NO [EXPUNGEISSUED]"));
  parked = co_await client->parked();
  EXPECT_TRUE(parked);
  reply = co_await client->command("NOOP");
  EXPECT_THAT(reply, HasSubstr("* 2 EXPUNGE\r\n* 1 EXPUNGE\r\n"));
  reply = co_await client->command("FETCH 1 (UID)");
  EXPECT_THAT(reply, HasSubstr("* 1 FETCH (UID 3)"));
}
TEST(Quiet, a_view_of_nothing_but_gone_messages_sleeps_and_wakes) { play(replaced); }

// --- Why a quiet session stays awake.

// Until the worker has said what hinders; false: it has not.
io::Task<bool> is_hindered(Household* home, Client* client) {
  constexpr int kTriesMax = 5000;
  for (int i = 0; i < kTriesMax && client->hindrance() == wire::Hindrance::NONE; ++i) {
    if (auto slept = co_await home->loop().sleep(1); !slept) break;
  }
  co_return client->hindrance() != wire::Hindrance::NONE;
}

io::Task<void> half_said(Household* home, io::Scope* scope) {
  Client* client = co_await napping(home, scope, 1);
  client->send("x SEARCH SUBJECT {3}\r\n");
  co_await client->take_until("+ ");
  bool told = co_await is_hindered(home, client);
  EXPECT_TRUE(told);
  EXPECT_EQ(client->hindrance(), wire::Hindrance::HALF_COMMAND);
  EXPECT_FALSE(client->is_parked());
  client->send("ere\r\n");
  std::string reply = co_await client->take_until("x ");
  EXPECT_THAT(reply, HasSubstr("* SEARCH 1\r\n"));
  bool parked = co_await client->parked();
  EXPECT_TRUE(parked);
}
TEST(Quiet, half_a_command_is_told_as_the_reason_and_parks_when_it_is_whole) { play(half_said); }

// The state holds every message that is gone and unreported: too many of them, each apart.
io::Task<void> too_much_owed(Household* home, io::Scope* scope) {
  home->host().settings.set_park_quiet_ms(600'000);
  Client& client = home->client(*scope, "s");
  client.log_in();
  co_await client.take_until("l0 ");
  constexpr int kMails = 4200;
  for (int i = 0; i < kMails; ++i) home->deliver("INBOX", "\n");
  co_await client.command("SELECT INBOX");
  auto inbox = home->elsewhere().open_mailbox("INBOX");
  EXPECT_TRUE(inbox);
  std::vector<uint32_t> uids;
  for (uint32_t uid = 1; uid <= kMails; uid += 2) uids.push_back(uid);
  EXPECT_TRUE(inbox->expunge(std::span<const uint32_t>(uids)));
  home->host().settings.set_park_quiet_ms(1);
  std::string reply = co_await client.command("FETCH 1 (UID)");
  EXPECT_THAT(reply, HasSubstr("[EXPUNGEISSUED]"));
  bool told = co_await is_hindered(home, &client);
  EXPECT_TRUE(told);
  EXPECT_EQ(client.hindrance(), wire::Hindrance::STATE_LONG);
  EXPECT_FALSE(client.is_parked());
  // What made it long is told, and it sleeps.
  reply = co_await client.command("NOOP");
  EXPECT_THAT(reply, HasSubstr(" EXPUNGE\r\n"));
  bool parked = co_await client.parked();
  EXPECT_TRUE(parked);
}
TEST(Quiet, a_state_over_its_bound_is_told_as_the_reason) { play(too_much_owed); }

}  // namespace
}  // namespace dormouse::imap
