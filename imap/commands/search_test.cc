// SEARCH and SORT over one session: what is found, in which order and form, and what "$" is then.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "imap/test_script.h"

namespace dormouse::imap {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Mail {
  const char* subject;
  const char* from;
  const char* date;
  const char* rest = "To: bob@example.org\n";
  const char* body = "x";
};

void deliver(Household* home, const Mail& mail) {
  home->deliver("INBOX", fmt::format("From: {}\nSubject: {}\nDate: {}\n{}\n{}\n", mail.from,
                                     mail.subject, mail.date, mail.rest, mail.body));
}

// Five messages. UIDs are their numbers + 1: the first message ever is gone.
io::Task<Client*> reader(Household* home, io::Scope* scope) {
  Client& client = home->client(*scope, "a");
  client.log_in();
  co_await client.take_until("l0 ");
  co_await client.command("SELECT INBOX");
  const Mail kMails[] = {
      {"gone", "x@example.org", "Mon, 1 Jan 2024 00:00:00 +0000"},
      {"Re: banana", "Zoe <ann@example.org>", "Wed, 3 Jan 2024 10:00:00 +0000"},
      {"apple", "bert@example.org", "Wed, 3 Jan 2024 10:30:00 +0100"},
      {"[fruit] =?utf-8?Q?=C3=84pfel?= (fwd)", "=?utf-8?Q?=C3=81da?= <carl@example.org>",
       "no date at all", "To: Ann <zed@example.org>\nCc: c@example.org\n", "longer than others"},
      {"BANANA", "Ann <bert@example.org>", "Tue, 2 Jan 2024 00:00:00 +0000",
       "To: team: a@x, b@x;\n"},
      {"Fwd: cherry", "dora@example.org", "Thu, 4 Jan 2024 00:00:00 +0000", ""},
  };
  // One at a time, as the order of UIDs is that of arrival.
  for (const Mail& mail : kMails) {
    deliver(home, mail);
    co_await client.command("NOOP");
  }
  co_await client.command("STORE 1 +FLAGS.SILENT (\\Deleted)");
  co_await client.command("EXPUNGE");
  co_return &client;
}

// The reply of `command` without its tagged line, with "TAG" for the tag.
io::Task<std::string> ask(Client* client, std::string command) {
  std::string reply = co_await client->command(command);
  std::string untagged = reply.substr(0, reply.rfind("\r\n", reply.size() - 3) + 2);
  if (untagged.size() == 1) untagged.clear();
  size_t tag = untagged.find("(TAG \"");
  if (tag != std::string::npos)
    untagged.replace(tag + 6, untagged.find('"', tag + 6) - tag - 6, "a");
  if (!reply.starts_with("* ")) untagged.clear();
  EXPECT_THAT(reply, HasSubstr(" OK ")) << command;
  co_return untagged;
}

io::Task<void> sorts(Household* home, io::Scope* scope) {
  Client* a = co_await reader(home, scope);
  // Under i;unicode-casemap "Äpfel" is A, a combining mark (0xCC in UTF-8), pfel: after "apple".
  const std::pair<const char*, const char*> kCases[] = {
      {"SORT (ARRIVAL) UTF-8 ALL", "* SORT 1 2 3 4 5\r\n"},
      {"SORT (REVERSE ARRIVAL) UTF-8 ALL", "* SORT 1 2 3 4 5\r\n"},
      {"UID SORT (SUBJECT) UTF-8 ALL", "* SORT 3 4 2 5 6\r\n"},
      {"UID SORT (REVERSE SUBJECT) UTF-8 ALL", "* SORT 6 2 5 4 3\r\n"},
      {"SORT (SUBJECT DATE) UTF-8 ALL", "* SORT 2 3 4 1 5\r\n"},
      {"SORT (DATE) UTF-8 NOT FROM carl", "* SORT 4 2 1 5\r\n"},
      {"SORT (FROM REVERSE DATE) UTF-8 ALL", "* SORT 1 2 4 3 5\r\n"},
      {"SORT (TO SUBJECT) UTF-8 ALL", "* SORT 5 2 1 4 3\r\n"},
      {"SORT (CC) US-ASCII ALL", "* SORT 1 2 4 5 3\r\n"},
      {"SORT (DISPLAYFROM) UTF-8 ALL", "* SORT 4 3 2 5 1\r\n"},
      {"SORT (DISPLAYTO SUBJECT) UTF-8 ALL", "* SORT 5 3 2 1 4\r\n"},
      {"SORT (DATE) UTF-8 SUBJECT nothing", "* SORT\r\n"},
      {"SORT (SUBJECT) UTF-8 2:4", "* SORT 2 3 4\r\n"},
      {"UID SORT RETURN () (SUBJECT) UTF-8 ALL", "* ESEARCH (TAG \"a\") UID ALL 3:4,2,5:6\r\n"},
      {"UID SORT RETURN (MIN MAX COUNT) (SUBJECT) UTF-8 ALL",
       "* ESEARCH (TAG \"a\") UID MIN 3 MAX 6 COUNT 5\r\n"},
      {"SORT RETURN (PARTIAL 2:3) (SUBJECT) UTF-8 ALL",
       "* ESEARCH (TAG \"a\") PARTIAL (2:3 3,1)\r\n"},
      {"SORT RETURN (PARTIAL -1:-2 COUNT) (SUBJECT) UTF-8 ALL",
       "* ESEARCH (TAG \"a\") COUNT 5 PARTIAL (-1:-2 4:5)\r\n"},
      {"SORT RETURN (MIN ALL COUNT) (DATE) UTF-8 KEYWORD no", "* ESEARCH (TAG \"a\") COUNT 0\r\n"},
  };
  for (const auto& [command, answer] : kCases) {
    std::string reply = co_await ask(a, command);
    EXPECT_EQ(reply, answer) << command;
  }
  std::string size = co_await ask(a, "SORT RETURN (MAX) (SIZE) UTF-8 ALL");
  EXPECT_EQ(size, "* ESEARCH (TAG \"a\") MAX 3\r\n");
  std::string refused = co_await a->command("SORT (DATE) KLINGON ALL");
  EXPECT_THAT(refused, HasSubstr("NO [BADCHARSET"));
}
TEST(Sort, OrdersByEveryCriterion) { play(sorts); }

io::Task<void> partials(Household* home, io::Scope* scope) {
  Client* a = co_await reader(home, scope);
  const std::pair<const char*, const char*> kCases[] = {
      {"UID SEARCH RETURN (PARTIAL 1:2) ALL", "UID PARTIAL (1:2 2:3)\r\n"},
      {"UID SEARCH RETURN (PARTIAL 2:1) ALL", "UID PARTIAL (2:1 2:3)\r\n"},
      {"SEARCH RETURN (PARTIAL 4:9) ALL", ") PARTIAL (4:9 4:5)\r\n"},
      {"SEARCH RETURN (PARTIAL 6:9) ALL", ") PARTIAL (6:9 NIL)\r\n"},
      {"SEARCH RETURN (PARTIAL -1:-2 MIN) NOT 3", "MIN 1 PARTIAL (-1:-2 4:5)\r\n"},
      {"SEARCH RETURN (PARTIAL -5:-9) NOT 3", ") PARTIAL (-5:-9 NIL)\r\n"},
      {"UID FETCH 1:* (FLAGS) (PARTIAL -1:-2)",
       "* 4 FETCH (UID 5 FLAGS (\\Recent))\r\n* 5 FETCH (UID 6 FLAGS (\\Recent))\r\n"},
      {"UID FETCH 1:4 (FLAGS) (PARTIAL 2:9)",
       "* 2 FETCH (UID 3 FLAGS (\\Recent))\r\n* 3 FETCH (UID 4 FLAGS (\\Recent))\r\n"},
      {"UID FETCH 1:* (FLAGS) (PARTIAL 9:9)", ""},
  };
  for (const auto& [command, answer] : kCases) {
    std::string reply = co_await ask(a, command);
    EXPECT_THAT(reply, testing::EndsWith(answer)) << command;
  }
  co_await a->command("STORE 4 +FLAGS.SILENT (\\Seen)");
  std::string status = co_await a->command("STATUS INBOX (HIGHESTMODSEQ)");
  uint64_t highest = std::stoull(status.substr(status.find("MODSEQ ") + 7));
  std::string changed = co_await ask(
      a, fmt::format("UID FETCH 1:* (FLAGS) (PARTIAL -1:-2 CHANGEDSINCE {})", highest - 1));
  EXPECT_THAT(changed, HasSubstr("UID 5")) << "of the last two, the one that changed";
  EXPECT_THAT(changed, Not(HasSubstr("UID 6")));
}
TEST(Partial, IsAWindowOfTheResult) { play(partials); }

// What "$" holds after a search, as UIDs.
io::Task<std::string> saved(Client* a) {
  std::string reply = co_await ask(a, "UID SEARCH RETURN (ALL) $");
  size_t all = reply.find(" ALL ");
  if (all == std::string::npos) co_return "";
  co_return reply.substr(all + 5, reply.size() - all - 7);
}

io::Task<void> saves(Household* home, io::Scope* scope) {
  Client* a = co_await reader(home, scope);
  // RFC 5182 2.4, RFC 9394 3.2. Of messages 2, 3 and 5: UIDs 3, 4 and 6.
  const std::pair<const char*, const char*> kCases[] = {
      {"SAVE", "3:4,6"},
      {"SAVE MIN", "3"},
      {"SAVE MAX", "6"},
      {"SAVE MIN MAX", "3,6"},
      {"SAVE MIN COUNT", "3:4,6"},
      {"SAVE ALL MAX", "3:4,6"},
      {"SAVE PARTIAL 2:2", "4"},
      {"SAVE PARTIAL 2:2 MIN", "3:4"},
      {"SAVE PARTIAL -3:-3 MAX", "3,6"},
      {"SAVE PARTIAL 2:2 MIN MAX", "3:4,6"},
      {"SAVE PARTIAL 2:2 COUNT", "3:4,6"},
      {"SAVE PARTIAL 8:9", ""},
  };
  for (const auto& [options, expected] : kCases) {
    co_await a->command(fmt::format("SEARCH RETURN ({}) 2:3,5", options));
    std::string now = co_await saved(a);
    EXPECT_EQ(now, expected) << options;
  }
  co_await a->command("SORT RETURN (SAVE MIN) (REVERSE SUBJECT) UTF-8 ALL");
  std::string sorted = co_await saved(a);
  EXPECT_EQ(sorted, "6") << "the lowest sorted";
  // An empty result is a set without messages: no error.
  co_await a->command("SEARCH RETURN (SAVE) KEYWORD none");
  for (const char* command : {"FETCH $ FLAGS", "STORE $ +FLAGS (\\Seen)", "COPY $ Sent",
                              "UID EXPUNGE $", "MOVE $ Sent", "SEARCH RETURN (MIN) $"}) {
    std::string reply = co_await a->command(command);
    EXPECT_THAT(reply, HasSubstr(" OK ")) << command;
    EXPECT_THAT(reply, Not(HasSubstr("FETCH ("))) << command;
  }
  std::string none = co_await ask(a, "SEARCH RETURN (MIN MAX ALL) $");
  EXPECT_EQ(none, "* ESEARCH (TAG \"a\")\r\n");
}
TEST(SearchResult, HoldsWhatTheReturnOptionsSay) { play(saves); }

io::Task<void> keeps(Household* home, io::Scope* scope) {
  Client* a = co_await reader(home, scope);
  co_await a->command("SEARCH RETURN (SAVE) 2:4");
  co_await a->command("SEARCH RETURN (ALL) 1");
  co_await a->command("SEARCH FOO");
  co_await a->command("SEARCH CHARSET KLINGON ALL");
  std::string now = co_await saved(a);
  EXPECT_EQ(now, "3:5") << "only a search with SAVE changes it";
  // Expunged ones leave it; what remains are the same messages under other numbers.
  co_await a->command("STORE 1,3 +FLAGS.SILENT (\\Deleted)");
  co_await a->command("EXPUNGE");
  now = co_await saved(a);
  EXPECT_EQ(now, "3,5");
  std::string numbers = co_await ask(a, "SEARCH $");
  EXPECT_EQ(numbers, "* SEARCH 1 2\r\n");
  std::string fetched = co_await ask(a, "FETCH $ UID");
  EXPECT_EQ(fetched, "* 1 FETCH (UID 3)\r\n* 2 FETCH (UID 5)\r\n");
  std::string failed = co_await a->command("SEARCH RETURN (SAVE) CHARSET KLINGON ALL");
  EXPECT_THAT(failed, HasSubstr("NO [BADCHARSET"));
  now = co_await saved(a);
  EXPECT_EQ(now, "") << "one that failed empties it";
  co_await a->command("SEARCH RETURN (SAVE) ALL");
  co_await a->command("SELECT INBOX");
  now = co_await saved(a);
  EXPECT_EQ(now, "");
}
TEST(SearchResult, IsKeptUntilTheNextSave) { play(keeps); }

io::Task<void> expect_esearch(Client* a, std::string options, std::string answer) {
  std::string reply = co_await ask(a, fmt::format("UID SEARCH RETURN ({}) MODSEQ 1 SEEN", options));
  EXPECT_EQ(reply, "* ESEARCH (TAG \"a\") UID " + answer + "\r\n");
}

io::Task<void> mod_seqs(Household* home, io::Scope* scope) {
  Client* a = co_await reader(home, scope);
  co_await a->command("STORE 3 +FLAGS (\\Seen)");
  co_await a->command("STORE 2 +FLAGS (\\Seen)");
  std::string all = co_await ask(a, "UID SEARCH RETURN (ALL) MODSEQ 1 SEEN");
  EXPECT_THAT(all, HasSubstr(" ALL 3:4 MODSEQ "));
  uint64_t highest = std::stoull(all.substr(all.find("MODSEQ ") + 7));
  // UID 3 changed last.
  co_await expect_esearch(a, "MIN", fmt::format("MIN 3 MODSEQ {}", highest));
  co_await expect_esearch(a, "MAX", fmt::format("MAX 4 MODSEQ {}", highest - 1));
  co_await expect_esearch(a, "MIN MAX", fmt::format("MIN 3 MAX 4 MODSEQ {}", highest));
  co_await expect_esearch(a, "MAX COUNT", fmt::format("MAX 4 COUNT 2 MODSEQ {}", highest));
  co_await expect_esearch(a, "PARTIAL 2:2", fmt::format("PARTIAL (2:2 4) MODSEQ {}", highest - 1));
  std::string sorted = co_await ask(a, "UID SORT (SUBJECT) UTF-8 MODSEQ 1 SEEN");
  EXPECT_EQ(sorted, fmt::format("* SORT 3 4 (MODSEQ {})\r\n", highest));
}
TEST(Esearch, TellsTheHighestModSeqOfWhatItReturns) { play(mod_seqs); }

}  // namespace
}  // namespace dormouse::imap
