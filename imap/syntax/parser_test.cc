#include "imap/syntax/parser.h"

#include <gtest/gtest.h>

namespace dormouse::imap {
namespace {

// The arguments of a command that must parse.
template <class T>
T parse(std::string_view text) {
  auto command = parse_command(text);
  if (!command) {
    ADD_FAILURE() << text << ": " << command.error().text;
    return T{};
  }
  const T* arguments = command->as<T>();
  if (arguments == nullptr) {
    ADD_FAILURE() << text << " is a " << command->name;
    return T{};
  }
  return *arguments;
}

std::string refusal(std::string_view text) {
  auto command = parse_command(text);
  if (command) return "parsed";
  return command.error().tag + (command.error().no ? " NO " : " BAD ") + command.error().text;
}

TEST(Parser, KnowsTagAndNameOfEveryBareCommand) {
  for (const char* name : {"CAPABILITY", "NOOP", "LOGOUT", "STARTTLS", "CHECK", "CLOSE", "UNSELECT",
                           "IDLE", "NAMESPACE", "EXPUNGE"}) {
    auto command = parse_command("A.1] " + std::string(name) + " ");
    ASSERT_TRUE(command) << name;
    EXPECT_EQ(command->tag, "A.1]");
    EXPECT_EQ(command->name, name);
    EXPECT_FALSE(parse_command("a " + std::string(name) + " x")) << name;
  }
}

TEST(Parser, NamesAreReadWithoutRegardToCase) {
  EXPECT_EQ(parse_command("a uId fEtCh 1 uid")->name, "UID FETCH");
}

TEST(Parser, ErrorsCarryTheTagWhereThereIsOne) {
  EXPECT_EQ(refusal(""), "* BAD Empty command");
  EXPECT_EQ(refusal("+ NOOP"), "* BAD Invalid tag");
  EXPECT_EQ(refusal(" NOOP"), "* BAD Invalid tag");
  EXPECT_EQ(refusal(std::string(65, 'a') + " NOOP"), "* BAD Invalid tag");
  EXPECT_EQ(refusal("a"), "a BAD Missing command");
  EXPECT_EQ(refusal("a FROB"), "a BAD Unknown command");
  EXPECT_EQ(refusal("a UID NOOP"), "a BAD Unknown command");
  EXPECT_EQ(refusal("a SELECT &AGE-"), "a NO [CANNOT] Mailbox name is not valid modified UTF-7");
}

TEST(Parser, ReadsLoginInAllStringForms) {
  auto login = parse<Login>("a LOGIN joe {6+}\r\np\"\\ {x");
  EXPECT_EQ(login.user, "joe");
  EXPECT_EQ(login.password, "p\"\\ {x");
  login = parse<Login>(R"(a LOGIN "j \"o\" \\e" "")");
  EXPECT_EQ(login.user, R"(j "o" \e)");
  EXPECT_EQ(login.password, "");
  EXPECT_EQ(refusal("a LOGIN joe"), "a BAD Missing argument");
  EXPECT_EQ(refusal(R"(a LOGIN joe "x)"), "a BAD Missing closing quote");
  EXPECT_EQ(refusal(R"(a LOGIN joe "\x")"), "a BAD Invalid escape in a quoted string");
  EXPECT_EQ(refusal("a LOGIN joe {9}\r\nx"), "a BAD Incomplete literal");
  EXPECT_EQ(refusal(std::string("a LOGIN joe {1}\r\n\0", 18)), "a BAD NUL in a literal");
}

TEST(Parser, ReadsAuthenticateWithAndWithoutInitialResponse) {
  auto command = parse<Authenticate>("a AUTHENTICATE plain");
  EXPECT_EQ(command.mechanism, "PLAIN");
  EXPECT_FALSE(command.initial_response);
  EXPECT_EQ(parse<Authenticate>("a AUTHENTICATE PLAIN =").initial_response, "");
  EXPECT_EQ(parse<Authenticate>("a AUTHENTICATE PLAIN AGEAYg==").initial_response,
            std::string("\0a\0b", 4));
  EXPECT_EQ(refusal("a AUTHENTICATE PLAIN AGEA!"), "a BAD Invalid base64");
}

TEST(Parser, ReadsId) {
  EXPECT_TRUE(parse<Id>("a ID NIL").pairs.empty());
  EXPECT_TRUE(parse<Id>("a ID ()").pairs.empty());
  auto id = parse<Id>(R"(a ID ("name" "x" "version" NIL))");
  ASSERT_EQ(id.pairs.size(), 2U);
  EXPECT_EQ(id.pairs[0].second, "x");
  EXPECT_FALSE(id.pairs[1].second);
  EXPECT_NE(refusal("a ID"), "parsed");
  EXPECT_NE(refusal(R"(a ID ("name"))"), "parsed");
}

TEST(Parser, ReadsEnableAndCompress) {
  EXPECT_EQ(parse<Enable>("a ENABLE condstore QRESYNC").capabilities,
            (std::vector<std::string>{"CONDSTORE", "QRESYNC"}));
  EXPECT_EQ(parse<Compress>("a COMPRESS deflate").mechanism, "DEFLATE");
}

TEST(Parser, ReadsSelectWithItsParameters) {
  auto select = parse<Select>("a SELECT inbox");
  EXPECT_EQ(select.mailbox, "INBOX");
  EXPECT_FALSE(select.examine || select.condstore || select.qresync);
  select = parse<Select>("a EXAMINE \"Entw&APw-rfe\" (CONDSTORE)");
  EXPECT_TRUE(select.examine && select.condstore);
  EXPECT_EQ(select.mailbox, "Entwürfe");
  select = parse<Select>(
      "a SELECT x (QRESYNC (67890007 20050715194045000 41,43:211 (1:29997 10000:29997,1:9999)))");
  ASSERT_TRUE(select.qresync);
  EXPECT_EQ(select.qresync->uid_validity, 67890007U);
  EXPECT_EQ(select.qresync->mod_seq, 20050715194045000U);
  EXPECT_EQ(select.qresync->known_uids->format(), "41,43:211");
  EXPECT_EQ(select.qresync->match_uids.count(), 29997U);
  EXPECT_FALSE(parse<Select>("a SELECT x (QRESYNC (1 2 (1:3 7:9)))").qresync->known_uids);
  EXPECT_NE(refusal("a SELECT x (QRESYNC (1 2 1:*))"), "parsed");
  EXPECT_NE(refusal("a SELECT x (QRESYNC (1 2 (1:2 7:9)))"), "parsed");
  EXPECT_NE(refusal("a SELECT x (QRESYNC (0 2))"), "parsed");
  EXPECT_NE(refusal("a SELECT x (QRESYNC (1 9223372036854775808))"), "parsed");
  EXPECT_NE(refusal("a SELECT x ()"), "parsed");
}

TEST(Parser, ReadsMailboxCommands) {
  EXPECT_EQ(parse<Create>("a CREATE foo/").mailbox, "foo/");
  EXPECT_EQ(parse<Create>("a CREATE x (USE (\\Sent \\drafts))").uses, kUseSent | kUseDrafts);
  EXPECT_EQ(refusal("a CREATE x (USE (\\Foo))"), "a NO [USEATTR] Unknown special use");
  EXPECT_EQ(parse<Delete>("a DELETE \"a b\"").mailbox, "a b");
  auto rename = parse<Rename>("a RENAME {3}\r\na b c");
  EXPECT_EQ(rename.from, "a b");
  EXPECT_EQ(rename.to, "c");
  EXPECT_EQ(parse<Subscribe>("a SUBSCRIBE x").mailbox, "x");
  EXPECT_EQ(parse<Unsubscribe>("a UNSUBSCRIBE x").mailbox, "x");
  EXPECT_EQ(parse<Status>("a STATUS x (messages UIDNEXT HIGHESTMODSEQ)").items,
            kStatusMessages | kStatusUidNext | kStatusHighestModSeq);
  EXPECT_NE(refusal("a STATUS x ()"), "parsed");
}

TEST(Parser, ReadsPlainAndExtendedList) {
  auto list = parse<List>("a LIST \"\" %");
  EXPECT_FALSE(list.extended || list.lsub);
  EXPECT_EQ(list.patterns, std::vector<std::string>{"%"});
  EXPECT_EQ(parse<List>("a LIST \"\" \"\"").patterns, std::vector<std::string>{""});
  EXPECT_TRUE(parse<List>("a LSUB \"\" *").lsub);
  list = parse<List>(
      "a LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (a% \"b*\") RETURN (CHILDREN SPECIAL-USE STATUS "
      "(UNSEEN))");
  EXPECT_TRUE(list.extended && list.select_subscribed && list.select_recursive_match);
  EXPECT_TRUE(list.return_children && list.return_special_use);
  EXPECT_EQ(list.return_status, kStatusUnseen);
  EXPECT_EQ(list.patterns, (std::vector<std::string>{"a%", "b*"}));
  EXPECT_TRUE(parse<List>("a LIST (SPECIAL-USE) \"\" *").select_special_use);
  EXPECT_NE(refusal("a LIST (RECURSIVEMATCH) \"\" *"), "parsed");
  EXPECT_NE(refusal("a LIST \"\""), "parsed");
}

TEST(Parser, ReadsAppendUpToItsMessage) {
  auto append = parse<Append>("a APPEND x (\\Seen $Junk) \"17-Jul-1996 02:44:25 -0700\" {310+}");
  EXPECT_EQ(append.message.flags, (FlagList{kSeen, {"$Junk"}}));
  EXPECT_EQ(append.message.date->unix_seconds, 837596665);
  EXPECT_EQ(append.message.literal_octets, 310U);
  EXPECT_FALSE(parse<Append>("a APPEND x {0}").message.date);
  EXPECT_EQ(refusal("a APPEND x (\\Recent) {3}"), "a BAD Invalid system flag");
  EXPECT_EQ(refusal("a APPEND x \"foo\" {3}"), "a BAD Invalid date-time");
  EXPECT_NE(refusal("a APPEND x"), "parsed");
}

TEST(Parser, ReadsWhatStandsBetweenTwoMessagesOfAnAppend) {
  auto next = parse_append_message(" (\\Flagged) \"17-Jul-1996 02:44:25 -0700\" {7}");
  ASSERT_TRUE(next);
  EXPECT_EQ(next->flags, (FlagList{kFlagged, {}}));
  EXPECT_EQ(next->date->unix_seconds, 837596665);
  EXPECT_EQ(next->literal_octets, 7U);
  EXPECT_EQ(parse_append_message(" {2+}")->literal_octets, 2U);
  EXPECT_EQ(parse_append_message(" (\\Recent) {3}").error().text, "Invalid system flag");
  for (const char* wrong : {"", " ", "{3}", " x {3}", " {3} ", " () {3}x", "  {3}"}) {
    EXPECT_FALSE(parse_append_message(wrong)) << wrong;
  }
}

TEST(Parser, ReadsStore) {
  auto store = parse<Store>("a UID STORE 1:* +flags.silent (\\Deleted)");
  EXPECT_TRUE(store.uid && store.silent);
  EXPECT_EQ(store.mode, StoreMode::kAdd);
  EXPECT_EQ(store.flags.system, kDeleted);
  store = parse<Store>("a STORE 1 (UNCHANGEDSINCE 0) FLAGS \\Seen a A b");
  EXPECT_EQ(store.unchanged_since, 0U);
  EXPECT_EQ(store.flags, (FlagList{kSeen, {"a", "b"}}));
  EXPECT_EQ(parse<Store>("a STORE $ -FLAGS ()").mode, StoreMode::kRemove);
  EXPECT_TRUE(parse<Store>("a STORE $ -FLAGS ()").messages.saved_result);
  EXPECT_NE(refusal("a STORE 1 FLAGS"), "parsed");
  EXPECT_NE(refusal("a STORE 0 FLAGS ()"), "parsed");
  EXPECT_NE(refusal("a STORE 1 FLAGS (\\*)"), "parsed");
}

TEST(Parser, BoundsKeywords) {
  std::string many = "a STORE 1 FLAGS (";
  for (int i = 0; i < 65; ++i) many += (i > 0 ? " k" : "k") + std::to_string(i);
  EXPECT_EQ(refusal(many + ")"), "a NO [LIMIT] Too many keywords");
  EXPECT_EQ(refusal("a STORE 1 FLAGS " + std::string(201, 'k')), "a NO [LIMIT] Keyword too long");
}

TEST(Parser, ReadsCopyMoveExpunge) {
  auto copy = parse<Copy>("a UID MOVE 4:7,9 Trash");
  EXPECT_TRUE(copy.uid && copy.move);
  EXPECT_EQ(copy.mailbox, "Trash");
  EXPECT_FALSE(parse<Copy>("a COPY 1 Trash").move);
  EXPECT_FALSE(parse<Expunge>("a EXPUNGE").uids);
  EXPECT_EQ(parse<Expunge>("a UID EXPUNGE 1:3").uids->items.size(), 1U);
  EXPECT_NE(refusal("a UID EXPUNGE"), "parsed");
}

TEST(Parser, ReadsFetchMacrosAndItems) {
  EXPECT_EQ(parse<Fetch>("a FETCH 1 FAST").items, kFetchFlags | kFetchInternalDate | kFetchSize);
  EXPECT_EQ(parse<Fetch>("a FETCH 1 full").items,
            kFetchFlags | kFetchInternalDate | kFetchSize | kFetchEnvelope | kFetchBody);
  auto fetch = parse<Fetch>("a UID FETCH 1:* (UID FLAGS BODYSTRUCTURE MODSEQ RFC822.SIZE)");
  EXPECT_TRUE(fetch.uid);
  EXPECT_EQ(fetch.items, kFetchUid | kFetchFlags | kFetchBodyStructure | kFetchModSeq | kFetchSize);
  EXPECT_NE(refusal("a FETCH 1 (FAST)"), "parsed");
  EXPECT_NE(refusal("a FETCH 1 ()"), "parsed");
  EXPECT_NE(refusal("a FETCH 1 FLAGS UID"), "parsed");
}

TEST(Parser, ReadsEverySectionOfABody) {
  using mime::SectionKind;
  auto body = [](std::string_view item) {
    auto fetch = parse<Fetch>("a FETCH 1 (" + std::string(item) + ")");
    return fetch.bodies.empty() ? FetchBody{} : fetch.bodies[0];
  };
  EXPECT_EQ(body("BODY[]").section, mime::Section{});
  EXPECT_FALSE(body("BODY[]").peek);
  EXPECT_TRUE(body("body.peek[]").peek);
  EXPECT_EQ(body("BODY[1.2]").section.part, (std::vector<std::uint32_t>{1, 2}));
  EXPECT_EQ(body("BODY[1.MIME]").section.kind, SectionKind::kMime);
  EXPECT_EQ(body("BODY[TEXT]<0.2048>").partial->octets, 2048U);
  EXPECT_EQ(body("BODY[4.2.HEADER.FIELDS.NOT (A \"b\")]<7.1>").section,
            (mime::Section{{4, 2}, SectionKind::kHeaderFieldsNot, {"A", "b"}}));
  EXPECT_EQ(body("RFC822.HEADER").section.kind, SectionKind::kHeader);
  EXPECT_TRUE(body("RFC822.HEADER").peek);
  EXPECT_EQ(body("RFC822.TEXT").name, FetchBody::Name::kRfc822Text);
  EXPECT_EQ(body("RFC822").section.kind, SectionKind::kAll);
  for (const char* item :
       {"BODY[", "BODY[0]", "BODY[1.]", "BODY[.1]", "BODY[MIME]", "BODY[TEXT.1]", "BODY[]<0>",
        "BODY[]<0.0>", "BODY[]<0.1", "BODY[HEADER.FIELDS]", "BODY[HEADER.FIELDS ()]", "BODY.PEEK",
        "FLAGS[]", "BODY[1TEXT]", "FOO"}) {
    EXPECT_NE(refusal("a FETCH 1 (" + std::string(item) + ")"), "parsed") << item;
  }
}

TEST(Parser, ReadsFetchModifiers) {
  auto fetch = parse<Fetch>("a UID FETCH 1:* (FLAGS) (CHANGEDSINCE 12345 VANISHED)");
  EXPECT_EQ(fetch.changed_since, 12345U);
  EXPECT_TRUE(fetch.vanished);
  EXPECT_TRUE(fetch.items & kFetchModSeq);
  EXPECT_NE(refusal("a FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)"), "parsed");
  EXPECT_NE(refusal("a UID FETCH 1:* (FLAGS) (VANISHED)"), "parsed");
}

TEST(Parser, BoundsBodiesOfAFetch) {
  std::string many = "a FETCH 1 (BODY[]";
  for (int i = 0; i < 64; ++i) many += " BODY[]";
  EXPECT_EQ(refusal(many + ")"), "a BAD Too many BODY items");
}

TEST(Parser, ReadsNotify) {
  auto none = parse<Notify>("a NOTIFY none");
  EXPECT_TRUE(none.groups.empty());
  auto notify = parse<Notify>(
      "a NOTIFY SET STATUS (SELECTED (MessageNew (UID BODY.PEEK[HEADER.FIELDS (From {2+}\r\nTo)])"
      " MessageExpunge FlagChange)) (inboxes NONE) (Subtree (Lists \"&AMQ-\") (MailboxName)) "
      "(mailboxes INBOX (MessageExpunge messagenew SubscriptionChange))");
  EXPECT_TRUE(notify.status);
  ASSERT_EQ(notify.groups.size(), 4u);
  EXPECT_EQ(notify.groups[0].events, kNotifyMessageNew | kNotifyMessageExpunge | kNotifyFlagChange);
  auto items = parse_fetch_list(notify.groups[0].fetch);
  ASSERT_TRUE(items) << notify.groups[0].fetch;
  EXPECT_EQ(items->items, kFetchUid);
  ASSERT_EQ(items->bodies.size(), 1u);
  EXPECT_EQ(items->bodies[0].section.fields, (std::vector<std::string>{"From", "To"}));
  EXPECT_EQ(notify.groups[1].filter, NotifyFilter::kInboxes);
  EXPECT_EQ(notify.groups[1].events, 0);
  EXPECT_EQ(notify.groups[2].mailboxes, (std::vector<std::string>{"Lists", "\xc3\x84"}));
  EXPECT_EQ(notify.groups[3].filter, NotifyFilter::kMailboxes);
  EXPECT_EQ(notify.groups[3].mailboxes, std::vector<std::string>{"INBOX"});
  EXPECT_EQ(parse<Notify>("a NOTIFY SET (PERSONAL (X-Odd MailboxName))").groups[0].events,
            kNotifyUnknown | kNotifyMailboxName);
}

TEST(Parser, RefusesNotifyEventsThatDoNotGoTogether) {
  EXPECT_EQ(refusal("a NOTIFY SET (PERSONAL (MessageNew))"),
            "a BAD MessageNew and MessageExpunge go together");
  EXPECT_EQ(refusal("a NOTIFY SET (PERSONAL (FlagChange))"),
            "a BAD FlagChange needs MessageNew and MessageExpunge");
  EXPECT_EQ(refusal("a NOTIFY SET (SELECTED (MailboxName))"),
            "a BAD The selected mailbox has message events only");
  EXPECT_EQ(refusal("a NOTIFY SET (PERSONAL (MessageNew (UID) MessageExpunge))"),
            "a BAD FETCH items are for the selected mailbox only");
  EXPECT_EQ(refusal("a NOTIFY SET (SELECTED NONE) (SELECTED-DELAYED NONE)"),
            "a BAD Only one group can be of the selected mailbox");
  EXPECT_EQ(refusal("a NOTIFY SET"), "a BAD Missing argument");
  EXPECT_EQ(refusal("a NOTIFY SET STATUS"), "a BAD Missing argument");
  EXPECT_EQ(refusal("a NOTIFY SET (ALL NONE)"), "a BAD Unknown mailbox filter");
  EXPECT_EQ(refusal("a NOTIFY SET (SUBTREE () NONE)"), "a BAD Expected a string or atom");
  EXPECT_EQ(refusal("a NOTIFY SET (PERSONAL ())"), "a BAD Expected an event");
  std::string many;
  for (int i = 0; i < 127; ++i) many += " b";
  EXPECT_EQ(refusal("a NOTIFY SET (MAILBOXES (" + many.substr(1) + ") NONE)"),
            "a BAD Too many mailboxes");
}

TEST(Parser, ReadsEverySearchKey) {
  auto search = parse<Search>(
      "a UID SEARCH RETURN (MIN COUNT SAVE) CHARSET utf-8 ALL ANSWERED BCC x BEFORE 1-Feb-1994 "
      "BODY "
      "x CC x DELETED DRAFT FLAGGED FROM x HEADER X-Y \"\" KEYWORD k LARGER 10 NEW NOT SEEN OLD ON "
      "\"1-Feb-1994\" OR SEEN (DRAFT 1:4) RECENT SEEN SENTBEFORE 1-Feb-1994 SENTON 1-Feb-1994 "
      "SENTSINCE 1-Feb-1994 SINCE 1-Feb-1994 SMALLER 9 SUBJECT {2+}\r\nxy TEXT x TO x UID 1:* "
      "UNANSWERED UNDELETED UNDRAFT UNFLAGGED UNKEYWORD k UNSEEN $ 3,5:* MODSEQ 620162338 MODSEQ "
      "\"/flags/\\\\draft\" all 620162338 OLDER 5 YOUNGER 6");
  EXPECT_EQ(search.charset, "UTF-8");
  EXPECT_TRUE(search.uid && search.has_mod_seq);
  EXPECT_EQ(search.return_options, kReturnMin | kReturnCount | kReturnSave);
  EXPECT_EQ(search.key.children.size(), 41U);
  EXPECT_EQ(search.key.children[3].day, 8797);
  EXPECT_EQ(search.key.children[10].field, "X-Y");
}

TEST(Parser, KeepsTheShapeOfASearch) {
  auto search = parse<Search>("a SEARCH OR NOT SEEN (FLAGGED UNSEEN) TEXT x");
  EXPECT_FALSE(search.return_options);
  ASSERT_EQ(search.key.children.size(), 2U);
  const SearchKey& either = search.key.children[0];
  EXPECT_EQ(either.op, SearchOp::kOr);
  ASSERT_EQ(either.children.size(), 2U);
  EXPECT_EQ(either.children[0].op, SearchOp::kNot);
  EXPECT_EQ(either.children[0].children[0].flag, kSeen);
  EXPECT_EQ(either.children[1].op, SearchOp::kAnd);
  EXPECT_EQ(either.children[1].children[1].op, SearchOp::kNot);
  EXPECT_EQ(parse<Search>("a SEARCH RETURN () ALL").return_options, kReturnAll);
}

TEST(Parser, RefusesSearchesThatAreNone) {
  for (const char* text : {"a SEARCH", "a SEARCH ", "a SEARCH ()", "a SEARCH (ALL", "a SEARCH ALL)",
                           "a SEARCH FOO", "a SEARCH OR SEEN", "a SEARCH NOT", "a SEARCH FROM",
                           "a SEARCH BEFORE 1994", "a SEARCH LARGER -1", "a SEARCH CHARSET UTF-8",
                           "a SEARCH RETURN (ALL)", "a SEARCH RETURN (FOO) ALL", "a SEARCH 0"}) {
    EXPECT_NE(refusal(text), "parsed") << text;
  }
}

TEST(Parser, ReadsSort) {
  auto sort = parse<Search>(
      "a UID SORT (SUBJECT REVERSE DATE reverse subject) utf-8 SINCE 1-Feb-1994 SEEN");
  EXPECT_TRUE(sort.uid);
  EXPECT_FALSE(sort.return_options);
  EXPECT_EQ(sort.charset, "UTF-8");
  EXPECT_EQ(sort.key.children.size(), 2U);
  std::vector<SortCriterion> order = {{SortKey::kSubject, false}, {SortKey::kDate, true}};
  EXPECT_EQ(sort.order, order) << "a key named again decides nothing";
  EXPECT_EQ(parse<Search>("a SORT RETURN () (DISPLAYTO) US-ASCII ALL").return_options, kReturnAll);
  for (const char* text :
       {"a SORT", "a SORT () UTF-8 ALL", "a SORT (DATE) UTF-8", "a SORT (DATE) ALL",
        "a SORT DATE UTF-8 ALL", "a SORT (REVERSE) UTF-8 ALL",
        "a SORT (REVERSE REVERSE DATE) UTF-8 ALL", "a SORT (AGE) UTF-8 ALL"}) {
    EXPECT_NE(refusal(text), "parsed") << text;
  }
  std::string many = "a SORT (DATE";
  for (int i = 0; i < 18; ++i) many += " DATE";
  EXPECT_EQ(refusal(many + ") UTF-8 ALL"), "a BAD Too many sort criteria");
}

TEST(Parser, ReadsTheReturnOptionsOfContexts) {
  auto search = parse<Search>("a UID SEARCH RETURN (UPDATE COUNT context partial 500:400) ALL");
  EXPECT_EQ(search.return_options, kReturnUpdate | kReturnCount | kReturnContext | kReturnPartial);
  EXPECT_EQ(search.partial, (PartialRange{false, 500, 400}));
  EXPECT_EQ(parse<Search>("a SEARCH RETURN (PARTIAL -1:-100) ALL").partial,
            (PartialRange{true, 1, 100}));
  EXPECT_EQ(parse<Search>("a SEARCH RETURN (UPDATE) ALL").return_options, kReturnUpdate);
  for (const char* options : {"PARTIAL", "PARTIAL 1", "PARTIAL 0:1", "PARTIAL 1:*", "PARTIAL -1:1",
                              "PARTIAL 1:-1", "PARTIAL 1:2 PARTIAL 3:4", "ALL PARTIAL 1:2",
                              "PARTIAL 1:2 COUNT ALL", "PARTIAL 1:4294967296"}) {
    EXPECT_NE(refusal(std::string("a SEARCH RETURN (") + options + ") ALL"), "parsed") << options;
  }
  search =
      parse<Search>("a SEARCH RETURN (COUNT UPDATE (UID BODY.PEEK[HEADER.FIELDS (TO)]) MIN) ALL");
  EXPECT_EQ(search.return_options, kReturnUpdate | kReturnCount | kReturnMin);
  EXPECT_EQ(search.update_fetch, "(UID BODY.PEEK[HEADER.FIELDS (TO)])");
  EXPECT_EQ(parse<Search>("a SEARCH RETURN (UPDATE(UID)) ALL").update_fetch, "(UID)");
  EXPECT_NE(refusal("a SEARCH RETURN (UPDATE ()) ALL"), "parsed");
  EXPECT_NE(refusal("a SEARCH RETURN (COUNT (UID)) ALL"), "parsed");
  EXPECT_EQ(parse<CancelUpdate>("a CANCELUPDATE \"b\" \"c d\"").tags,
            (std::vector<std::string>{"b", "c d"}));
  for (const char* text : {"a CANCELUPDATE", "a CANCELUPDATE b", "a CANCELUPDATE {1+}\r\nb",
                           "a UID CANCELUPDATE \"b\"", "a CANCELUPDATE \"b\"x"}) {
    EXPECT_NE(refusal(text), "parsed") << text;
  }
}

TEST(Parser, ReadsThePartialModifierOfUidFetch) {
  auto fetch = parse<Fetch>("a UID FETCH 1:* (UID FLAGS) (PARTIAL -1:-30 CHANGEDSINCE 98305)");
  EXPECT_EQ(fetch.partial, (PartialRange{true, 1, 30}));
  EXPECT_EQ(fetch.changed_since, 98305U);
  EXPECT_EQ(refusal("a FETCH 1:* (FLAGS) (PARTIAL 1:2)"), "a BAD PARTIAL needs UID FETCH");
  EXPECT_NE(refusal("a UID FETCH 1:* (FLAGS) (PARTIAL 1:2 PARTIAL 1:2)"), "parsed");
}

TEST(PartialRange, TellsWhichOfAResultItMeans) {
  using Indexes = std::pair<std::uint64_t, std::uint64_t>;
  EXPECT_EQ((PartialRange{false, 1, 3}.within(10)), (Indexes{0, 3}));
  EXPECT_EQ((PartialRange{false, 3, 1}.within(10)), (Indexes{0, 3}));
  EXPECT_EQ((PartialRange{false, 9, 20}.within(10)), (Indexes{8, 10}));
  EXPECT_EQ((PartialRange{false, 11, 20}.within(10)), (Indexes{10, 10}));
  EXPECT_EQ((PartialRange{true, 1, 3}.within(10)), (Indexes{7, 10}));
  EXPECT_EQ((PartialRange{true, 9, 20}.within(10)), (Indexes{0, 2}));
  EXPECT_EQ((PartialRange{true, 11, 20}.within(10)), (Indexes{0, 0}));
  EXPECT_EQ((PartialRange{true, 1, UINT32_MAX}.within(0)), (Indexes{0, 0}));
}

TEST(Parser, BoundsDepthAndNumberOfSearchKeys) {
  std::string deep = "a SEARCH ";
  for (int i = 0; i < 60; ++i) deep += "NOT ";
  EXPECT_EQ(refusal(deep + "SEEN"), "a BAD Search too deep");
  EXPECT_EQ(refusal("a SEARCH " + std::string(60000, '(')), "a BAD Search too deep");
  std::string many = "a SEARCH";
  for (int i = 0; i < 2001; ++i) many += " ALL";
  EXPECT_EQ(refusal(many), "a BAD Too many search keys");
}

TEST(Parser, KnowsDone) {
  EXPECT_TRUE(is_done("DONE"));
  EXPECT_TRUE(is_done("done "));
  EXPECT_FALSE(is_done("a DONE"));
}

TEST(Parser, TheHeadOfACommandIsHadWithoutTheRest) {
  auto head = command_head("a1 FETCH 1 (FLAGS)");
  EXPECT_EQ(head.tag, "a1");
  EXPECT_EQ(head.name, "FETCH");
  EXPECT_EQ(head.rest, "1 (FLAGS)");
  EXPECT_EQ(command_head("a1").tag, "a1");
  EXPECT_EQ(command_head("(").tag, "");
}

}  // namespace
}  // namespace dormouse::imap
