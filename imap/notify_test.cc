// NOTIFY (RFC 5465), awake and asleep.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "imap/test_script.h"

namespace dormouse::imap {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

io::Task<Client*> logged_in(Household* home, io::Scope* scope, std::string name) {
  Client& client = home->client(*scope, std::move(name));
  client.log_in();
  co_await client.take_until("l0 ");
  co_return &client;
}

io::Task<void> parks(Client* client) {
  bool parked = co_await client->parked();
  EXPECT_TRUE(parked);
}

// Exactly this comes next.
io::Task<void> hears(Client* client, std::string line) {
  std::string heard = co_await client->take_until(line.substr(0, line.find('\r')));
  EXPECT_EQ(heard, line);
}

constexpr const char* kAll =
    "NOTIFY SET (SELECTED (MessageNew MessageExpunge FlagChange)) "
    "(PERSONAL (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange))";

io::Task<void> answers(Household* home, io::Scope* scope) {
  Client* a = co_await logged_in(home, scope, "a");
  home->deliver("Junk", "Subject: 1\n\nx\n");
  std::string reply = co_await a->command("CAPABILITY");
  EXPECT_THAT(reply, HasSubstr(" NOTIFY"));
  for (const char* event : {"AnnotationChange MessageNew MessageExpunge", "MailboxMetadataChange",
                            "ServerMetadataChange", "X-Moon"}) {
    reply = co_await a->command(fmt::format("NOTIFY SET (PERSONAL ({}))", event));
    EXPECT_THAT(reply, HasSubstr(" NO [BADEVENT (MessageNew MessageExpunge FlagChange MailboxName "
                                 "SubscriptionChange)] "))
        << event;
  }
  reply = co_await a->command("NOTIFY SET (PERSONAL (MessageNew))");
  EXPECT_THAT(reply, HasSubstr(" BAD "));
  reply = co_await a->command(
      "NOTIFY SET STATUS (SELECTED (MessageNew MessageExpunge)) "
      "(MAILBOXES Junk (MessageNew MessageExpunge)) "
      "(SUBTREE Sent (MessageNew MessageExpunge FlagChange)) (PERSONAL NONE)");
  EXPECT_THAT(reply, HasSubstr("* STATUS Junk (MESSAGES 1 UIDNEXT 2 UIDVALIDITY "));
  EXPECT_THAT(reply, HasSubstr(" UNSEEN 1)\r\n"));
  EXPECT_THAT(reply, HasSubstr("* STATUS Sent (MESSAGES 0 UIDNEXT 1 UIDVALIDITY "));
  EXPECT_THAT(reply, HasSubstr(" HIGHESTMODSEQ 1)\r\n")) << "where flags are of interest";
  EXPECT_THAT(reply, Not(HasSubstr("INBOX")));
  EXPECT_THAT(reply, HasSubstr(" OK Notify completed."));
  reply = co_await a->command("NOTIFY SET (SELECTED NONE) (PERSONAL (MessageNew MessageExpunge))");
  EXPECT_THAT(reply, Not(HasSubstr("STATUS")));
  reply = co_await a->command("NOTIFY NONE");
  EXPECT_THAT(reply, HasSubstr(" OK "));
}
TEST(Notify, answers_what_it_was_asked_for_and_refuses_what_it_cannot_tell) { play(answers); }

io::Task<void> tells(Household* home, io::Scope* scope, bool sleeps, bool idles) {
  home->host().settings.set_park_quiet_ms(1);
  home->host().settings.set_park_after_ms(1);
  Client* a = co_await logged_in(home, scope, "a");
  Client* b = co_await logged_in(home, scope, "b");
  for (Client* client : {a, b}) client->accept_parks = sleeps;
  co_await b->command("SELECT INBOX");
  co_await a->command("SELECT INBOX");
  co_await a->command(kAll);
  if (idles) {
    a->send("i IDLE\r\n");
    co_await a->take_until("+ ");
  }
  auto changed = [](Client* one) -> io::Task<void> {
    if (!one->accept_parks) co_return;
    co_await parks(one);
    co_await one->refresh();
  };
  home->deliver("Junk", "Subject: 1\n\nx\n");
  co_await changed(a);
  std::string heard = co_await a->take_until("* STATUS ");
  EXPECT_THAT(heard, HasSubstr("* STATUS Junk (MESSAGES 1 UIDNEXT 2 UIDVALIDITY "));
  co_await b->command("CREATE Work");
  co_await changed(a);
  // Its mailbox may be found with its STATUS, as it is new to the filter.
  heard = co_await a->take_until("* STATUS Work ");
  EXPECT_THAT(heard, HasSubstr("* LIST (\\HasNoChildren) \"/\" Work\r\n"));
  co_await b->command("RENAME Work Play");
  co_await changed(a);
  co_await hears(a, "* LIST (\\HasNoChildren) \"/\" Play (\"OLDNAME\" (Work))\r\n");
  co_await b->command("SUBSCRIBE Play");
  co_await changed(a);
  co_await hears(a, "* LIST (\\HasNoChildren \\Subscribed) \"/\" Play\r\n");
  co_await b->command("UNSUBSCRIBE Play");
  co_await changed(a);
  co_await hears(a, "* LIST (\\HasNoChildren) \"/\" Play\r\n");
  co_await b->command("DELETE Play");
  co_await changed(a);
  co_await hears(a, "* LIST (\\NonExistent) \"/\" Play\r\n");
  co_await b->command("SUBSCRIBE Nowhere");
  co_await changed(a);
  co_await hears(a, "* LIST (\\NonExistent \\Subscribed) \"/\" Nowhere\r\n");
  home->deliver("INBOX", "Subject: 1\n\nx\n");
  co_await changed(a);
  co_await a->take_until("* 1 EXISTS");
  co_await a->take_until("* 1 RECENT");
  co_await b->command("NOOP");
  co_await b->command("STORE 1 +FLAGS (\\Deleted)");
  co_await changed(a);
  heard = co_await a->take_until("* 1 FETCH ");
  EXPECT_THAT(heard, HasSubstr("\\Deleted"));
  co_await b->command("EXPUNGE");
  co_await changed(a);
  co_await hears(a, "* 1 EXPUNGE\r\n");
  if (idles) {
    a->send("DONE\r\n");
    co_await hears(a, "i OK Idle completed.\r\n");
  }
  // And nothing beyond it.
  std::string reply = co_await a->command("NOOP");
  EXPECT_TRUE(reply.starts_with("a") && reply.ends_with(" OK NOOP completed.\r\n")) << reply;
}

io::Task<void> tells_awake(Household* home, io::Scope* scope) {
  co_await tells(home, scope, false, false);
}
io::Task<void> tells_awake_in_idle(Household* home, io::Scope* scope) {
  co_await tells(home, scope, false, true);
}
io::Task<void> tells_asleep(Household* home, io::Scope* scope) {
  co_await tells(home, scope, true, false);
}
io::Task<void> tells_asleep_in_idle(Household* home, io::Scope* scope) {
  co_await tells(home, scope, true, true);
}
TEST(Notify, tells_of_every_event_without_a_command_while_awake) { play(tells_awake); }
TEST(Notify, tells_of_every_event_in_idle_while_awake) { play(tells_awake_in_idle); }
TEST(Notify, tells_of_every_event_without_a_command_while_parked) { play(tells_asleep); }
TEST(Notify, tells_of_every_event_in_idle_while_parked) { play(tells_asleep_in_idle); }

io::Task<void> swaps(Household* home, io::Scope* scope) {
  home->host().settings.set_park_quiet_ms(1);
  Client* a = co_await logged_in(home, scope, "a");
  auto& store = home->elsewhere();
  for (const char* name : {"a", "b", "c"}) {
    auto made = store.create(name);
    EXPECT_TRUE(made);
  }
  home->deliver("b", "Subject: 1\n\nx\n");
  co_await a->command("NOTIFY SET (PERSONAL (MessageNew MessageExpunge MailboxName))");
  co_await parks(a);
  for (auto [from, to] : {std::pair("c", "d"), {"b", "c"}, {"a", "b"}}) {
    auto moved = store.rename(from, to);
    EXPECT_TRUE(moved);
  }
  co_await a->refresh();
  co_await hears(a, "* LIST (\\HasNoChildren) \"/\" d (\"OLDNAME\" (c))\r\n");
  co_await hears(a, "* LIST (\\HasNoChildren) \"/\" c (\"OLDNAME\" (b))\r\n");
  co_await hears(a, "* LIST (\\HasNoChildren) \"/\" b (\"OLDNAME\" (a))\r\n");
  for (auto [from, to] : {std::pair("b", "x"), {"c", "b"}, {"x", "c"}}) {
    auto moved = store.rename(from, to);
    EXPECT_TRUE(moved);
  }
  co_await a->refresh();
  std::string heard = co_await a->take_until("* STATUS ");
  EXPECT_TRUE(
      heard.starts_with("* LIST (\\HasNoChildren) \"/\" b (\"OLDNAME\" (c))\r\n"
                        "* LIST (\\HasNoChildren) \"/\" c\r\n"
                        "* STATUS c (MESSAGES 0 "))
      << heard;
}
TEST(Notify, names_that_went_on_to_other_mailboxes_are_told_in_an_order_to_follow) { play(swaps); }

io::Task<void> watches(Household* home, io::Scope* scope) {
  home->host().settings.set_park_quiet_ms(1);
  Client* a = co_await logged_in(home, scope, "a");
  co_await a->command("SELECT INBOX");
  co_await a->command(
      "NOTIFY SET (SELECTED (MessageNew MessageExpunge)) "
      "(MAILBOXES (Junk Sent) (MessageNew MessageExpunge))");
  co_await parks(a);
  EXPECT_TRUE(a->record().pushes());
  EXPECT_TRUE(a->record().announces()) << "EXISTS is all that mail for INBOX changes";
  std::vector<std::string> paths;
  for (const auto& place : a->directories()) {
    paths.push_back(place.path().substr(home->mail_path().size()));
  }
  EXPECT_THAT(paths, ::testing::ElementsAre("/new", "/cur", "", "/.Junk/new", "/.Junk/cur",
                                            "/.Sent/new", "/.Sent/cur"));
  // A mailbox that comes into the filter is watched from then on.
  auto removed = home->elsewhere().remove("Sent");
  auto created = home->elsewhere().create("Sent");
  EXPECT_TRUE(removed && created);
  std::string old_handle = a->directories().back().handle();
  co_await a->refresh();
  EXPECT_EQ(a->directories().size(), 7u);
  EXPECT_NE(a->directories().back().handle(), old_handle);
}
TEST(Notify, a_sleeper_is_watched_by_every_mailbox_of_its_filters) { play(watches); }

io::Task<void> announces(Household* home, io::Scope* scope) {
  home->host().settings.set_park_quiet_ms(1);
  Client* a = co_await logged_in(home, scope, "a");
  co_await a->command("SELECT INBOX");
  for (const char* group :
       {"(SELECTED (MessageNew (UID FLAGS) MessageExpunge))", "(SELECTED NONE)",
        "(PERSONAL (MessageNew MessageExpunge))", "(INBOXES (MessageNew MessageExpunge))"}) {
    co_await a->command(fmt::format("NOTIFY SET {}", group));
    co_await parks(a);
    EXPECT_FALSE(a->record().announces()) << group;
    EXPECT_TRUE(a->record().pushes()) << group;
  }
  co_await a->command("NOTIFY SET (SELECTED-DELAYED (MessageNew MessageExpunge))");
  co_await parks(a);
  EXPECT_TRUE(a->record().announces());
  home->deliver("INBOX", "Subject: 1\n\nx\n");
  EXPECT_TRUE(a->announce(1));
  co_await hears(a, "* 1 EXISTS\r\n");
  home->deliver("INBOX", "Subject: 2\n\nx\n");
  co_await a->refresh();
  co_await hears(a, "* 2 EXISTS\r\n");
  co_await a->command("NOTIFY NONE");
  co_await parks(a);
  EXPECT_FALSE(a->record().announces());
  EXPECT_FALSE(a->record().pushes());
}
TEST(Notify, the_den_announces_only_where_exists_is_all_that_is_wanted) { play(announces); }

io::Task<void> fetches(Household* home, io::Scope* scope) {
  home->host().settings.set_park_quiet_ms(1);
  Client* a = co_await logged_in(home, scope, "a");
  co_await a->command("SELECT INBOX");
  co_await a->command(
      "NOTIFY SET (SELECTED (MessageNew (FLAGS RFC822.SIZE BODY[HEADER.FIELDS (SUBJECT)]) "
      "MessageExpunge))");
  for (bool sleeps : {true, false}) {
    a->accept_parks = sleeps;
    if (!sleeps) co_await a->command("NOOP");
    uint32_t number = sleeps ? 1 : 2;
    if (sleeps) co_await parks(a);
    home->deliver("INBOX", fmt::format("Subject: number {}\n\nx\n", number));
    if (sleeps) co_await a->refresh();
    std::string heard = co_await a->take_until(")");
    EXPECT_THAT(heard, HasSubstr(fmt::format("* {} EXISTS\r\n", number)));
    EXPECT_THAT(heard,
                HasSubstr(fmt::format("* {} FETCH (UID {} FLAGS (\\Recent) RFC822.SIZE 24 "
                                      "BODY[HEADER.FIELDS (SUBJECT)] {{21}}\r\nSubject: number {}",
                                      number, number, number)));
  }
  std::string flags = co_await a->command("FETCH 1:2 (FLAGS)");
  EXPECT_THAT(flags, Not(HasSubstr("\\Seen"))) << "being told is not reading";
}
TEST(Notify, new_messages_are_fetched_as_asked_for_and_stay_unseen) { play(fetches); }

io::Task<void> delays(Household* home, io::Scope* scope, bool sleeps) {
  home->host().settings.set_park_quiet_ms(1);
  for (int i = 1; i <= 3; ++i) home->deliver("INBOX", "Subject: x\n\nx\n");
  Client* a = co_await logged_in(home, scope, "a");
  a->accept_parks = sleeps;
  Client* b = co_await logged_in(home, scope, "b");
  b->accept_parks = false;
  co_await b->command("SELECT INBOX");
  co_await a->command("SELECT INBOX");
  co_await a->command("NOTIFY SET (SELECTED-DELAYED (MessageNew MessageExpunge FlagChange))");
  if (sleeps) co_await parks(a);
  co_await b->command("STORE 2 +FLAGS.SILENT (\\Deleted)");
  co_await b->command("EXPUNGE");
  co_await b->command("STORE 2 +FLAGS.SILENT (\\Flagged)");
  if (sleeps) co_await a->refresh();
  std::string heard = co_await a->take_until("* 3 FETCH ");
  EXPECT_THAT(heard, Not(HasSubstr("EXPUNGE"))) << "the third message is still the third";
  if (sleeps) {
    EXPECT_FALSE(a->record().small_talk()) << "a NOOP has something to say";
    home->deliver("INBOX", "Subject: 4\n\nx\n");
    co_await a->refresh();
    heard = co_await a->take_until("* 4 EXISTS");
    EXPECT_THAT(heard, Not(HasSubstr("EXPUNGE")));
  }
  std::string reply = co_await a->command("FETCH 3 (FLAGS)");
  EXPECT_THAT(reply, Not(HasSubstr("EXPUNGE")));
  reply = co_await a->command("NOOP");
  EXPECT_THAT(reply, HasSubstr("* 2 EXPUNGE\r\n"));
  // In IDLE it is not delayed.
  a->send("i IDLE\r\n");
  co_await a->take_until("+ ");
  co_await b->command("STORE 1 +FLAGS.SILENT (\\Deleted)");
  co_await b->command("EXPUNGE");
  if (sleeps) {
    co_await parks(a);
    co_await a->refresh();
  }
  heard = co_await a->take_until("* 1 EXPUNGE");
}
io::Task<void> delays_awake(Household* home, io::Scope* scope) {
  co_await delays(home, scope, false);
}
io::Task<void> delays_asleep(Household* home, io::Scope* scope) {
  co_await delays(home, scope, true);
}
TEST(Notify, selected_delayed_holds_expunges_back_while_awake) { play(delays_awake); }
TEST(Notify, selected_delayed_holds_expunges_back_while_parked) { play(delays_asleep); }

io::Task<void> silence(Household* home, io::Scope* scope) {
  home->host().settings.set_park_quiet_ms(1);
  home->host().settings.set_park_after_ms(1);
  for (int i = 1; i <= 3; ++i) home->deliver("INBOX", "Subject: x\n\nx\n");
  Client* a = co_await logged_in(home, scope, "a");
  Client* b = co_await logged_in(home, scope, "b");
  b->accept_parks = false;
  co_await b->command("SELECT INBOX");
  co_await a->command("SELECT INBOX");
  co_await a->command("NOTIFY NONE");
  co_await b->command("STORE 2 +FLAGS.SILENT (\\Deleted)");
  co_await b->command("EXPUNGE");
  home->deliver("INBOX", "Subject: 4\n\nx\n");
  std::string reply = co_await a->command("NOOP");
  EXPECT_EQ(reply, "a3 OK NOOP completed.\r\n");
  a->send("i IDLE\r\n");
  co_await hears(a, "+ idling\r\n");
  co_await parks(a);
  a->send("DONE\r\n");
  co_await hears(a, "i OK Idle completed.\r\n");
  co_await parks(a);
  EXPECT_TRUE(a->record().small_talk());
  // The command's own effect is told, and with it all that its numbers depend on.
  reply = co_await a->command("STORE 1 +FLAGS.SILENT (\\Deleted)");
  reply = co_await a->command("EXPUNGE");
  EXPECT_THAT(reply, HasSubstr("* 2 EXPUNGE\r\n* 1 EXPUNGE\r\n* 2 EXISTS\r\n"));
  // And all of it to who asks for it again.
  home->deliver("INBOX", "Subject: 5\n\nx\n");
  reply = co_await a->command("NOOP");
  EXPECT_THAT(reply, Not(HasSubstr("EXISTS")));
  reply = co_await a->command("NOTIFY SET (SELECTED (MessageNew MessageExpunge FlagChange))");
  EXPECT_THAT(reply, HasSubstr("* 3 EXISTS\r\n"));
}
TEST(Notify, none_is_silent_but_for_the_effects_of_own_commands) { play(silence); }

io::Task<void> own_changes(Household* home, io::Scope* scope) {
  home->host().settings.set_park_quiet_ms(600'000);
  for (int i = 1; i <= 3; ++i) home->deliver("INBOX", "Subject: x\n\nx\n");
  Client* a = co_await logged_in(home, scope, "a");
  co_await a->command("SELECT INBOX");
  co_await a->command(kAll);
  for (const char* command :
       {"COPY 1 Junk", "MOVE 1 Sent", "CREATE Work/2026/", "SUBSCRIBE Work/2026",
        "RENAME Work Play", "UNSUBSCRIBE Work/2026", "DELETE Play/2026"}) {
    std::string reply = co_await a->command(command);
    reply += co_await a->command("NOOP");
    EXPECT_THAT(reply, Not(HasSubstr("* STATUS"))) << command;
    EXPECT_THAT(reply, Not(HasSubstr("* LIST"))) << command;
  }
  std::string reply = co_await a->command("APPEND Trash {3+}\r\nabc");
  reply += co_await a->command("NOOP");
  EXPECT_THAT(reply, Not(HasSubstr("* STATUS")));
  // Mail that comes between is not taken for one's own.
  home->deliver("Junk", "Subject: x\n\nx\n");
  reply = co_await a->command("COPY 1 Junk");
  reply += co_await a->command("NOOP");
  EXPECT_THAT(reply, HasSubstr("* STATUS Junk (MESSAGES 3 "));
  // What a session did to the mailbox it had selected, it knows.
  co_await a->command("STORE 1 +FLAGS (\\Deleted)");
  co_await a->command("CLOSE");
  reply = co_await a->command("NOOP");
  EXPECT_THAT(reply, Not(HasSubstr("* STATUS")));
  home->deliver("INBOX", "Subject: x\n\nx\n");
  reply = co_await a->command("NOOP");
  EXPECT_THAT(reply, HasSubstr("* STATUS INBOX (MESSAGES 2 "));
}
TEST(Notify, a_sessions_own_changes_are_not_told_as_news) { play(own_changes); }

io::Task<void> overflows(Household* home, io::Scope* scope) {
  home->host().settings.set_park_quiet_ms(1);
  Client* a = co_await logged_in(home, scope, "a");
  // INBOX, the four of every new user, and 121 more.
  for (int i = 0; i < 121; ++i) {
    auto made = home->elsewhere().create(fmt::format("m{}", i));
    EXPECT_TRUE(made);
  }
  std::string reply = co_await a->command("NOTIFY SET (PERSONAL (MessageNew MessageExpunge))");
  EXPECT_THAT(reply, HasSubstr(" OK "));
  co_await parks(a);
  EXPECT_EQ(a->directories().size(), 1 + 2 * 126u);
  auto made = home->elsewhere().create("one more");
  EXPECT_TRUE(made);
  co_await a->refresh();
  std::string heard = co_await a->take_until("* OK [NOTIFICATIONOVERFLOW] ");
  EXPECT_FALSE(a->record().pushes());
  reply = co_await a->command("NOTIFY SET (PERSONAL (MessageNew MessageExpunge))");
  EXPECT_THAT(reply, HasSubstr(" NO [NOTIFICATIONOVERFLOW] "));
  reply = co_await a->command("NOTIFY SET (SUBTREE m1 (MessageNew MessageExpunge))");
  EXPECT_THAT(reply, HasSubstr(" OK "));
}
TEST(Notify, more_mailboxes_than_can_be_watched_are_refused_or_end_it) { play(overflows); }

io::Task<void> unselected(Household* home, io::Scope* scope) {
  home->host().settings.set_park_quiet_ms(1);
  Client* a = co_await logged_in(home, scope, "a");
  std::string reply = co_await a->command(
      "NOTIFY SET (SUBSCRIBED (MessageNew MessageExpunge)) (INBOXES (MessageNew MessageExpunge))");
  EXPECT_THAT(reply, HasSubstr(" OK "));
  co_await parks(a);
  EXPECT_EQ(a->record().mode(), wire::WorkerToDen::Parked::AUTHENTICATED);
  home->deliver("INBOX", "Subject: 1\n\nx\n");
  home->deliver("Unknown", "Subject: 1\n\nx\n");
  co_await a->refresh();
  std::string heard = co_await a->take_until("* STATUS ");
  EXPECT_THAT(heard, HasSubstr("* STATUS INBOX (MESSAGES 1 UIDNEXT 2 "));
  EXPECT_THAT(heard, Not(HasSubstr("HIGHESTMODSEQ")));
  // Whoever enabled CONDSTORE hears the mod-sequence too; flags alone are not what it asked for.
  co_await a->command("ENABLE CONDSTORE");
  co_await parks(a);
  auto inbox = home->elsewhere().open_mailbox("INBOX");
  EXPECT_TRUE(inbox);
  uint32_t uid = 1;
  store::FlagsChange change;
  change.flags.bits = store::Flags::kFlagged;
  auto stored = inbox->store_flags(std::span(&uid, 1), change);
  EXPECT_TRUE(stored);
  co_await a->refresh();
  auto gone = inbox->expunge(std::span(&uid, 1));
  EXPECT_TRUE(gone);
  co_await a->refresh();
  heard = co_await a->take_until("* STATUS ");
  EXPECT_TRUE(heard.starts_with("* STATUS INBOX (MESSAGES 0 UIDNEXT 2 ")) << heard;
  EXPECT_THAT(heard, HasSubstr(" HIGHESTMODSEQ "));
  // A mailbox that is subscribed from now on is of the filter.
  auto subscribed = home->elsewhere().subscribe("Unknown");
  EXPECT_TRUE(subscribed);
  co_await a->refresh();
  heard = co_await a->take_until("* STATUS ");
  EXPECT_THAT(heard, HasSubstr("* STATUS Unknown (MESSAGES 1 UIDNEXT 2 "));
}
TEST(Notify, a_session_without_a_mailbox_sleeps_and_hears_of_its_filters) { play(unselected); }

}  // namespace
}  // namespace dormouse::imap
