#include "compress/deflate_stream.h"

#include <gtest/gtest.h>

#include "compress/inflate_stream.h"
#include "compress/test_support.h"

namespace dormouse::compress {
namespace {

std::string read_all(InflateStream& peer, const Bytes& wire) {
  std::string plain;
  auto taken = peer.take(wire, plain, 1 << 22);
  EXPECT_EQ(taken.event, InflateStream::Event::kNeedInput);
  EXPECT_EQ(taken.consumed_bytes, wire.size());
  return plain;
}

TEST(DeflateStream, EveryPutCanBeReadAtOnce) {
  std::mt19937_64 random(4);
  DeflateStream stream;
  InflateStream peer = *InflateStream::create();
  for (int i = 0; i < 200; ++i) {
    std::string text = test::random_text(random, random() % 5000);
    Bytes wire;
    ASSERT_TRUE(stream.put(text, wire));
    EXPECT_EQ(read_all(peer, wire), text);
    if (random() % 4 == 0) stream.release();
  }
}

TEST(DeflateStream, WhatCannotShrinkIsReadToo) {
  std::mt19937_64 random(5);
  std::string text(300'000, '\0');
  for (char& c : text) c = char(random());
  DeflateStream stream;
  InflateStream peer = *InflateStream::create();
  Bytes wire;
  ASSERT_TRUE(stream.put(text, wire));
  EXPECT_EQ(read_all(peer, wire) == text, true);
}

TEST(DeflateStream, AShortAnswerAfterAReleaseNeedsNoState) {
  DeflateStream stream;
  Bytes wire;
  ASSERT_TRUE(stream.put("* OK Still here\r\n", wire));
  EXPECT_FALSE(stream.holds_state());
  EXPECT_EQ(wire.size(), 17 + kStoredOverheadBytes);
  ASSERT_TRUE(stream.put(std::string(kStoredBytesMax + 1, 'x'), wire));
  EXPECT_TRUE(stream.holds_state());
  stream.release();
  EXPECT_FALSE(stream.holds_state());
}

TEST(DeflateStream, NothingInNothingOut) {
  DeflateStream stream;
  Bytes wire;
  ASSERT_TRUE(stream.put("", wire));
  EXPECT_TRUE(wire.empty());
}

}  // namespace
}  // namespace dormouse::compress
