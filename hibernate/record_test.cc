#include "hibernate/record.h"

#include <gtest/gtest.h>

#include "hibernate/slab.h"
#include "tls/session_keys.h"

namespace dormouse::hibernate {
namespace {

RecordParts full_parts() {
  RecordParts parts;
  parts.session = 77;
  parts.cookie.fill(std::byte{9});
  parts.parked_at_s = 5;
  parts.looked_at_s = 4;
  parts.exists = 1234;
  parts.pending = 3;
  parts.announces = true;
  parts.mode = wire::WorkerToDen::Parked::IDLE;
  parts.selected = true;
  tls::SessionKeys keys;
  parts.tls = keys.freeze();
  parts.user = "someone@example.org";
  parts.address = Address::parse("2001:db8::1", 993);
  parts.idle_tag = "A7";
  parts.state = std::string("\0state\xff", 7);
  parts.directories = {"new-handle", "cur-handle"};
  parts.input = "DON";
  parts.compress = {std::byte{0x40}, std::byte{1}};
  return parts;
}

TEST(Record, every_part_survives) {
  RecordParts parts = full_parts();
  std::vector<std::byte> block(encoded_bytes(parts));
  encode(parts, block);
  auto view = RecordView::attach(block);
  ASSERT_TRUE(view) << view.error().message;
  RecordParts back = view->parts();
  EXPECT_EQ(back.session, parts.session);
  EXPECT_EQ(back.cookie, parts.cookie);
  EXPECT_EQ(back.looked_at_s, 4u);
  EXPECT_EQ(back.exists, 1234u);
  EXPECT_EQ(back.pending, 3u);
  EXPECT_EQ(back.announces, true);
  EXPECT_EQ(back.mode, parts.mode);
  EXPECT_EQ(back.selected, true);
  EXPECT_EQ(back.changed, false);
  EXPECT_EQ(back.tls, parts.tls);
  EXPECT_EQ(back.user, parts.user);
  EXPECT_EQ(back.address.text(), "2001:db8::1");
  EXPECT_EQ(back.address.port, 993);
  EXPECT_EQ(back.idle_tag, parts.idle_tag);
  EXPECT_EQ(back.state, parts.state);
  EXPECT_EQ(back.directories, parts.directories);
  EXPECT_EQ(back.input, parts.input);
  EXPECT_EQ(back.compress, parts.compress);
}

TEST(Record, what_changes_in_place_leaves_the_checksum_right) {
  RecordParts parts = full_parts();
  std::vector<std::byte> block(encoded_bytes(parts));
  encode(parts, block);
  RecordView view = RecordView::trusted(block);
  view.set_flag(kFlagChanged, true);
  view.set_mode(wire::WorkerToDen::Parked::SELECTED);
  view.set_parked_at_s(1234);
  view.set_exists(1235);
  view.set_pending(kPendingMax);
  view.set_sending_bytes(77);
  auto keys = tls::FrozenKeys::attach(view.tls());
  ASSERT_TRUE(keys);
  ASSERT_TRUE(keys->advance_send(3));
  EXPECT_TRUE(RecordView::attach(block));
}

TEST(Record, any_flipped_bit_elsewhere_is_noticed) {
  RecordParts parts = full_parts();
  std::vector<std::byte> good(encoded_bytes(parts));
  encode(parts, good);
  size_t noticed = 0;
  size_t tried = 0;
  size_t counters = 60 + tls::kSendCountOffset;  // the fixed part and what says of the streams
  for (size_t at = 0; at < good.size(); ++at) {
    if (at >= 28 && at < 32) continue;                   // parked_at_s
    if (at >= 36 && at < 43) continue;                   // exists, mode, flags, pending
    if (at == 54 || at == 55) continue;                  // sending_bytes
    if (at >= counters && at < counters + 16) continue;  // TLS counters
    std::vector<std::byte> bad = good;
    bad[at] ^= std::byte{0x10};
    ++tried;
    if (!RecordView::attach(bad)) ++noticed;
  }
  EXPECT_EQ(noticed, tried);
}

TEST(Record, what_most_sleepers_do_not_have_takes_no_bytes) {
  RecordParts parts = full_parts();
  parts.input.clear();
  parts.compress.clear();
  size_t without = encoded_bytes(parts);
  parts.input = "x";
  EXPECT_EQ(encoded_bytes(parts), without + 4 + 1);
  parts.input.clear();
  // Handles of two directories of one file system: the second costs what differs, and two bytes.
  const std::string prefix = "fsid----type";
  parts.directories = {prefix + "inode--1"};
  without = encoded_bytes(parts);
  parts.directories.push_back(prefix + "other--2");
  EXPECT_EQ(encoded_bytes(parts), without + 2 + 8);
}

TEST(Record, directories_come_back_however_much_they_share) {
  const std::vector<std::vector<std::string>> all = {
      {},
      {""},
      {"", ""},
      {"same", "same", "same"},
      {"long one", "long"},
      {"", "x", ""},
      {std::string(kDirectoryBytesMax, 'x'), std::string(kDirectoryBytesMax, 'x')}};
  for (const auto& directories : all) {
    RecordParts parts = full_parts();
    parts.directories = directories;
    std::vector<std::byte> block(encoded_bytes(parts));
    encode(parts, block);
    auto view = RecordView::attach(block);
    ASSERT_TRUE(view) << view.error().message;
    EXPECT_EQ(view->directories(), directories);
  }
}

TEST(Record, parts_over_their_bound_are_refused) {
  RecordParts parts = full_parts();
  parts.idle_tag = std::string(kTagBytesMax + 1, 'x');
  EXPECT_EQ(encoded_bytes(parts), 0u);
  parts = full_parts();
  parts.state = std::string(Slab::kRecordBytesMax, 'x');
  EXPECT_EQ(encoded_bytes(parts), 0u);
  parts = full_parts();
  parts.directories = {std::string(kDirectoryBytesMax + 1, 'x')};
  EXPECT_EQ(encoded_bytes(parts), 0u);
}

}  // namespace
}  // namespace dormouse::hibernate
