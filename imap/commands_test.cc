#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "imap/syntax/limits.h"
#include "imap/test_script.h"

namespace dormouse::imap {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

std::string mail(std::string_view subject, std::string_view body = "text") {
  return fmt::format(
      "From: Ada <ada@example.org>\nTo: bob@example.org\nSubject: {}\n"
      "Date: Mon, 7 Feb 1994 21:52:25 -0800\n\n{}\n",
      subject, body);
}

io::Task<Client*> logged_in(Household* home, io::Scope* scope, std::string name) {
  Client& client = home->client(*scope, std::move(name));
  client.log_in();
  co_await client.take_until("l0 ");
  co_return &client;
}

io::Task<void> expect(Client* client, std::string command, std::vector<std::string> parts) {
  std::string reply = co_await client->command(command);
  for (const std::string& part : parts) EXPECT_THAT(reply, HasSubstr(part)) << command;
}

io::Task<void> mailboxes(Household* home, io::Scope* scope) {
  Client* a = co_await logged_in(home, scope, "a");
  co_await expect(a, "LIST \"\" \"\"", {"* LIST (\\Noselect) \"/\" \"\"\r\n"});
  co_await expect(a, "CREATE Work/2024/Mails", {"OK Create"});
  co_await expect(a, "CREATE Work/2024/Mails", {"NO [ALREADYEXISTS]"});
  co_await expect(a, "CREATE INBOX", {"NO"});
  std::string reply = co_await a->command("LIST \"\" %");
  EXPECT_THAT(reply, HasSubstr("\"/\" INBOX\r\n"));
  EXPECT_THAT(reply, HasSubstr("\\Noselect"));
  EXPECT_THAT(reply, HasSubstr("\\HasChildren"));
  EXPECT_THAT(reply, Not(HasSubstr("Work/2024")));
  co_await expect(a, "LIST Work/ *", {"Work/2024/Mails\r\n"});
  co_await expect(a, "LIST (SPECIAL-USE) \"\" * RETURN (CHILDREN)", {"\\Sent", "\\Drafts"});
  co_await expect(a, "SUBSCRIBE Work/2024/Mails", {"OK"});
  co_await expect(a, "LSUB \"\" *", {"* LSUB () \"/\" Work/2024/Mails\r\n"});
  co_await expect(a, "LSUB \"\" %", {"* LSUB (\\Noselect) \"/\" Work\r\n"});
  co_await expect(a, "LIST (SUBSCRIBED) \"\" *", {"\\Subscribed", "Work/2024/Mails"});
  co_await expect(a, "LIST \"\" INBOX RETURN (STATUS (MESSAGES UIDNEXT))",
                  {"* LIST", "* STATUS INBOX (MESSAGES 0 UIDNEXT 1)\r\n"});
  co_await expect(a, "RENAME Work/2024 Old", {"OK Rename"});
  co_await expect(a, "STATUS Old/Mails (MESSAGES UNSEEN)", {"(MESSAGES 0 UNSEEN 0)"});
  co_await expect(a, "STATUS Work/2024/Mails (MESSAGES)", {"NO [NONEXISTENT]"});
  co_await expect(a, "UNSUBSCRIBE Work/2024/Mails", {"OK"});
  co_await expect(a, "DELETE Old/Mails", {"OK Delete"});
  co_await expect(a, "DELETE Old/Mails", {"NO [NONEXISTENT]"});
  co_await expect(a, "DELETE INBOX", {"NO [CANNOT]"});
  co_await expect(a, "CREATE All (USE (\\Archive))", {"OK"});
  co_await expect(a, "LIST \"\" All", {"\\Archive"});
  co_await expect(a, "NAMESPACE", {"* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n"});
  co_await expect(a, "ID (\"name\" \"test\")", {"* ID (\"name\" \"Dormouse\""});
}

TEST(Commands, mailboxes_are_made_listed_renamed_and_deleted) { play(mailboxes); }

io::Task<void> store_and_expunge(Household* home, io::Scope* scope) {
  for (int i = 1; i <= 4; ++i) home->deliver("INBOX", mail(fmt::format("mail {}", i)));
  Client* a = co_await logged_in(home, scope, "a");
  Client* b = co_await logged_in(home, scope, "b");
  co_await expect(a, "SELECT INBOX", {"* 4 EXISTS", "* 4 RECENT"});
  co_await expect(b, "SELECT INBOX", {"* 4 EXISTS", "* 0 RECENT"});
  co_await expect(a, "STORE 2 +FLAGS (\\Deleted $Work)",
                  {"* FLAGS (", "$Work", "* 2 FETCH (FLAGS (", "\\Deleted", "OK Store"});
  std::string reply = co_await a->command("STORE 3 +FLAGS.SILENT (\\Flagged)");
  EXPECT_EQ(reply, "a3 OK Store completed.\r\n");
  co_await expect(b, "NOOP", {"* 2 FETCH (UID 2 FLAGS (", "* 3 FETCH (UID 3 FLAGS (\\Flagged"});
  co_await expect(a, "EXPUNGE", {"* 2 EXPUNGE\r\n", "OK Expunge"});
  reply = co_await b->command("FETCH 1:4 FLAGS");
  EXPECT_THAT(reply, Not(HasSubstr("EXPUNGE\r\n")));
  EXPECT_THAT(reply, HasSubstr("* 3 FETCH (FLAGS (\\Flagged"));
  co_await expect(b, "STORE 2 +FLAGS (\\Seen)", {"NO [EXPUNGEISSUED]"});
  co_await expect(b, "NOOP", {"* 2 EXPUNGE\r\n"});
  co_await expect(b, "FETCH 4 FLAGS", {"BAD"});
  co_await expect(a, "UID STORE 1,4 +FLAGS (\\Deleted)", {"UID 1 ", "UID 4 "});
  co_await expect(a, "UID EXPUNGE 4", {"* 3 EXPUNGE\r\n"});
  co_await expect(a, "CLOSE", {"OK Close"});
  co_await expect(b, "NOOP", {"* 3 EXPUNGE\r\n* 1 EXPUNGE\r\n"});
  co_await expect(b, "EXAMINE INBOX", {"[CLOSED]", "[READ-ONLY]", "PERMANENTFLAGS ()"});
  co_await expect(b, "STORE 1 +FLAGS (\\Seen)", {"NO [READ-ONLY]"});
  co_await expect(b, "UNSELECT", {"OK"});
}

TEST(Commands, flags_and_expunges_are_seen_by_both_sessions) { play(store_and_expunge); }

// RFC 8438: what RFC822.SIZE says in sum.
io::Task<void> status_size(Household* home, io::Scope* scope) {
  size_t octets = 0;
  for (int i = 1; i <= 3; ++i) {
    std::string text = mail(fmt::format("mail {}", i), std::string(size_t(i) * 10, 'x'));
    octets += text.size() + size_t(std::ranges::count(text, '\n'));
    home->deliver("INBOX", std::move(text));
  }
  Client* a = co_await logged_in(home, scope, "a");
  co_await expect(a, "STATUS INBOX (SIZE MESSAGES)",
                  {"* STATUS INBOX (MESSAGES 3 ", fmt::format("SIZE {})", octets)});
  co_await expect(a, "SELECT INBOX", {"* 3 EXISTS"});
  co_await expect(a, "LIST \"\" INBOX RETURN (STATUS (SIZE))",
                  {fmt::format("* STATUS INBOX (SIZE {})\r\n", octets)});
  co_await expect(a, "STORE 1:* +FLAGS (\\Deleted)", {"OK"});
  co_await expect(a, "EXPUNGE", {"OK"});
  co_await expect(a, "STATUS INBOX (SIZE)", {"(SIZE 0)\r\n"});
}

TEST(Commands, status_tells_the_size_of_a_mailbox) { play(status_size); }

io::Task<void> copy_and_move(Household* home, io::Scope* scope) {
  for (int i = 1; i <= 3; ++i) home->deliver("INBOX", mail(fmt::format("mail {}", i)));
  Client* a = co_await logged_in(home, scope, "a");
  co_await expect(a, "SELECT INBOX", {"* 3 EXISTS"});
  co_await expect(a, "COPY 1:2 Nowhere", {"NO [TRYCREATE]"});
  co_await expect(a, "CREATE There", {"OK"});
  co_await expect(a, "COPY 1:2 There", {"OK [COPYUID ", " 1:2 1:2] Copy"});
  std::string reply = co_await a->command("UID MOVE 2:3 There");
  EXPECT_THAT(reply, HasSubstr("* OK [COPYUID "));
  EXPECT_THAT(reply, HasSubstr(" 2:3 3:4]"));
  EXPECT_THAT(reply, HasSubstr("* 3 EXPUNGE\r\n* 2 EXPUNGE\r\n"));
  co_await expect(a, "STATUS There (MESSAGES)", {"MESSAGES 4"});
  co_await expect(a, "STATUS INBOX (MESSAGES)", {"MESSAGES 1"});
}

TEST(Commands, messages_are_copied_and_moved) { play(copy_and_move); }

io::Task<void> append_messages(Household* home, io::Scope* scope) {
  Client* a = co_await logged_in(home, scope, "a");
  co_await expect(a, "SELECT INBOX", {"* 0 EXISTS"});
  a->send("p1 APPEND INBOX (\\Seen $Label1) \"17-Jul-1996 02:44:25 -0700\" {12}\r\n");
  co_await a->take_until("+ ");
  a->send("Subject: a\r\n");
  a->send("\r\n");
  std::string reply = co_await a->take_until("p1 ");
  EXPECT_THAT(reply, HasSubstr("* 1 EXISTS\r\n"));
  EXPECT_THAT(reply, HasSubstr("p1 OK [APPENDUID "));
  co_await expect(a, "FETCH 1 (FLAGS INTERNALDATE RFC822.SIZE)",
                  {"\\Seen", "$Label1", "\"17-Jul-1996 09:44:25 +0000\"", "RFC822.SIZE 12"});
  a->send("p2 APPEND Nowhere {5}\r\n");
  co_await a->take_until("p2 NO [TRYCREATE]");
  a->send("p3 APPEND Nowhere {5+}\r\nabcde\r\np4 NOOP\r\n");
  co_await a->take_until("p3 NO [TRYCREATE]");
  co_await a->take_until("p4 OK");
  std::string big(3'000'000, 'x');
  for (size_t i = 77; i < big.size(); i += 78) big[i] = '\n';
  a->send(fmt::format("p5 APPEND INBOX {{{}+}}\r\n", big.size()));
  // In pieces, as a den would: more only when the worker has taken some.
  for (size_t at = 0; at < big.size(); at += 100'000) {
    co_await a->room();
    a->send(big.substr(at, 100'000));
  }
  a->send("\r\n");
  co_await a->take_until("p5 OK [APPENDUID");
  std::string all = co_await a->command("FETCH 2 (RFC822.SIZE BODY.PEEK[])");
  size_t lines = size_t(std::ranges::count(big, '\n'));
  EXPECT_THAT(all, HasSubstr(fmt::format("RFC822.SIZE {} ", big.size() + lines)));
  EXPECT_GT(all.size(), big.size() + lines);
  a->send("p6 APPEND INBOX {99999999999}\r\n");
  co_await a->take_until("p6 NO");
  a->send("p7 APPEND INBOX {0+}\r\n\r\n");
  co_await a->take_until("p7 NO");
  co_await expect(a, "STATUS INBOX (MESSAGES)", {"MESSAGES 2"});
}

TEST(Commands, appended_messages_are_streamed_to_the_disk) { play(append_messages); }

// RFC 3502.
io::Task<void> append_several(Household* home, io::Scope* scope) {
  Client* a = co_await logged_in(home, scope, "a");
  co_await expect(a, "SELECT INBOX", {"* 0 EXISTS"});
  a->send("p1 APPEND INBOX (\\Seen) {4+}\r\nX: 1 \"17-Jul-1996 02:44:25 -0700\" {5}\r\n");
  co_await a->take_until("+ ");
  a->send("X: 22 (\\Flagged $Label1) {6+}\r\nX: 333\r\n");
  std::string reply = co_await a->take_until("p1 ");
  EXPECT_THAT(reply, HasSubstr("* 3 EXISTS\r\n"));
  EXPECT_THAT(reply, ContainsRegex("p1 OK \\[APPENDUID [0-9]+ 1:3\\]"));
  co_await expect(a, "FETCH 1 (FLAGS BODY.PEEK[])", {"\\Seen", "{4}\r\nX: 1"});
  co_await expect(a, "FETCH 2 (INTERNALDATE BODY.PEEK[])",
                  {"\"17-Jul-1996 09:44:25 +0000\"", "{5}\r\nX: 22"});
  co_await expect(a, "FETCH 3 (FLAGS BODY.PEEK[])", {"\\Flagged", "$Label1", "{6}\r\nX: 333"});
}

TEST(Commands, several_messages_are_appended_together) { play(append_several); }

size_t files_in(const std::string& folder) {
  return size_t(std::distance(std::filesystem::directory_iterator(folder), {}));
}

io::Task<void> append_several_or_none(Household* home, io::Scope* scope) {
  Client* a = co_await logged_in(home, scope, "a");
  co_await expect(a, "SELECT INBOX", {"* 0 EXISTS"});
  const char* const tries[] = {
      "{3+}\r\nabc {0+}\r\n\r\n",                // RFC 3502 6.3.11: it was called off
      "{3+}\r\nabc (\\Recent) {3+}\r\nabc\r\n",  // no such flag
      "{3+}\r\nabc {99999999999}\r\n",           // too long
      "{3+}\r\nabc {3+}\r\nabc and more\r\n",    // no literal
      "{3+}\r\nabc nonsense {3+}\r\nabc {3+}\r\nabc\r\n",
  };
  for (const char* messages : tries) {
    a->send(fmt::format("q APPEND INBOX {}r NOOP\r\n", messages));
    std::string reply = co_await a->take_until("r OK");
    EXPECT_THAT(reply, ContainsRegex("q (NO|BAD) ")) << messages;
    EXPECT_THAT(reply, Not(HasSubstr("EXISTS"))) << messages;
  }
  std::string many = "q APPEND INBOX";
  for (size_t i = 0; i <= kAppendMessagesMax; ++i) many += " {1+}\r\nx";
  a->send(many + "\r\n");
  co_await a->take_until("q NO [LIMIT]");
  co_await expect(a, "STATUS INBOX (MESSAGES)", {"MESSAGES 0"});
  EXPECT_EQ(files_in(home->mail_path() + "/tmp"), 0u);
}

TEST(Commands, of_several_messages_none_is_appended_when_one_is_refused) {
  play(append_several_or_none);
}

io::Task<void> search_messages(Household* home, io::Scope* scope) {
  home->deliver("INBOX", mail("Apples", "green ones"));
  home->deliver("INBOX", mail("=?utf-8?q?=C3=84pfel?=", "rote"));
  home->deliver("INBOX", mail("Pears", "Content with Green"));
  Client* a = co_await logged_in(home, scope, "a");
  co_await expect(a, "SELECT INBOX", {"* 3 EXISTS"});
  co_await expect(a, "STORE 2 +FLAGS (\\Flagged $Fruit)", {"OK"});
  co_await expect(a, "SEARCH ALL", {"* SEARCH 1 2 3\r\n"});
  co_await expect(a, "SEARCH FLAGGED", {"* SEARCH 2\r\n"});
  co_await expect(a, "SEARCH KEYWORD $fruit", {"* SEARCH 2\r\n"});
  co_await expect(a, "SEARCH UNKEYWORD $Fruit UNSEEN", {"* SEARCH 1 3\r\n"});
  co_await expect(a, "SEARCH SUBJECT apples", {"* SEARCH 1\r\n"});
  co_await expect(a, "SEARCH BODY green", {"* SEARCH 1 3\r\n"});
  co_await expect(a, "SEARCH TEXT pears", {"* SEARCH 3\r\n"});
  co_await expect(a, "SEARCH BODY pears", {"* SEARCH\r\n"});
  co_await expect(a, "SEARCH NOT BODY green", {"* SEARCH 2\r\n"});
  co_await expect(a, "SEARCH OR SUBJECT Pears FLAGGED", {"* SEARCH 2 3\r\n"});
  co_await expect(a, "SEARCH SENTON 7-Feb-1994", {"* SEARCH 1 2 3\r\n"});
  co_await expect(a, "SEARCH SENTSINCE 8-Feb-1994", {"* SEARCH\r\n"});
  co_await expect(a, "SEARCH LARGER 10 SMALLER 1000", {"* SEARCH 1 2 3\r\n"});
  co_await expect(a, "SEARCH YOUNGER 3600", {"* SEARCH 1 2 3\r\n"});
  co_await expect(a, "SEARCH OLDER 3600", {"* SEARCH\r\n"});
  co_await expect(a, "UID SEARCH 2:3 SINCE 1-Jan-2020", {"* SEARCH 2 3\r\n"});
  a->send("s1 SEARCH CHARSET UTF-8 SUBJECT {7+}\r\n\xC3\xA4pfel\r\n");
  std::string utf8 = co_await a->take_until("s1 ");
  EXPECT_THAT(utf8, HasSubstr("s1 "));
  co_await expect(a, "SEARCH CHARSET KLINGON SUBJECT x", {"NO [BADCHARSET"});
  co_await expect(a, "SEARCH RETURN (MIN MAX COUNT) ALL",
                  {"* ESEARCH (TAG \"", "MIN 1", "MAX 3", "COUNT 3"});
  std::string saved = co_await a->command("SEARCH RETURN (SAVE) FLAGGED");
  EXPECT_THAT(saved, Not(HasSubstr("* ESEARCH")));
  co_await expect(a, "FETCH $ (UID)", {"* 2 FETCH (UID 2)"});
  co_await expect(a, "SEARCH MODSEQ 1", {"(MODSEQ "});
}

TEST(Commands, search_finds_what_was_asked_for) { play(search_messages); }

io::Task<void> conditional_store(Household* home, io::Scope* scope) {
  for (int i = 1; i <= 3; ++i) home->deliver("INBOX", mail("x"));
  Client* a = co_await logged_in(home, scope, "a");
  Client* b = co_await logged_in(home, scope, "b");
  co_await expect(a, "SELECT INBOX (CONDSTORE)", {"[HIGHESTMODSEQ "});
  std::string reply = co_await a->command("UID FETCH 1:* (MODSEQ)");
  EXPECT_THAT(reply, HasSubstr("MODSEQ ("));
  std::string at = reply.substr(reply.find("MODSEQ (") + 8);
  at = at.substr(0, at.find(')'));
  co_await expect(b, "SELECT INBOX", {"OK"});
  co_await expect(b, "STORE 2 +FLAGS (\\Answered)", {"\\Answered"});
  co_await expect(a, fmt::format("STORE 1:3 (UNCHANGEDSINCE {}) +FLAGS.SILENT (\\Flagged)", at),
                  {"OK [MODIFIED 2]", "* 1 FETCH (MODSEQ (", "* 3 FETCH (MODSEQ ("});
  co_await expect(a, fmt::format("FETCH 1:3 (FLAGS) (CHANGEDSINCE {})", at),
                  {"* 2 FETCH (", "MODSEQ ("});
  co_await expect(a, "UID FETCH 1:3 (FLAGS) (CHANGEDSINCE 1 VANISHED)", {"BAD"});
  co_await expect(a, "ENABLE QRESYNC", {"* ENABLED QRESYNC\r\n"});
  co_await expect(b, "STORE 1 +FLAGS (\\Deleted)", {"OK"});
  co_await expect(b, "EXPUNGE", {"* 1 EXPUNGE"});
  co_await expect(a, "NOOP", {"* VANISHED 1\r\n"});
  co_await expect(a, fmt::format("UID FETCH 1:* (FLAGS) (CHANGEDSINCE {} VANISHED)", at),
                  {"* VANISHED (EARLIER) 1\r\n"});
}

TEST(Commands, conditional_stores_tell_what_was_modified) { play(conditional_store); }

io::Task<void> gone_mailbox(Household* home, io::Scope* scope) {
  Client* a = co_await logged_in(home, scope, "a");
  Client* b = co_await logged_in(home, scope, "b");
  co_await expect(a, "CREATE Doomed", {"OK"});
  co_await expect(a, "SELECT Doomed", {"OK"});
  co_await expect(b, "DELETE Doomed", {"OK"});
  a->send("n1 NOOP\r\n");
  co_await a->take_until("* BYE");
  co_await a->ended();
  co_await expect(b, "CREATE Own", {"OK"});
  co_await expect(b, "SELECT Own", {"OK"});
  co_await expect(b, "DELETE Own", {"* OK [CLOSED]", "OK Delete"});
  co_await expect(b, "CHECK", {"BAD"});
}

TEST(Commands, a_deleted_mailbox_ends_its_sessions_with_a_reason) { play(gone_mailbox); }

io::Task<void> renamed_file(Household* home, io::Scope* scope) {
  home->deliver("INBOX", mail("moving"));
  Client* a = co_await logged_in(home, scope, "a");
  co_await expect(a, "SELECT INBOX", {"* 1 EXISTS"});
  // Behind everybody's back, and no sync in between: the flag is in the name.
  std::filesystem::path cur = home->mail_path() + "/cur";
  std::filesystem::path file = *std::filesystem::directory_iterator(cur)->path().begin();
  for (const auto& entry : std::filesystem::directory_iterator(cur)) file = entry.path();
  std::string name = file.string();
  std::filesystem::rename(file, name.substr(0, name.find(":2,")) + ":2,F");
  co_await expect(a, "FETCH 1 BODY.PEEK[TEXT]", {"text\r\n"});
  for (const auto& entry : std::filesystem::directory_iterator(cur)) {
    std::filesystem::remove(entry.path());
  }
  co_await expect(a, "UID FETCH 1 BODY.PEEK[]", {"* 1 EXPUNGE", "OK Fetch"});
}

TEST(Commands, a_file_renamed_by_another_program_is_found) { play(renamed_file); }

io::Task<void> nonsense(Household* home, io::Scope* scope) {
  Client* a = co_await logged_in(home, scope, "a");
  co_await expect(a, "FROBNICATE", {"BAD"});
  co_await expect(a, "LOGIN a b", {"BAD"});
  a->send("x1 IDLE\r\n");
  co_await a->take_until("+ ");
  a->send("x2 NOOP\r\n");
  co_await a->take_until("x1 BAD");
  for (int i = 0; i < 25 && !a->is_closed(); ++i) a->send("y NONSENSE\r\n");
  co_await a->take_until("* BYE");
  co_await a->ended();
}

TEST(Commands, nonsense_is_refused_and_then_ends) { play(nonsense); }

}  // namespace
}  // namespace dormouse::imap
