// The stress client against a model server: an honest one is never blamed, and each lie is found.

#include "loadtest/stress/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "loadtest/stress/model_server.h"

namespace dormouse::loadtest::stress {
namespace {

using test::Lie;
using test::ModelMailbox;
using test::ModelServer;

constexpr uint32_t kClients = 3;

struct Outcome {
  Complaints complaints;
  bool lied = false;
  uint64_t answered = 0;
  uint32_t logouts = 0;
};

// All clients of one mailbox take turns, a message of each at a time, until somebody complains.
Outcome run(Lie lie, uint64_t seed, uint32_t turns, uint32_t pipeline = 2) {
  ModelMailbox mailbox;
  MailboxTruth truth(kClients);
  std::vector<std::unique_ptr<Client>> clients;
  std::vector<std::unique_ptr<ModelServer>> servers(kClients);
  for (uint32_t i = 0; i < kClients; ++i) {
    ClientSettings settings;
    settings.user = "u";
    settings.password = "p";
    settings.messages = 8;
    settings.body_bytes_max = 300;
    settings.pipeline = pipeline;
    settings.idle_ms_max = 5;
    settings.seed = seed;
    settings.number = settings.slot = i;
    EXPECT_TRUE(settings.states.set("logout=30"));
    EXPECT_TRUE(settings.states.set("search=60"));
    EXPECT_TRUE(settings.states.set("store=90,40"));
    clients.push_back(std::make_unique<Client>(settings, truth));
  }
  Outcome outcome;
  Random random(seed);
  uint64_t now_us = 1;
  for (uint32_t turn = 0; turn < turns && outcome.complaints.empty(); ++turn) {
    uint32_t i = random.below(kClients);
    Client& client = *clients[i];
    now_us += 1000;
    std::string heard;
    if (!servers[i]) {
      servers[i] = std::make_unique<ModelServer>(mailbox, lie, random.next());
      client.connected();
      heard = servers[i]->greeting();
    } else {
      std::string said;
      client.act(now_us, said);
      heard = servers[i]->take(said);
    }
    // In two pieces: a client must not care how bytes come.
    client.hear(std::string_view(heard).substr(0, heard.size() / 2), now_us);
    if (client.complaints().empty())
      client.hear(std::string_view(heard).substr(heard.size() / 2), now_us);
    outcome.answered += client.take_answered().size();
    outcome.lied = outcome.lied || servers[i]->lied();
    outcome.complaints = client.complaints();
    for (std::string& line : outcome.complaints) line += "\n" + client.dialogue();
    if (!client.finished()) continue;
    ++outcome.logouts;
    client.closed();
    servers[i].reset();
  }
  return outcome;
}

TEST(StressClient, an_honest_server_is_never_blamed) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    Outcome outcome = run(Lie::kNone, seed, 3000, 1 + uint32_t(seed % 4));
    ASSERT_THAT(outcome.complaints, testing::IsEmpty()) << "seed " << seed;
    EXPECT_GT(outcome.answered, 500u);
    EXPECT_GT(outcome.logouts, 5u);
  }
}

TEST(StressClient, the_same_seed_makes_the_same_choices) {
  EXPECT_EQ(run(Lie::kNone, 5, 2000).answered, run(Lie::kNone, 5, 2000).answered);
  Outcome one = run(Lie::kStoreLost, 9, 3000);
  Outcome two = run(Lie::kStoreLost, 9, 3000);
  EXPECT_EQ(one.complaints, two.complaints);
}

struct LieCase {
  Lie lie;
  const char* name;
  const char* complaint;  // a part of what must be said of it
};

class StressLie : public testing::TestWithParam<LieCase> {};

// Of each lie at least half of the runs in which it was told find it; and one of them at least
// says just what is wrong (a lie has consequences, which may be met before it).
TEST_P(StressLie, is_found) {
  uint32_t told = 0;
  uint32_t found = 0;
  bool named = false;
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    Outcome outcome = run(GetParam().lie, seed, 3000);
    told += outcome.lied ? 1 : 0;
    found += outcome.complaints.empty() ? 0 : 1;
    for (const std::string& line : outcome.complaints) {
      named = named || line.find(GetParam().complaint) < line.find('\n');
    }
  }
  EXPECT_GT(told, 0u);
  EXPECT_GE(2 * found, told);
  EXPECT_TRUE(named) << GetParam().complaint;
}

INSTANTIATE_TEST_SUITE_P(
    each, StressLie,
    testing::Values(
        LieCase{Lie::kUidsDescend, "uids_descend", "UID"},
        LieCase{Lie::kUidChanges, "uid_changes", "UID"},
        LieCase{Lie::kUidValidityChanges, "uid_validity_changes", "UIDVALIDITY was"},
        LieCase{Lie::kUidNextFalls, "uid_next_falls", "UIDNEXT"},
        LieCase{Lie::kUidNextTooHigh, "uid_next_too_high", "UIDNEXT"},
        LieCase{Lie::kStatusUidNextFalls, "status_uid_next_falls", "STATUS: UIDNEXT"},
        LieCase{Lie::kStatusTooFew, "status_too_few", "STATUS: 0 messages"},
        LieCase{Lie::kExistsShrinks, "exists_shrinks", "EXISTS may not shrink"},
        LieCase{Lie::kRecentTooMany, "recent_too_many", "RECENT"},
        LieCase{Lie::kExpungeInFetch, "expunge_in_fetch", "is allowed"},
        LieCase{Lie::kExpungeOutOfRange, "expunge_out_of_range", "EXPUNGE, but the mailbox has"},
        LieCase{Lie::kExpungesLiving, "expunges_living", "but nobody deleted it"},
        LieCase{Lie::kLosesMessage, "loses_message", "that nobody deleted"},
        LieCase{Lie::kMessageBack, "message_back", "is back"},
        LieCase{Lie::kExpungeForgets, "expunge_forgets", "EXPUNGE was OK"},
        LieCase{Lie::kExpungeNotTold, "expunge_not_told", "still here"},
        LieCase{Lie::kExistsNotTold, "exists_not_told", "are missing"},
        LieCase{Lie::kStoreLost, "store_lost", "this client knew version"},
        LieCase{Lie::kStoreNotTold, "store_not_told", "this client knew version"},
        LieCase{Lie::kForeignFlag, "foreign_flag", "this client knew version"},
        LieCase{Lie::kForeignDeleted, "foreign_deleted", "which nobody set"},
        LieCase{Lie::kKeywordUnannounced, "keyword_unannounced", "never announced"},
        LieCase{Lie::kModSeqFalls, "mod_seq_falls", "MODSEQ"},
        LieCase{Lie::kModSeqStays, "mod_seq_stays", "its MODSEQ is still"},
        LieCase{Lie::kModSeqMissing, "mod_seq_missing", "without MODSEQ"},
        LieCase{Lie::kHighestModSeqFalls, "highest_mod_seq_falls", "HIGHESTMODSEQ"},
        LieCase{Lie::kChangedSinceIgnored, "changed_since_ignored", "CHANGEDSINCE"},
        LieCase{Lie::kVanishedForgotten, "vanished_forgotten", "QRESYNC"},
        LieCase{Lie::kVanishedLiving, "vanished_living", "VANISHED (EARLIER) names UID"},
        LieCase{Lie::kResyncForgetsFlags, "resync_forgets_flags", "this client knew version"},
        LieCase{Lie::kExpungeAfterQresync, "expunge_after_qresync", "must be VANISHED"},
        LieCase{Lie::kVanishedUnknown, "vanished_unknown", "which is not in the mailbox"},
        LieCase{Lie::kTextWrong, "text_wrong", "is not the text that was appended"},
        LieCase{Lie::kTextCut, "text_cut", "is not the text that was appended"},
        LieCase{Lie::kTextOfAnother, "text_of_another", "is not the text that was appended"},
        LieCase{Lie::kSizeWrong, "size_wrong", "RFC822.SIZE"},
        LieCase{Lie::kDateChanges, "date_changes", "INTERNALDATE"},
        LieCase{Lie::kFetchLeavesOut, "fetch_leaves_out", "left out"},
        LieCase{Lie::kSearchLeavesOut, "search_leaves_out", "SEARCH ALL leaves out"},
        LieCase{Lie::kSearchWrongFlag, "search_wrong_flag", "this client knew version"},
        LieCase{Lie::kAppendFlagsLost, "append_flags_lost", ""},
        LieCase{Lie::kAppendUidReused, "append_uid_reused", "APPENDUID"},
        LieCase{Lie::kAppendUidMissing, "append_uid_missing", "APPEND without APPENDUID"},
        LieCase{Lie::kAppendsSwapped, "appends_swapped", "is not the text that was appended"},
        LieCase{Lie::kAppendsOnlyOne, "appends_only_one", "messages, "},
        LieCase{Lie::kTagsOutOfOrder, "tags_out_of_order", "tagged replies in order"},
        LieCase{Lie::kUnknownTag, "unknown_tag", "tagged replies in order"},
        LieCase{Lie::kRefuses, "refuses", "was refused"},
        LieCase{Lie::kListLeavesOut, "list_leaves_out", "LIST leaves out"},
        LieCase{Lie::kNoBye, "no_bye", "LOGOUT without BYE"},
        LieCase{Lie::kDataUnselected, "data_unselected", "no mailbox is selected"},
        LieCase{Lie::kContinuationUnasked, "continuation_unasked", "nobody waits for"},
        LieCase{Lie::kIdleEnds, "idle_ends", "IDLE ended before DONE"},
        LieCase{Lie::kUnreadable, "unreadable", "cannot be read"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(StateTable, takes_settings_and_refuses_what_makes_no_sense) {
  StateTable states;
  EXPECT_TRUE(states.set("fetch2=70,20"));
  EXPECT_EQ(states[State::kFetch2].chance, 70u);
  EXPECT_EQ(states[State::kFetch2].again, 20u);
  EXPECT_TRUE(states.set("store=0"));
  for (const char* bad : {"", "store", "store=", "store=101", "store=5,100", "sing=5", "=5"}) {
    EXPECT_FALSE(states.set(bad)) << bad;
  }
}

TEST(Value, reads_what_a_fetch_says) {
  std::vector<std::string> literals = {"a)\r\n"};
  auto values = parse_values(
      "(UID 7 FLAGS (\\Seen x) BODY[HEADER.FIELDS (TO CC)]<0> {4} ENVELOPE (\"a \\\" b\" NIL))",
      literals);
  ASSERT_TRUE(values);
  const std::vector<Value>& items = values->at(0).list;
  ASSERT_EQ(items.size(), 8u);
  EXPECT_EQ(items[1].number(), 7u);
  EXPECT_EQ(items[4].text, "BODY[HEADER.FIELDS (TO CC)]<0>");
  EXPECT_EQ(items[5].text, "a)\r\n");
  EXPECT_EQ(items[7].list[0].text, "a \" b");
  for (const char* bad : {"(", ")", "(a", "\"a", "{4}x {5}", "\"a\\"}) {
    EXPECT_FALSE(parse_values(bad, {})) << bad;
  }
  EXPECT_FALSE(parse_values(std::string(1000, '('), {}));
}

TEST(Value, sets_of_numbers_there_and_back) {
  std::vector<uint32_t> numbers = {1, 2, 3, 7, 9, 10};
  EXPECT_EQ(write_set(numbers), "1:3,7,9:10");
  EXPECT_EQ(*parse_set("1:3,7,10:9", 10), numbers);
  for (const char* bad : {"0", "1:*", "x", "1,,2", "4294967296", "1:20"}) {
    EXPECT_FALSE(parse_set(bad, 10)) << bad;
  }
}

TEST(Mail, says_who_it_is_and_ends_where_it_must) {
  for (uint32_t bytes : {0u, 1u, 2u, 3u, 75u, 76u, 77u, 78u, 79u, 80u, 81u, 82u, 83u, 5000u}) {
    MailIdentity identity{.seed = 3, .serial = 1ull << 40, .body_bytes = bytes};
    std::string text = mail_text(identity);
    EXPECT_EQ(mail_body(identity).size(), bytes);
    EXPECT_EQ(identify_mail(text), identity);
    EXPECT_EQ(identify_mail(mail_header(identity)), identity);
    if (bytes >= 2) EXPECT_TRUE(text.ends_with("\r\n"));
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\n') EXPECT_EQ(text[i - 1], '\r');
      if (text[i] == '\r') EXPECT_EQ(text[i + 1], '\n');
    }
  }
  EXPECT_FALSE(identify_mail("Subject: x\r\n\r\nX-Dormouse-Load: 1 2 3\r\n"));
}

}  // namespace
}  // namespace dormouse::loadtest::stress
