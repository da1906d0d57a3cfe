#include "compress/counters.h"

#include <gtest/gtest.h>

#include "compress/test_support.h"

namespace dormouse::compress {
namespace {

std::string restored(std::string_view shortened) {
  auto text = restore_counters(shortened, 1 << 20);
  return text ? *text : "refused: " + text.error().message;
}

TEST(Counters, CountingTagsAndUidsBecomeOneByteEach) {
  EXPECT_EQ(shorten_counters("a9 FETCH 7\r\na10 FETCH 8\r\na11 FETCH 7\r\n"),
            "a9 FETCH 7\r\na\1 FETCH \1\r\na\1 FETCH \2\r\n");
  EXPECT_EQ(shorten_counters("A099 X\nDONE\nA100 X\n"), "A099 X\nDONE\nA\1 X\n");
}

TEST(Counters, TheNumberThatFollowsHasTheWrittenWidth) {
  for (std::string_view text :
       {"9\n10\n11\n10\n9\n", "009\n010\n009\n", "09\n9\n8\n08\n", "0\n1\n0\n-1\n",
        "999999999999999999\n1000000000000000000\n1000000000000000001\n", "10\n09\n", "100\n099\n",
        "1\n02\n003\n"}) {
    EXPECT_EQ(restored(shorten_counters(text)), text);
  }
}

TEST(Counters, TokenBytesInTheTextAreEscaped) {
  std::string text("1 \0\1\2\3 2\1\n3\2 2\n", 16);
  EXPECT_EQ(restored(shorten_counters(text)), text);
}

TEST(Counters, AnyTextComesBack) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 500; ++i) {
    std::string text = test::random_text(random, random() % 600);
    ASSERT_EQ(restored(shorten_counters(text)), text);
  }
}

TEST(Counters, MalformedIsRefused) {
  EXPECT_FALSE(restore_counters("\1", 100));
  EXPECT_FALSE(restore_counters("0\n\2", 100)) << "nothing is below zero";
  EXPECT_FALSE(restore_counters("12345678901234567890\n\1", 100)) << "too long to follow";
  EXPECT_FALSE(restore_counters("abc\3", 100));
  EXPECT_FALSE(restore_counters(std::string_view("\0", 1), 100));
  EXPECT_FALSE(restore_counters("1234", 3));
}

}  // namespace
}  // namespace dormouse::compress
