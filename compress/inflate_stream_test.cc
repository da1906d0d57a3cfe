#include "compress/inflate_stream.h"

#include <gtest/gtest.h>

#include "compress/test_support.h"

namespace dormouse::compress {
namespace {

using Event = InflateStream::Event;
using test::Reference;

// Reads `wire` byte by byte and freezes wherever that is possible; gives the count of freezes.
size_t read_with_sleeps(const Bytes& wire, std::string& plain, bool every_byte,
                        std::mt19937_64& random) {
  InflateStream stream = *InflateStream::create();
  size_t freezes = 0;
  for (size_t at = 0; at < wire.size();) {
    size_t size = every_byte ? 1 : std::min<size_t>(1 + random() % 300, wire.size() - at);
    auto taken = stream.take(std::span(wire).subspan(at, size), plain, kWindowBytes * 64);
    EXPECT_EQ(taken.event, Event::kNeedInput);
    EXPECT_EQ(taken.consumed_bytes, size);
    at += size;
    if (stream.hindrance() != nullptr) continue;
    Result<Bytes> frozen = stream.freeze();
    EXPECT_TRUE(frozen);
    EXPECT_LE(frozen->size(), kFrozenBytesMax);
    auto thawed = InflateStream::thaw(*frozen);
    EXPECT_TRUE(thawed) << thawed.error().message;
    if (!thawed) return 0;
    stream = std::move(*thawed);
    EXPECT_EQ(*stream.freeze(), *frozen) << "one form for one meaning";
    ++freezes;
  }
  return freezes;
}

TEST(InflateStream, SleepsAtEveryByteOfASessionAndLosesNone) {
  for (int flush : {Z_SYNC_FLUSH, Z_PARTIAL_FLUSH, Z_FULL_FLUSH, Z_BLOCK}) {
    for (int level : {0, 1, 6, 9}) {
      Reference client(level);
      std::string said;
      Bytes wire;
      for (const std::string& piece : test::phone_session(6)) {
        Bytes bytes = client.put(piece, flush);
        wire.insert(wire.end(), bytes.begin(), bytes.end());
        said += piece;
      }
      Bytes end = client.put("", Z_SYNC_FLUSH);
      wire.insert(wire.end(), end.begin(), end.end());
      std::mt19937_64 random;
      std::string plain;
      size_t freezes = read_with_sleeps(wire, plain, true, random);
      EXPECT_EQ(plain, said) << "flush " << flush << " level " << level;
      EXPECT_GT(freezes, 9u) << "flush " << flush << " level " << level;
    }
  }
}

TEST(InflateStream, SleepsAtRandomPointsOfLongRandomStreams) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 12; ++round) {
    Reference client(int(random() % 10), 9 + int(random() % 7));
    std::string said;
    Bytes wire;
    while (said.size() < kWindowBytes * 2) {
      std::string piece = test::random_text(random, 1 + random() % 2000);
      Bytes bytes = client.put(piece, random() % 2 == 0 ? Z_SYNC_FLUSH : Z_PARTIAL_FLUSH);
      wire.insert(wire.end(), bytes.begin(), bytes.end());
      said += piece;
    }
    Bytes end = client.put("", Z_SYNC_FLUSH);
    wire.insert(wire.end(), end.begin(), end.end());
    std::string plain;
    size_t freezes = read_with_sleeps(wire, plain, false, random);
    EXPECT_EQ(plain == said, true) << "round " << round;
    EXPECT_GT(freezes, 5u);
  }
}

TEST(InflateStream, AFlushedCommandCanAlwaysSleep) {
  for (int flush : {Z_SYNC_FLUSH, Z_PARTIAL_FLUSH, Z_FULL_FLUSH}) {
    Reference client;
    InflateStream stream = *InflateStream::create();
    for (int i = 0; i < 4000; ++i) {  // far beyond a window
      std::string plain;
      std::string said = fmt::format("{} UID FETCH {} (FLAGS)\r\n", i, i * 7919 % 10007);
      ASSERT_EQ(stream.take(client.put(said, flush), plain, 1 << 16).event, Event::kNeedInput);
      ASSERT_EQ(plain, said);
      ASSERT_EQ(stream.hindrance(), nullptr);
    }
  }
}

TEST(InflateStream, ABombComesOutInBoundedPieces) {
  Reference bomber(9);
  Bytes wire;
  for (int i = 0; i < 16; ++i) {
    Bytes bytes = bomber.put(std::string(1 << 20, 'x'));
    wire.insert(wire.end(), bytes.begin(), bytes.end());
  }
  InflateStream stream = *InflateStream::create();
  std::span<const std::byte> rest(wire);
  size_t total = 0;
  while (true) {
    std::string plain;
    auto taken = stream.take(rest, plain, 10'000);
    ASSERT_LE(plain.size(), 10'000u);
    rest = rest.subspan(taken.consumed_bytes);
    total += plain.size();
    if (taken.event != Event::kFull) {
      EXPECT_EQ(taken.event, Event::kNeedInput);
      break;
    }
  }
  EXPECT_EQ(total, size_t(16) << 20);
  EXPECT_TRUE(rest.empty());
  EXPECT_EQ(stream.hindrance(), nullptr);
}

TEST(InflateStream, OutputBoundsAndSleepsTogetherLoseNothing) {
  std::mt19937_64 random(8);
  Reference client;
  InflateStream stream = *InflateStream::create();
  std::string said;
  std::string plain;
  for (int i = 0; i < 300; ++i) {
    std::string piece = test::random_text(random, 1 + random() % 900);
    Bytes wire = client.put(piece, random() % 2 == 0 ? Z_SYNC_FLUSH : Z_PARTIAL_FLUSH);
    said += piece;
    std::span<const std::byte> rest(wire);
    InflateStream::Taken taken;
    do {
      taken = stream.take(rest, plain, 1 + random() % 50);
      rest = rest.subspan(taken.consumed_bytes);
    } while (taken.event == Event::kFull);
    ASSERT_EQ(taken.event, Event::kNeedInput);
    ASSERT_EQ(stream.hindrance(), nullptr);
    stream = *InflateStream::thaw(*stream.freeze());
  }
  EXPECT_EQ(plain == said, true);
}

TEST(InflateStream, TheEndOfTheStreamIsSaidAfterItsLastWords) {
  Reference client;
  InflateStream stream = *InflateStream::create();
  std::string plain;
  auto taken = stream.take(client.put("a1 LOGOUT\r\n", Z_FINISH), plain, 1000);
  EXPECT_EQ(taken.event, Event::kEnd);
  EXPECT_EQ(plain, "a1 LOGOUT\r\n");
  EXPECT_NE(stream.hindrance(), nullptr);
  EXPECT_EQ(stream.take(test::bytes_of("x"), plain, 1000).event, Event::kBroken);
}

TEST(InflateStream, GarbageIsBrokenAndStaysSo) {
  InflateStream stream = *InflateStream::create();
  std::string plain;
  EXPECT_EQ(stream.take(test::bytes_of("\x06 a1 NOOP\r\n"), plain, 1000).event, Event::kBroken);
  EXPECT_EQ(stream.take({}, plain, 1000).event, Event::kBroken);
}

TEST(InflateStream, AReferenceBeforeTheFirstByteIsBroken) {
  Reference client;
  client.put("a1 SELECT INBOX\r\n");  // which this stream never sees
  Bytes second = client.put("a2 SELECT INBOX\r\n");
  InflateStream stream = *InflateStream::create();
  std::string plain;
  EXPECT_EQ(stream.take(second, plain, 1000).event, Event::kBroken);
}

TEST(InflateStream, HalfACommandInAnOpenBlockSleepsWhileItIsShort) {
  Reference client(6);
  InflateStream stream = *InflateStream::create();
  std::string plain;
  stream.take(client.put("a1 SELECT INBOX\r\n"), plain, 1000);
  std::mt19937_64 random(9);
  std::string noise(3 * kTailBytesMax, '\0');
  for (char& c : noise) c = char(random());
  Bytes wire = client.put(noise);
  stream.take(std::span(wire).first(20), plain, 1000);
  EXPECT_EQ(stream.hindrance(), nullptr);
  stream.take(std::span(wire).subspan(20, 2 * kTailBytesMax), plain, 1000);
  EXPECT_STREQ(stream.hindrance(), "half a deflate block from the client");
  stream.take(std::span(wire).subspan(20 + 2 * kTailBytesMax), plain, 1000);
  EXPECT_EQ(stream.hindrance(), nullptr);
}

TEST(InflateStream, AFreshStreamIsOneByte) {
  auto frozen = InflateStream::create()->freeze();
  ASSERT_TRUE(frozen);
  EXPECT_EQ(frozen->size(), 1u);
  EXPECT_TRUE(InflateStream::thaw(*frozen));
}

TEST(InflateStream, MalformedFrozenBytesAreRefused) {
  EXPECT_FALSE(InflateStream::thaw({}));
  for (unsigned head : {0x00u, 0x80u, 0xc0u, 0x50u, 0x60u, 0x70u, 0x41u, 0x48u}) {
    Bytes frozen = {std::byte(head)};
    EXPECT_FALSE(InflateStream::thaw(frozen)) << head;
  }
  Bytes held = {std::byte(0x43), std::byte(0x08)};
  EXPECT_FALSE(InflateStream::thaw(held)) << "more bits than are held";
  Bytes tail = {std::byte(0x48), std::byte(1), std::byte(9), std::byte(0), std::byte(0)};
  EXPECT_FALSE(InflateStream::thaw(tail)) << "a tail that gives another length";
  Bytes far = {std::byte(0x48), std::byte(1), std::byte(0xff), std::byte(0xff), std::byte(0)};
  EXPECT_FALSE(InflateStream::thaw(far)) << "more output than a window";
  EXPECT_FALSE(InflateStream::thaw(Bytes(kFrozenBytesMax + 1, std::byte(0x40))));

  // Every part there is: held bits, tail, recent output, history.
  Reference client;
  InflateStream stream = *InflateStream::create();
  std::string plain;
  stream.take(client.put("a1 SELECT INBOX\r\n"), plain, 1000);
  stream = *InflateStream::thaw(*stream.freeze());
  stream.take(client.put("a2 IDLE\r\n", Z_PARTIAL_FLUSH), plain, 1000);
  Bytes frozen = *stream.freeze();
  ASSERT_TRUE(InflateStream::thaw(frozen));
  for (size_t cut = 1; cut < frozen.size(); ++cut) {
    EXPECT_FALSE(InflateStream::thaw(std::span(frozen).first(cut))) << cut;
  }
}

TEST(InflateStream, AShortWordLeavesThePackedHistoryAsItWas) {
  Reference client;
  InflateStream stream = *InflateStream::create();
  std::string plain;
  for (const std::string& said : test::phone_session(50))
    stream.take(client.put(said), plain, 1000);
  Bytes before = *stream.freeze();
  for (int i = 0; i < 200; ++i) {
    stream = *InflateStream::thaw(*stream.freeze());
    stream.take(client.put(fmt::format("DONE\r\n{} IDLE\r\n", 100 + i)), plain, 1000);
    // Head, count, recent words; and what a packing now and then makes of them.
    ASSERT_LE(stream.freeze()->size(), before.size() + 2 + kRecentBytesMax + 64) << i;
  }
}

}  // namespace
}  // namespace dormouse::compress
