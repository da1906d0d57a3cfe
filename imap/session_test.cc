#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "imap/test_script.h"

namespace dormouse::imap {
namespace {

using ::testing::HasSubstr;

constexpr const char* kMail =
    "From: Ada <ada@example.org>\nTo: bob@example.org\nSubject: Hello\n"
    "Date: Mon, 7 Feb 1994 21:52:25 -0800\n\nBody of the mail\n";

io::Task<void> login_to_logout(Household* home, io::Scope* scope) {
  Client& a = home->client(*scope, "a");
  a.log_in();
  std::string hello = co_await a.take_until("l0 ");
  EXPECT_THAT(hello, HasSubstr("l0 OK [CAPABILITY IMAP4rev1"));
  std::string reply = co_await a.command("CAPABILITY");
  EXPECT_THAT(reply, HasSubstr("* CAPABILITY IMAP4rev1"));
  reply = co_await a.command("NOOP");
  EXPECT_THAT(reply, HasSubstr("OK NOOP completed."));
  reply = co_await a.command("FETCH 1 FLAGS");
  EXPECT_THAT(reply, HasSubstr("a3 BAD"));
  reply = co_await a.command("LOGOUT");
  EXPECT_THAT(reply, HasSubstr("* BYE Logging out\r\na4 OK Logout completed."));
  co_await a.ended();
}

TEST(Session, logs_in_talks_and_logs_out) { play(login_to_logout); }

io::Task<void> select_and_fetch(Household* home, io::Scope* scope) {
  Client& a = home->client(*scope, "a");
  a.log_in();
  co_await a.take_until("l0 ");
  home->deliver("INBOX", kMail);
  std::string reply = co_await a.command("SELECT INBOX");
  EXPECT_THAT(reply, HasSubstr("* 1 EXISTS\r\n"));
  EXPECT_THAT(reply, HasSubstr("* 1 RECENT\r\n"));
  EXPECT_THAT(reply, HasSubstr("* OK [UNSEEN 1]"));
  EXPECT_THAT(reply, HasSubstr("\\*)]"));
  EXPECT_THAT(reply, HasSubstr("a1 OK [READ-WRITE]"));
  reply = co_await a.command("FETCH 1 (UID FLAGS RFC822.SIZE ENVELOPE)");
  EXPECT_THAT(reply, HasSubstr("* 1 FETCH (UID 1 FLAGS (\\Recent) RFC822.SIZE "));
  EXPECT_THAT(reply, HasSubstr("\"Hello\""));
  reply = co_await a.command("FETCH 1 BODY[TEXT]");
  EXPECT_THAT(reply, HasSubstr("BODY[TEXT] {18}\r\nBody of the mail\r\n"));
  EXPECT_THAT(reply, HasSubstr("\\Seen"));
  reply = co_await a.command("UID FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT)]");
  EXPECT_THAT(reply, HasSubstr("{18}\r\nSubject: Hello\r\n\r\n"));
  reply = co_await a.command("FETCH 1 BODY[]<5.10>");
  EXPECT_THAT(reply, HasSubstr("BODY[]<5> {10}\r\n Ada <ada@"));
}

TEST(Session, selects_and_fetches) { play(select_and_fetch); }

io::Task<void> compress(Household* home, io::Scope* scope) {
  Client& a = home->client(*scope, "a");
  a.log_in();
  EXPECT_THAT(co_await a.take_until("l0 "), HasSubstr(" COMPRESS=DEFLATE"));
  EXPECT_THAT(co_await a.command("COMPRESS LZ4"), HasSubstr("a1 NO [CANNOT]"));
  EXPECT_FALSE(a.compressed());
  EXPECT_THAT(co_await a.command("COMPRESS DEFLATE"), HasSubstr("a2 OK DEFLATE active."));
  EXPECT_TRUE(a.compressed());
  EXPECT_THAT(co_await a.command("COMPRESS DEFLATE"), HasSubstr("a3 NO [COMPRESSIONACTIVE]"));
  EXPECT_THAT(co_await a.command("SELECT INBOX"), HasSubstr("a4 OK"));
  a.send("a5 IDLE\r\n");
  co_await a.take_until("+ ");
  EXPECT_TRUE(co_await a.parked());
  a.send("DONE\r\n");
  co_await a.take_until("a5 OK");
  EXPECT_THAT(co_await a.command("COMPRESS DEFLATE"), HasSubstr("NO [COMPRESSIONACTIVE]"))
      << "also after a sleep";
}

TEST(Session, starts_compress_once) { play(compress); }

io::Task<void> compress_pipelined(Household* home, io::Scope* scope) {
  Client& a = home->client(*scope, "a");
  a.log_in();
  co_await a.take_until("l0 ");
  a.send("p1 COMPRESS DEFLATE\r\np2 NOOP\r\n");
  EXPECT_THAT(co_await a.take_until("p2 "), HasSubstr("p1 BAD"));
  EXPECT_FALSE(a.compressed());
}

TEST(Session, refuses_compress_with_a_command_behind_it) { play(compress_pipelined); }

io::Task<void> park_and_wake(Household* home, io::Scope* scope) {
  Client& a = home->client(*scope, "a");
  a.log_in();
  co_await a.take_until("l0 ");
  co_await a.command("SELECT INBOX");
  a.send("i1 IDLE\r\n");
  co_await a.take_until("+ ");
  bool parked = co_await a.parked();
  EXPECT_TRUE(parked);
  EXPECT_EQ(a.record().mode(), wire::WorkerToDen::Parked::IDLE);
  EXPECT_EQ(a.record().idle_tag(), "i1");
  EXPECT_LT(a.state_bytes().size(), 200u);
  home->deliver("INBOX", kMail);
  co_await a.refresh();
  std::string told = co_await a.take_until("* 1 RECENT");
  EXPECT_THAT(told, HasSubstr("* 1 EXISTS\r\n"));
  EXPECT_TRUE(a.is_parked());
  home->deliver("INBOX", kMail);
  a.send("DONE\r\n");
  std::string done = co_await a.take_until("i1 ");
  EXPECT_THAT(done, HasSubstr("* 2 EXISTS\r\n* 2 RECENT\r\ni1 OK Idle completed."));
  std::string reply = co_await a.command("FETCH 1:* FLAGS");
  EXPECT_THAT(reply, HasSubstr("* 2 FETCH (FLAGS (\\Recent))"));
  EXPECT_EQ(home->host().counters.parks, 1u);
  EXPECT_EQ(home->host().counters.refreshes, 1u);
  EXPECT_EQ(home->host().counters.attaches, 1u);
}

TEST(Session, parks_in_idle_is_refreshed_and_wakes) { play(park_and_wake); }

io::Task<void> crossing(Household* home, io::Scope* scope) {
  Client& a = home->client(*scope, "a");
  a.log_in();
  co_await a.take_until("l0 ");
  co_await a.command("SELECT INBOX");
  a.cross_on_ready = "DONE\r\nc1 NOOP\r\n";
  a.send("i1 IDLE\r\n");
  co_await a.take_until("+ ");
  std::string told = co_await a.take_until("c1 ");
  EXPECT_THAT(told, HasSubstr("i1 OK Idle completed."));
  EXPECT_FALSE(a.is_parked());
  EXPECT_EQ(home->host().counters.crossed, 1u);
  EXPECT_EQ(home->host().counters.parks, 0u);
  // Answered once: nothing more comes but the next command's answer.
  std::string next = co_await a.command("NOOP");
  EXPECT_EQ(next, "a2 OK NOOP completed.\r\n");
}

TEST(Session, a_command_that_crosses_the_park_is_answered_once) { play(crossing); }

io::Task<void> late_ready(Household* home, io::Scope* scope) {
  Client& a = home->client(*scope, "a");
  a.log_in();
  co_await a.take_until("l0 ");
  co_await a.command("SELECT INBOX");
  a.cross_on_offer = "DONE\r\n";
  a.send("i1 IDLE\r\n");
  co_await a.take_until("i1 ");
  std::string next = co_await a.command("NOOP");
  EXPECT_THAT(next, HasSubstr("OK NOOP"));
  EXPECT_EQ(home->host().counters.withdrawn, 1u);
  EXPECT_FALSE(a.is_parked());
}

TEST(Session, a_late_ready_parks_nothing) { play(late_ready); }

io::Task<void> quiet_park(Household* home, io::Scope* scope) {
  home->host().settings.set_park_quiet_ms(5);
  for (int i = 0; i < 3; ++i) home->deliver("INBOX", kMail);
  Client& a = home->client(*scope, "a");
  Client& b = home->client(*scope, "b");
  b.accept_parks = false;
  for (Client* client : {&a, &b}) {
    client->log_in();
    co_await client->take_until("l0 ");
    co_await client->command("SELECT INBOX");
  }
  bool parked = co_await a.parked();
  EXPECT_TRUE(parked);
  EXPECT_EQ(a.record().mode(), wire::WorkerToDen::Parked::SELECTED);
  EXPECT_TRUE(a.record().small_talk());
  co_await b.command("STORE 1 +FLAGS (\\Deleted)");
  co_await b.command("EXPUNGE");
  // Outside IDLE nothing is pushed; a NOOP must not be answered by the den any more.
  std::string before = a.transcript();
  co_await a.refresh();
  EXPECT_EQ(a.transcript(), before);
  EXPECT_FALSE(a.record().small_talk());
  // FETCH still counts three messages, then sleeps with one unreported.
  std::string reply = co_await a.command("FETCH 3 UID");
  EXPECT_THAT(reply, HasSubstr("* 3 FETCH (UID 3)"));
  EXPECT_EQ(reply.find("EXPUNGE\r\n"), std::string::npos);
  parked = co_await a.parked();
  EXPECT_TRUE(parked);
  EXPECT_FALSE(a.record().small_talk());
  reply = co_await a.command("NOOP");
  EXPECT_THAT(reply, HasSubstr("* 1 EXPUNGE\r\n"));
  parked = co_await a.parked();
  EXPECT_TRUE(parked);
  EXPECT_TRUE(a.record().small_talk());
}

TEST(Session, parks_outside_idle_with_what_it_may_not_say_yet) { play(quiet_park); }

io::Task<void> bad_state(Household* home, io::Scope* scope) {
  Client& a = home->client(*scope, "a");
  a.log_in();
  co_await a.take_until("l0 ");
  co_await a.command("SELECT INBOX");
  a.send("i1 IDLE\r\n");
  co_await a.parked();
  a.set_state_bytes("not a state");
  a.send("DONE\r\n");
  co_await a.take_until("* BYE The session cannot be resumed.");
  co_await a.ended();
}

TEST(Session, a_state_that_does_not_fit_ends_in_a_bye) { play(bad_state); }

io::Task<void> mailbox_gone_asleep(Household* home, io::Scope* scope) {
  Client& a = home->client(*scope, "a");
  a.log_in();
  co_await a.take_until("l0 ");
  co_await a.command("CREATE Doomed");
  co_await a.command("SELECT Doomed");
  a.send("i1 IDLE\r\n");
  co_await a.parked();
  EXPECT_TRUE(home->elsewhere().remove("Doomed"));
  co_await a.refresh();
  co_await a.take_until("* BYE The selected mailbox was deleted.");
}

TEST(Session, a_mailbox_deleted_while_asleep_ends_in_a_bye) { play(mailbox_gone_asleep); }

io::Task<void> wakes_others(Household* home, io::Scope* scope) {
  Client& a = home->client(*scope, "a");
  Client& b = home->client(*scope, "b");
  a.accept_parks = false;
  for (Client* client : {&a, &b}) {
    client->log_in();
    co_await client->take_until("l0 ");
    co_await client->command("SELECT INBOX");
  }
  a.send("i1 IDLE\r\n");
  co_await a.take_until("+ ");
  b.send("p1 APPEND INBOX {14+}\r\nSubject: a\r\n\r\n\r\n");
  co_await b.take_until("p1 OK");
  std::string told = co_await a.take_until("* 1 RECENT");
  EXPECT_THAT(told, HasSubstr("* 1 EXISTS"));
}

TEST(Session, an_awake_idle_hears_of_another_session_s_append) { play(wakes_others); }

}  // namespace
}  // namespace dormouse::imap
