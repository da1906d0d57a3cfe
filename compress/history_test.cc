#include "compress/history.h"

#include <gtest/gtest.h>

#include "compress/dictionary.h"
#include "compress/test_support.h"

namespace dormouse::compress {
namespace {

std::string joined(const std::vector<std::string>& pieces) {
  std::string all;
  for (const std::string& piece : pieces) all += piece;
  return all;
}

TEST(History, AnyHistoryComesBack) {
  std::mt19937_64 random(2);
  for (size_t bytes : {0ul, 1ul, 2ul, 100ul, 5000ul, 20000ul, kWindowBytes}) {
    std::string text = test::random_text(random, bytes);
    auto packed = pack_history(text);
    ASSERT_TRUE(packed);
    auto again = unpack_history(*packed);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(*again, text);
  }
}

TEST(History, WhatCannotShrinkKeepsItsBound) {
  std::mt19937_64 random(3);
  for (int kind = 0; kind < 3; ++kind) {
    std::string text(kWindowBytes, '\0');
    for (char& c : text)
      c = char(kind == 0 ? random() : kind == 1 ? random() % 4 : '0' + random() % 10);
    auto packed = pack_history(text);
    ASSERT_TRUE(packed);
    EXPECT_LE(packed->size(), kPackedBytesMax);
    EXPECT_EQ(*unpack_history(*packed), text);
  }
}

// The goal of a sleeper with TLS and COMPRESS, 1 KiB, leaves 400 bytes to this.
TEST(History, AClientThatFetchedFiftyHeadersIsSmall) {
  auto packed = pack_history(joined(test::phone_session(50)));
  ASSERT_TRUE(packed);
  EXPECT_LE(packed->size(), 400u);
}

TEST(History, AClientThatPolledForADayIsSmall) {
  std::string text;
  for (int i = 0; i < 1440; ++i) text += fmt::format("A{:04} NOOP\r\n", i);
  auto packed = pack_history(text);
  ASSERT_TRUE(packed);
  EXPECT_LE(packed->size(), 400u);
}

TEST(History, MalformedIsRefused) {
  auto packed = pack_history("1 SELECT INBOX\r\n2 IDLE\r\n");
  ASSERT_TRUE(packed);
  for (size_t cut = 1; cut < packed->size(); ++cut) {
    EXPECT_FALSE(unpack_history(std::span(*packed).first(cut))) << cut;
  }
  Bytes longer = *packed;
  longer.push_back(std::byte(0));
  EXPECT_FALSE(unpack_history(longer)) << "bytes behind the end";
  Bytes other = *packed;
  other[1] = std::byte(kDictionaryNow + 1);
  auto refused = unpack_history(other);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kUnsupported);
  other = *packed;
  other[0] = std::byte(9);
  EXPECT_FALSE(unpack_history(other));
}

TEST(History, AHistoryAboveAWindowIsRefused) {
  test::Reference bomb(9);
  Bytes packed = {std::byte(0), std::byte(kDictionaryNow)};
  Bytes stream = bomb.put(std::string(kWindowBytes + 1, 'x'), Z_FINISH);
  packed.insert(packed.end(), stream.begin(), stream.end());
  EXPECT_FALSE(unpack_history(packed));
}

// Records of sleepers outlive a release: a text that changed would garble their histories.
TEST(History, TheFirstDictionaryIsAsItWasReleased) {
  auto text = dictionary(1);
  EXPECT_EQ(text.size(), 2410u);
  EXPECT_EQ(crc32(0, octets(text), uInt(text.size())), 0xa564bf66u);
  EXPECT_TRUE(dictionary(0).empty());
  EXPECT_TRUE(dictionary(kDictionaryNow + 1).empty());
}

}  // namespace
}  // namespace dormouse::compress
