#include "imap/session_state.h"

#include <gtest/gtest.h>

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
  EXPECT_LT(encode_state(state)->size(), 100u);
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
  change([](auto& raw) { raw.mutable_mailbox()->set_name(""); }, "name");
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

TEST(SessionState, the_keyword_digest_tells_names_and_order) {
  std::vector<std::string> ab = {"a", "b"};
  std::vector<std::string> ba = {"b", "a"};
  std::vector<std::string> joined = {"ab"};
  EXPECT_NE(keyword_digest(ab), keyword_digest(ba));
  EXPECT_NE(keyword_digest(ab), keyword_digest(joined));
}

}  // namespace
}  // namespace dormouse::imap
