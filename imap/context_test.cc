// Contexts (RFC 5267), word for word: what is said, in which order, and what of it is parked.

#include "imap/context.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "imap/syntax/parser.h"
#include "imap/syntax/writer.h"
#include "imap/test_script.h"

namespace dormouse::imap {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string frozen(const std::string& text) {
  const uint32_t kUids[] = {1, 2, 5, 9};
  auto command = parse_command("a " + text);
  EXPECT_TRUE(command) << text;
  std::string program;
  put_search_program(program, freeze_search(*command->as<Search>(), View(kUids), UidSet{2, 9}));
  EXPECT_TRUE(read_program(program)) << program;
  return program;
}

TEST(Context, AProgramIsFrozenToUidsOfItsMoment) {
  EXPECT_EQ(frozen("SEARCH 2:3 UNSEEN"), "SEARCH UID 2:5 NOT SEEN");
  EXPECT_EQ(frozen("UID SEARCH UID 5:* UID * $"), "UID SEARCH UID 5:* UID 9 UID 2,9");
  EXPECT_EQ(frozen("SEARCH UID *:20,3:7"), "SEARCH UID 20:*,9,3:7");
  EXPECT_EQ(frozen("SEARCH OR 1 NOT (* UID $)"), "SEARCH OR UID 1 NOT (UID 9 UID 2,9)");
  EXPECT_EQ(frozen("SORT (DATE) utf-8 KEYWORD $x SUBJECT y"),
            "SORT (DATE) US-ASCII KEYWORD $x SUBJECT y");
  EXPECT_EQ(frozen("SEARCH CHARSET iso-8859-1 FROM {1+}\r\n\xe4"),
            "SEARCH CHARSET UTF-8 FROM {2}\r\n\u00e4");
  View empty;
  Search search;
  search.key.op = SearchOp::kAnd;
  search.key.children.emplace_back().op = SearchOp::kUid;
  search.key.children.front().set.items.push_back({});
  std::string program;
  put_search_program(program, freeze_search(search, empty, UidSet()));
  EXPECT_EQ(program, "SEARCH NOT ALL") << "an empty set has no form";
}

TEST(Context, WhatWasNotFrozenIsNoProgram) {
  for (const char* text : {"", "NOOP", "SEARCH 1:2", "SEARCH $", "SEARCH UID $", "SEARCH UID 5,*",
                           "SEARCH NOT (ALL 5)", "SEARCH RETURN (ALL) ALL", "SEARCH",
                           "SEARCH CHARSET KOI8-R ALL", "UID SORT (DATE) ALL"}) {
    EXPECT_FALSE(read_program(text)) << text;
  }
  EXPECT_FALSE(read_program("SEARCH TEXT " + std::string(kContextProgramBytesMax, 'x')));
}

io::Task<Client*> selected(Household* home, io::Scope* scope, std::string name) {
  Client& client = home->client(*scope, std::move(name));
  client.log_in();
  co_await client.take_until("l0 ");
  co_await client.command("SELECT INBOX");
  co_return &client;
}

void deliver(Household* home, std::string subject) {
  home->deliver("INBOX", fmt::format("Subject: {}\n\ntext\n", subject));
}

// Three messages, seen: c, a, b.
io::Task<Client*> reader(Household* home, io::Scope* scope) {
  Client* client = co_await selected(home, scope, "r");
  for (const char* subject : {"c", "a", "b"}) {
    deliver(home, subject);
    co_await client->command("NOOP");
  }
  co_await client->command("STORE 1:3 +FLAGS.SILENT (\\Seen)");
  co_return client;
}

io::Task<std::string> tagged(Client* client, std::string tag, std::string command) {
  client->send(tag + " " + command + "\r\n");
  co_return co_await client->take_until(tag + " ");
}

io::Task<void> expect(Client* client, std::string command, std::string answer) {
  std::string reply = co_await tagged(client, "x", command);
  EXPECT_EQ(reply, answer) << command;
}

io::Task<void> tells(Household* home, io::Scope* scope) {
  Client* a = co_await reader(home, scope);
  std::string reply = co_await tagged(a, "B1", "UID SEARCH RETURN (UPDATE COUNT) UNSEEN");
  EXPECT_EQ(reply,
            "* ESEARCH (TAG \"B1\") UID COUNT 0\r\nB1 OK Search completed, will notify.\r\n");
  reply = co_await tagged(a, "B2", "SORT RETURN (UPDATE ALL) (SUBJECT) UTF-8 ALL");
  EXPECT_EQ(reply, "* ESEARCH (TAG \"B2\") ALL 2:3,1\r\nB2 OK Sort completed, will notify.\r\n");
  reply = co_await tagged(a, "B3", "SEARCH RETURN (UPDATE) 2 FLAGGED");
  EXPECT_EQ(reply, "* ESEARCH (TAG \"B3\")\r\nB3 OK Search completed, will notify.\r\n");
  co_await expect(a, "STORE 1:2 -FLAGS.SILENT (\\Seen)",
                  "* ESEARCH (TAG \"B1\") UID ADDTO (0 1:2)\r\nx OK Store completed.\r\n");
  co_await expect(a, "STORE 1:2 FLAGS.SILENT (\\Seen \\Flagged)",
                  "* ESEARCH (TAG \"B1\") UID REMOVEFROM (0 1:2)\r\n"
                  "* ESEARCH (TAG \"B3\") ADDTO (0 2)\r\nx OK Store completed.\r\n");
  deliver(home, "Re: aa");
  co_await expect(a, "NOOP",
                  "* 4 EXISTS\r\n* 4 RECENT\r\n* ESEARCH (TAG \"B1\") UID ADDTO (0 4)\r\n"
                  "* ESEARCH (TAG \"B2\") ADDTO (2 4)\r\nx OK NOOP completed.\r\n");
  co_await a->command("STORE 2 +FLAGS.SILENT (\\Deleted)");
  co_await expect(a, "EXPUNGE",
                  "* ESEARCH (TAG \"B2\") REMOVEFROM (1 2)\r\n"
                  "* ESEARCH (TAG \"B3\") REMOVEFROM (0 2)\r\n"
                  "* 2 EXPUNGE\r\nx OK Expunge completed.\r\n");
  // Number 2 is another message now; the search was for the one that it was then.
  co_await expect(a, "STORE 2 +FLAGS.SILENT (\\Flagged)", "x OK Store completed.\r\n");
  co_await expect(a, "CANCELUPDATE \"B1\" \"B3\"", "x OK No further updates.\r\n");
  co_await expect(a, "STORE 1 -FLAGS.SILENT (\\Seen)", "x OK Store completed.\r\n");
  reply = co_await a->command("CANCELUPDATE \"B1\" \"B2\"");
  EXPECT_THAT(reply, HasSubstr(" NO "));
  deliver(home, "d");
  co_await expect(a, "NOOP", "* 4 EXISTS\r\n* 4 RECENT\r\nx OK NOOP completed.\r\n");
}
TEST(Context, TellsWhatEntersAndLeavesItsResult) { play(tells); }

void expunge_elsewhere(Household* home, uint32_t uid) {
  auto inbox = home->elsewhere().open_mailbox("INBOX");
  ASSERT_TRUE(inbox);
  auto gone = inbox->expunge(std::span(&uid, 1));
  ASSERT_TRUE(gone);
}

io::Task<void> before_expunge(Household* home, io::Scope* scope) {
  Client* a = co_await reader(home, scope);
  co_await tagged(a, "B1", "SEARCH RETURN (UPDATE) ALL");
  expunge_elsewhere(home, 2);
  deliver(home, "d");
  // EXPUNGE may not be said during FETCH; that the message left the result may (A.3).
  co_await expect(a, "FETCH 3 UID",
                  "* 3 FETCH (UID 3)\r\n* ESEARCH (TAG \"B1\") REMOVEFROM (0 2)\r\n"
                  "* 4 EXISTS\r\n* 4 RECENT\r\n* ESEARCH (TAG \"B1\") ADDTO (0 4)\r\n"
                  "x OK Fetch completed.\r\n");
  co_await expect(a, "NOOP", "* 2 EXPUNGE\r\nx OK NOOP completed.\r\n");
}
TEST(Context, SaysThatAMessageLeftBeforeItsExpungeMayBeSaid) { play(before_expunge); }

io::Task<void> refuses(Household* home, io::Scope* scope) {
  Client* a = co_await reader(home, scope);
  for (size_t i = 0; i < kContextsMax; ++i) {
    std::string reply =
        co_await tagged(a, fmt::format("B{}", i), "SEARCH RETURN (UPDATE COUNT) ALL");
    EXPECT_THAT(reply, HasSubstr("will notify"));
  }
  std::string reply = co_await tagged(a, "C", "SEARCH RETURN (UPDATE COUNT) ALL");
  EXPECT_EQ(reply,
            "* ESEARCH (TAG \"C\") COUNT 3\r\n* NO [NOUPDATE \"C\"] Too many contexts\r\n"
            "C OK Search completed, will not notify.\r\n");
  reply = co_await tagged(a, "B0", "SORT RETURN (UPDATE) (DATE) UTF-8 FLAGGED");
  EXPECT_EQ(reply, "B0 BAD Tag reuse: a context has it.\r\n");
  reply = co_await tagged(a, "B0", "SEARCH RETURN (COUNT) FLAGGED");
  EXPECT_THAT(reply, HasSubstr("B0 OK")) << "only UPDATE makes tags matter";
  co_await a->command("CANCELUPDATE \"B0\"");
  std::string longest = "SEARCH RETURN (UPDATE COUNT) TEXT " + std::string(2000, 'x');
  reply = co_await tagged(a, "D", longest);
  EXPECT_THAT(reply, HasSubstr("NOUPDATE"));
  std::string deepest = "SEARCH RETURN (UPDATE COUNT) ";
  for (int i = 0; i < 49; ++i) deepest += "NOT ";
  reply = co_await tagged(a, "E", deepest + "$");
  EXPECT_THAT(reply, HasSubstr("NOUPDATE")) << "an empty set cannot be written within the depth";
  reply = co_await tagged(a, "F", "SEARCH RETURN (UPDATE COUNT) CHARSET KLINGON ALL");
  EXPECT_THAT(reply, HasSubstr("F NO [BADCHARSET"));
  reply = co_await tagged(a, "B0", "SEARCH RETURN (UPDATE COUNT) ALL");
  EXPECT_THAT(reply, HasSubstr("will notify")) << "there was room for one";
  co_await a->command("SELECT INBOX");
  reply = co_await tagged(a, "B1", "SEARCH RETURN (UPDATE COUNT) SEEN");
  EXPECT_THAT(reply, HasSubstr("will notify")) << "SELECT ends them all";
  co_await a->command("STORE 1 -FLAGS.SILENT (\\Seen)");
  EXPECT_THAT(a->transcript(), Not(HasSubstr("(TAG \"B0\") REMOVEFROM")));
  EXPECT_THAT(a->transcript(), HasSubstr("(TAG \"B1\") REMOVEFROM (0 1)"));
  reply = co_await a->command("UNSELECT");
  reply = co_await a->command("CANCELUPDATE \"B1\"");
  EXPECT_THAT(reply, HasSubstr(" BAD "));
}
TEST(Context, IsRefusedByNoUpdateWhereThereIsNoRoom) { play(refuses); }

io::Task<void> parked_in_idle(Household* home, io::Scope* scope) {
  Client* a = co_await reader(home, scope);
  Client* other = co_await selected(home, scope, "o");
  other->accept_parks = false;
  co_await tagged(a, "B1", "SEARCH RETURN (UPDATE) OR DELETED UNSEEN");
  co_await tagged(a, "B2", "UID SORT RETURN (UPDATE) (REVERSE SUBJECT) UTF-8 ALL");
  a->send("i IDLE\r\n");
  co_await a->take_until("+ ");
  bool parked = co_await a->parked();
  EXPECT_TRUE(parked);
  EXPECT_FALSE(a->record().announces()) << "an arrival is more than EXISTS";
  EXPECT_TRUE(a->record().small_talk());
  EXPECT_FALSE(a->announce(1));
  deliver(home, "bb");
  co_await other->command("STORE 2 +FLAGS.SILENT (\\Deleted)");
  co_await other->command("STORE 1 +FLAGS.SILENT (\\Deleted)");
  co_await a->refresh();
  co_await other->command("EXPUNGE");
  deliver(home, "0");
  co_await a->refresh();
  EXPECT_FALSE(a->record().announces());
  a->send("DONE\r\n");
  std::string told = co_await a->take_until("i ");
  EXPECT_EQ(told,
            "* 1 FETCH (UID 1 FLAGS (\\Deleted \\Seen \\Recent))\r\n"
            "* 2 FETCH (UID 2 FLAGS (\\Deleted \\Seen \\Recent))\r\n"
            "* 4 EXISTS\r\n* 3 RECENT\r\n"
            "* ESEARCH (TAG \"B1\") ADDTO (0 1:2,4)\r\n"
            "* ESEARCH (TAG \"B2\") UID ADDTO (2 4)\r\n"
            "* ESEARCH (TAG \"B1\") REMOVEFROM (0 1:2)\r\n"
            "* ESEARCH (TAG \"B2\") UID REMOVEFROM (1 1 3 2)\r\n"
            "* 2 EXPUNGE\r\n* 1 EXPUNGE\r\n"
            "* 3 EXISTS\r\n* 2 RECENT\r\n"
            "* ESEARCH (TAG \"B1\") ADDTO (0 3)\r\n"
            "* ESEARCH (TAG \"B2\") UID ADDTO (3 5)\r\n"
            "i OK Idle completed.\r\n");
}
TEST(Context, ASleeperInIdleIsToldByRefreshes) { play(parked_in_idle); }

io::Task<void> parked_outside_idle(Household* home, io::Scope* scope) {
  home->host().settings.set_park_quiet_ms(1);
  Client* a = co_await reader(home, scope);
  co_await tagged(a, "B1", "UID SORT RETURN (UPDATE) (SUBJECT) UTF-8 ALL");
  bool parked = co_await a->parked();
  EXPECT_TRUE(parked);
  EXPECT_FALSE(a->record().announces());
  EXPECT_TRUE(a->record().small_talk()) << "NOOP has nothing to say while nothing changed";
  expunge_elsewhere(home, 2);
  deliver(home, "aa");
  co_await a->refresh();
  EXPECT_FALSE(a->record().small_talk());
  co_await expect(a, "FETCH 1 UID",
                  "* 1 FETCH (UID 1)\r\n* ESEARCH (TAG \"B1\") UID REMOVEFROM (1 2)\r\n"
                  "* 4 EXISTS\r\n* 4 RECENT\r\n* ESEARCH (TAG \"B1\") UID ADDTO (1 4)\r\n"
                  "x OK Fetch completed.\r\n");
  parked = co_await a->parked();
  EXPECT_TRUE(parked);
  co_await expect(a, "NOOP", "* 2 EXPUNGE\r\nx OK NOOP completed.\r\n");
}
TEST(Context, ASleeperOutsideIdleIsToldByItsNextCommand) { play(parked_outside_idle); }

// NOTIFY (RFC 5465) lets a session be told outside IDLE; then of its contexts as well.
io::Task<void> parked_with_notify(Household* home, io::Scope* scope) {
  home->host().settings.set_park_quiet_ms(1);
  Client* a = co_await reader(home, scope);
  co_await tagged(a, "B1", "UID SORT RETURN (UPDATE) (SUBJECT) UTF-8 UNDELETED");
  std::string reply = co_await a->command(
      "NOTIFY SET (SELECTED (MessageNew (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)]) MessageExpunge "
      "FlagChange))");
  EXPECT_THAT(reply, HasSubstr(" OK "));
  bool parked = co_await a->parked();
  EXPECT_TRUE(parked);
  EXPECT_TRUE(a->record().pushes());
  EXPECT_FALSE(a->record().announces());
  expunge_elsewhere(home, 2);
  deliver(home, "bb");
  co_await a->refresh();
  std::string told = co_await a->take_until("* 3 FETCH");
  EXPECT_THAT(told, HasSubstr("* ESEARCH (TAG \"B1\") UID REMOVEFROM (1 2)\r\n* 2 EXPUNGE\r\n"
                              "* 3 EXISTS\r\n* 3 RECENT\r\n"
                              "* ESEARCH (TAG \"B1\") UID ADDTO (2 4)\r\n"));
  EXPECT_FALSE(a->record().announces());
}
TEST(Context, ASleeperWithNotifyIsToldOutsideIdleToo) { play(parked_with_notify); }

io::Task<void> fetches(Household* home, io::Scope* scope) {
  Client* a = co_await reader(home, scope);
  co_await tagged(a, "B1", "UID SEARCH RETURN (UPDATE (FLAGS)) OR SUBJECT d FLAGGED");
  deliver(home, "d");
  deliver(home, "e");
  std::string told = co_await tagged(a, "x", "NOOP");
  EXPECT_THAT(told, HasSubstr("* 5 EXISTS\r\n* 5 RECENT\r\n"));
  EXPECT_THAT(told, HasSubstr("* ESEARCH (TAG \"B1\") UID ADDTO (0 "));
  EXPECT_THAT(told, HasSubstr(" FLAGS (\\Recent))\r\nx OK"));
  EXPECT_EQ(told.find("FETCH"), told.rfind("FETCH")) << "of the one that is in the result";
  co_await expect(a, "STORE 1 +FLAGS.SILENT (\\Flagged)",
                  "* ESEARCH (TAG \"B1\") UID ADDTO (0 1)\r\nx OK Store completed.\r\n");
  a->send("i IDLE\r\n");
  co_await a->take_until("+ ");
  bool parked = co_await a->parked();
  EXPECT_TRUE(parked);
  deliver(home, "d");
  co_await a->refresh();
  EXPECT_TRUE(a->is_parked());
  EXPECT_FALSE(a->record().announces());
  a->send("DONE\r\n");
  told = co_await a->take_until("i ");
  EXPECT_EQ(told,
            "* 6 EXISTS\r\n* 6 RECENT\r\n* ESEARCH (TAG \"B1\") UID ADDTO (0 6)\r\n"
            "* 6 FETCH (UID 6 FLAGS (\\Recent))\r\ni OK Idle completed.\r\n");
}
TEST(Context, FetchesWhatIsNewInItsResultWhereAsked) { play(fetches); }

io::Task<void> costs(Household* home, io::Scope* scope) {
  Client* a = co_await reader(home, scope);
  a->send("i IDLE\r\n");
  co_await a->take_until("+ ");
  bool parked = co_await a->parked();
  EXPECT_TRUE(parked);
  size_t without = a->state_bytes().size();
  a->send("DONE\r\n");
  co_await a->take_until("i ");
  co_await tagged(a, "B1", "UID SEARCH RETURN (UPDATE) UNSEEN UNDELETED");
  co_await tagged(a, "B2", "UID SORT RETURN (UPDATE) (REVERSE DATE) UTF-8 UNDELETED");
  a->send("i IDLE\r\n");
  co_await a->take_until("+ ");
  parked = co_await a->parked();
  EXPECT_TRUE(parked);
  EXPECT_LE(a->state_bytes().size(), without + 110);
}
TEST(Context, CostsItsTextAndItsRangesInAParkedState) { play(costs); }

// A state as long as may be; then its contexts grow.
io::Task<void> sheds(Household* home, io::Scope* scope) {
  Client* a = co_await selected(home, scope, "r");
  co_await tagged(a, "B1", "UID SEARCH RETURN (UPDATE) UNSEEN");
  a->send("i IDLE\r\n");
  co_await a->take_until("+ ");
  bool parked = co_await a->parked();
  EXPECT_TRUE(parked);
  auto state = decode_state(a->state_bytes());
  EXPECT_TRUE(state);
  std::string start = "UID SEARCH NOT SEEN NOT TEXT ";
  for (int i = 2; i < 6; ++i) {
    Context& context = state->mailbox->contexts.emplace_back();
    context.tag = fmt::format("B{}", i);
    auto bytes = encode_state(*state);
    EXPECT_TRUE(bytes);
    // 10: what the program's own lengths may take, twice.
    size_t room = kSessionStateBytesMax - bytes->size() - 10;
    context.program =
        start + std::string(std::min(room, kContextProgramBytesMax) - start.size(), 'x');
  }
  auto grown = encode_state(*state);
  EXPECT_TRUE(grown) << "the state fits";
  a->set_state_bytes(*grown);
  deliver(home, "a");
  co_await a->refresh();
  a->send("DONE\r\n");
  std::string told = co_await a->take_until("i ");
  EXPECT_THAT(told, HasSubstr("* ESEARCH (TAG \"B5\") UID ADDTO (0 1)\r\n"));
  EXPECT_THAT(told, HasSubstr("* NO [NOUPDATE \"B"));
  EXPECT_THAT(told, HasSubstr("i OK"));
  EXPECT_THAT(told, Not(HasSubstr("BYE")));
}
TEST(Context, IsGivenUpWhereASleepersStateWouldGrowBeyondItsBound) { play(sheds); }

}  // namespace
}  // namespace dormouse::imap
