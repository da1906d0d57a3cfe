#include "imap/session_state.h"

#include <gtest/gtest.h>

#include "tuning/session_rhythm.h"
#include "wire/session_state.pb.h"

namespace dormouse::imap {
namespace {

SessionState sample() {
  SessionState state;
  state.condstore = true;
  state.qresync = true;
  state.idle = true;
  state.idle_tag = "A0042";
  state.client_id = 0x1234567890abcdef;
  state.rhythm = std::string(3 + tuning::GapHistory::kGapsMax, '\1');
  MailboxState& box = state.mailbox.emplace();
  box.guid = store::Guid::random();
  box.name = "Archiv/Müll";
  box.uid_validity = 1234567890;
  box.read_only = true;
  box.mod_seq = 917162500;
  box.uid_next = 5000;
  box.exists = 4000;
  box.recent.add(UidRange{4000, 4999});
  box.recent_count = 900;
  box.saved_search = UidSet{1, 5, 9, 4999};
  box.unreported = UidSet{17, 19};
  box.keyword_count = 3;
  box.keyword_digest = 77;
  Context& search = box.contexts.emplace_back();
  search.tag = "B01";
  search.program = "UID SEARCH NOT SEEN";
  search.now_s = 1'700'000'000;
  search.fetch = "(UID FLAGS)";
  search.found = UidSet{3, 4, 5, 4999};
  Context& sort = box.contexts.emplace_back();
  sort.tag = "B02";
  sort.program = "SORT (REVERSE DATE) US-ASCII ALL";
  sort.order = {4000, 3, 4, 5, 2, 1, 4998, 4999};
  for (uint32_t uid : {1, 2, 3, 4, 5, 4000, 4998, 4999}) sort.found.add(uid);
  return state;
}

wire::SessionState encoded(const SessionState& state) {
  wire::SessionState raw;
  EXPECT_TRUE(raw.ParseFromString(*encode_state(state)));
  return raw;
}

void expect_refused(const wire::SessionState& raw, std::string_view why) {
  auto decoded = decode_state(raw.SerializeAsString());
  ASSERT_FALSE(decoded) << why;
  EXPECT_EQ(decoded.error().kind, ErrorKind::kInvalid) << why;
}

TEST(SessionState, comes_back_as_it_was) {
  auto bytes = encode_state(sample());
  ASSERT_TRUE(bytes);
  auto back = decode_state(*bytes);
  ASSERT_TRUE(back) << back.error().message;
  SessionState expected = sample();
  expected.mailbox->guid = back->mailbox->guid;
  EXPECT_EQ(*back, expected);
}

TEST(SessionState, an_idle_session_takes_less_than_100_bytes) {
  SessionState state = sample();
  state.mailbox->name = "INBOX";
  state.mailbox->saved_search.clear();
  state.mailbox->unreported.clear();
  state.mailbox->contexts.clear();
  EXPECT_LT(encode_state(state)->size(), 100u);
}

NotifyState sample_notify() {
  NotifyState notify;
  notify.groups.push_back({NotifyFilter::kSelectedDelayed,
                           {},
                           kNotifyMessageNew | kNotifyMessageExpunge,
                           "(UID FLAGS)"});
  notify.groups.push_back({NotifyFilter::kSubtree, {"Lists"}, kNotifySupported, ""});
  notify.known = {{7, 12, "Lists", true}, {9, 3, "Lists/c++", false}, {0, 0, "Lists/gone", true}};
  notify.watched_digest = 77;
  return notify;
}

TEST(SessionState, notify_comes_back_as_it_was) {
  SessionState state;
  state.notify = sample_notify();
  auto back = decode_state(*encode_state(state));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->notify, state.notify);
  state.notify.emplace();
  back = decode_state(*encode_state(state));
  ASSERT_TRUE(back && back->notify) << "NOTIFY NONE is not the same as none";
}

TEST(SessionState, notify_takes_some_7_bytes_a_mailbox_and_the_new_part_of_its_name) {
  SessionState state;
  state.notify.emplace();
  size_t empty = encode_state(state)->size();
  for (uint32_t i = 0; i < 50; ++i) state.notify->known.push_back({i + 1, 1000 + i, "", false});
  size_t nameless = encode_state(state)->size();
  EXPECT_LE(nameless - empty, 50 * 6u + 16);
  for (uint32_t i = 0; i < 50; ++i) {
    state.notify->known[i].name = "Archive/2026/Lists/" + std::to_string(10 + i);
  }
  EXPECT_LE(encode_state(state)->size() - nameless, 50 * 5u + 32);
}

TEST(SessionState, two_mailboxes_that_look_alike_are_not_made) {
  SessionState state;
  state.notify = sample_notify();
  state.notify->known[1].mark = 7;
  auto bytes = encode_state(state);
  ASSERT_FALSE(bytes);
  EXPECT_EQ(bytes.error().kind, ErrorKind::kLimit);
}

TEST(SessionState, notify_that_no_worker_wrote_is_refused) {
  auto change = [](auto edit, std::string_view why) {
    SessionState state;
    state.notify = sample_notify();
    wire::SessionState raw = encoded(state);
    edit(*raw.mutable_notify());
    expect_refused(raw, why);
  };
  change([](auto& raw) { raw.mutable_groups(0)->set_filter(7); }, "filter");
  change([](auto& raw) { raw.mutable_groups(0)->set_events(kNotifyUnknown); }, "events");
  change([](auto& raw) { raw.mutable_groups(0)->add_mailboxes("x"); }, "mailboxes of SELECTED");
  change([](auto& raw) { raw.mutable_groups(1)->clear_mailboxes(); }, "no mailboxes");
  change([](auto& raw) { raw.mutable_groups(1)->set_mailboxes(0, std::string(1001, 'x')); },
         "name");
  change([](auto& raw) { raw.mutable_groups(0)->set_fetch("(UID"); }, "items");
  change([](auto& raw) { raw.mutable_groups(1)->set_fetch("(UID)"); }, "items of others");
  change([](auto& raw) { raw.add_marks(1); }, "a mark without a mod-sequence");
  change([](auto& raw) { raw.set_mod_seqs(0, uint64_t(1) << 63); }, "mod-sequence");
  change([](auto& raw) { raw.add_name_heads(0); }, "a head without a tail");
  change([](auto& raw) { raw.set_name_heads(0, 2); }, "shared with nothing");
  change([](auto& raw) { raw.set_name_tails(0, "\xff"); }, "not UTF-8");
  change(
      [](auto& raw) {
        while (raw.groups_size() <= 16) *raw.add_groups() = raw.groups(0);
      },
      "too many groups");
}

TEST(SessionState, one_that_is_too_long_is_not_made) {
  SessionState state = sample();
  for (uint32_t uid = 1; uid < 5000; uid += 2) state.mailbox->unreported.add(uid);
  auto bytes = encode_state(state);
  ASSERT_FALSE(bytes);
  EXPECT_EQ(bytes.error().kind, ErrorKind::kLimit);
}

TEST(SessionState, what_no_worker_wrote_is_refused) {
  EXPECT_FALSE(decode_state(""));
  EXPECT_FALSE(decode_state("garbage"));
  EXPECT_FALSE(decode_state(std::string(kSessionStateBytesMax + 1, 'x')));
  auto change = [](auto edit, std::string_view why) {
    wire::SessionState raw = encoded(sample());
    edit(raw);
    expect_refused(raw, why);
  };
  change([](auto& raw) { raw.set_version(2); }, "version");
  change([](auto& raw) { raw.set_extensions(4); }, "extensions");
  change([](auto& raw) { raw.set_idle_tag("a\r\n* BYE"); }, "tag with a line end");
  change([](auto& raw) { raw.set_idle_tag(""); }, "IDLE without a tag");
  change([](auto& raw) { raw.set_idle(false); }, "a tag without IDLE");
  change([](auto& raw) { raw.mutable_mailbox()->set_guid("short"); }, "GUID");
  change([](auto& raw) { raw.mutable_mailbox()->set_name("\xff"); }, "name");
  change([](auto& raw) { raw.mutable_mailbox()->set_uid_validity(0); }, "UIDVALIDITY");
  change([](auto& raw) { raw.mutable_mailbox()->set_mod_seq(UINT64_MAX); }, "mod-sequence");
  change([](auto& raw) { raw.mutable_mailbox()->set_exists(5000); }, "EXISTS beyond UIDNEXT");
  change([](auto& raw) { raw.mutable_mailbox()->set_recent_count(1001); }, "RECENT");
  change([](auto& raw) { raw.mutable_mailbox()->set_keyword_count(65); }, "keywords");
  change([](auto& raw) { raw.mutable_mailbox()->add_unreported(1); }, "half a range");
  change(
      [](auto& raw) {
        raw.mutable_mailbox()->add_unreported(1);
        raw.mutable_mailbox()->add_unreported(0);
      },
      "touching ranges");
  change(
      [](auto& raw) {
        raw.mutable_mailbox()->add_recent(UINT32_MAX);
        raw.mutable_mailbox()->add_recent(UINT32_MAX);
      },
      "UIDs that overflow");
}

TEST(SessionState, contexts_that_no_worker_wrote_are_refused) {
  auto change = [](auto edit, std::string_view why) {
    wire::SessionState raw = encoded(sample());
    edit(raw.mutable_mailbox());
    expect_refused(raw, why);
  };
  change([](auto* box) { box->mutable_contexts(0)->set_tag("a b"); }, "tag");
  change([](auto* box) { box->mutable_contexts(0)->set_tag("B02"); }, "two of one tag");
  change([](auto* box) { box->mutable_contexts(0)->set_program("NOOP"); }, "program");
  change([](auto* box) { box->mutable_contexts(0)->set_program("SEARCH 1:2"); }, "not frozen");
  change([](auto* box) { box->mutable_contexts(0)->set_now_s(-1); }, "time");
  change([](auto* box) { box->mutable_contexts(0)->set_fetch("UID"); }, "FETCH items");
  change([](auto* box) { box->mutable_contexts(0)->add_found(7); }, "half a range");
  change([](auto* box) { box->mutable_contexts(0)->add_order(4); }, "an order of a SEARCH");
  change([](auto* box) { box->mutable_contexts(1)->add_found(4); }, "a set of a SORT");
  for (std::vector<uint64_t> order : {std::vector<uint64_t>{0},
                                      {4, 0},
                                      {5},
                                      {6},
                                      {5, 4998},
                                      {5, UINT64_MAX},
                                      {UINT64_MAX},
                                      {4 * 5000},
                                      {8, 5, 0, 6}}) {
    change(
        [&](auto* box) {
          box->mutable_contexts(1)->clear_order();
          for (uint64_t token : order) box->mutable_contexts(1)->add_order(token);
        },
        "no order of different UIDs");
  }
  change(
      [](auto* box) {
        for (size_t i = 0; i < kContextsMax; ++i) {
          *box->add_contexts() = box->contexts(0);
          box->mutable_contexts(box->contexts_size() - 1)->set_tag("C" + std::to_string(i));
        }
      },
      "too many");
}

TEST(SessionState, an_order_takes_two_bytes_a_message_at_the_most_and_as_many_a_run) {
  SessionState state = sample();
  state.mailbox->contexts.resize(1);
  Context& sort = state.mailbox->contexts[0];
  sort.program = "SORT (SUBJECT) US-ASCII ALL";
  sort.found.clear();
  size_t empty = encode_state(state)->size();
  for (uint32_t i = 0; i < 1500; ++i) sort.order.push_back(1 + i * 701 % 1500);
  EXPECT_LE(encode_state(state)->size(), empty + 2 * 1500 + 4);
  sort.order.clear();
  for (uint32_t uid = 2000; uid <= 4900; ++uid) sort.order.push_back(uid);
  for (uint32_t uid = 1; uid < 2000; ++uid) sort.order.push_back(uid);
  EXPECT_LE(encode_state(state)->size(), empty + 13) << "two runs";
  sort.order.clear();
  for (uint32_t i = 0; i < 4000; ++i) sort.order.push_back(1 + i * 701 % 4001);
  auto bytes = encode_state(state);
  ASSERT_FALSE(bytes);
  EXPECT_EQ(bytes.error().kind, ErrorKind::kLimit);
}

TEST(SessionState, the_keyword_digest_tells_names_and_order) {
  std::vector<std::string> ab = {"a", "b"};
  std::vector<std::string> ba = {"b", "a"};
  std::vector<std::string> joined = {"ab"};
  EXPECT_NE(keyword_digest(ab), keyword_digest(ba));
  EXPECT_NE(keyword_digest(ab), keyword_digest(joined));
}

}  // namespace
}  // namespace dormouse::imap
