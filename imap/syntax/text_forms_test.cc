// Modified UTF-7, base64, dates.

#include <gtest/gtest.h>

#include "imap/syntax/base64.h"
#include "imap/syntax/date.h"
#include "imap/syntax/mutf7.h"

namespace dormouse::imap {
namespace {

TEST(Mutf7, DecodesTheExamplesOfRfc3501) {
  EXPECT_EQ(mutf7_to_utf8("~peter/mail/&U,BTFw-/&ZeVnLIqe-"), "~peter/mail/台北/日本語");
  EXPECT_EQ(mutf7_to_utf8("A&-B"), "A&B");
  EXPECT_EQ(mutf7_to_utf8(""), "");
}

TEST(Mutf7, WritesWhatItReads) {
  for (const char* name : {"INBOX", "a&b&&", "Entwürfe", "日本語", "x😀y", "ü&ü", "€-€", "a b"}) {
    auto encoded = utf8_to_mutf7(name);
    ASSERT_TRUE(encoded) << name;
    EXPECT_EQ(mutf7_to_utf8(*encoded), name) << *encoded;
  }
  EXPECT_EQ(utf8_to_mutf7("Entwürfe"), "Entw&APw-rfe");
  EXPECT_EQ(utf8_to_mutf7("😀"), "&2D3eAA-");
}

TEST(Mutf7, RefusesASecondSpellingOfAName) {
  for (const char* name : {
           "&AGE-",       // "a" has no need of a shift
           "&APw-&APw-",  // two shifts side by side
           "&APx-",       // padding bits set
           "&APwA-",      // six bits too many
           "&",           // never closed
           "&APw",        // never closed
           "&2D0-",       // high surrogate alone
           "&3gA-",       // low surrogate alone
           "&2D0AYQ-",    // high surrogate, then something else
           "&AA0-",       // a control
           "&AP w-",      // not base64
           "\xc3\xbc",    // raw 8-bit
           "a\tb",
       }) {
    EXPECT_FALSE(mutf7_to_utf8(name)) << name;
  }
}

TEST(Mutf7, RefusesToWriteWhatIsNotUtf8) {
  for (const char* name :
       {"\xff", "\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\nb"}) {
    EXPECT_FALSE(utf8_to_mutf7(name));
  }
  EXPECT_TRUE(is_utf8("a\nü€😀"));
  EXPECT_FALSE(is_utf8("\xe2\x82"));
}

TEST(Base64, KnowsTheVectorsOfRfc4648) {
  const std::pair<const char*, const char*> kVectors[] = {
      {"", ""},
      {"f", "Zg=="},
      {"fo", "Zm8="},
      {"foo", "Zm9v"},
      {"foob", "Zm9vYg=="},
      {"fooba", "Zm9vYmE="},
      {"foobar", "Zm9vYmFy"},
  };
  for (const auto& [plain, coded] : kVectors) {
    EXPECT_EQ(base64_encode(plain), coded);
    EXPECT_EQ(base64_decode(coded), plain);
  }
  std::string nul("\0user\0pass", 10);
  EXPECT_EQ(base64_decode(base64_encode(nul)), nul);
}

TEST(Base64, RefusesAllButTheOneSpelling) {
  for (const char* text :
       {"Z", "Zg", "Zg=", "Zh==", "Zm9=", "Zg==Zg==", "====", "Z===", "Zm 9", "Zm9v\n", "=Zm9"}) {
    EXPECT_FALSE(base64_decode(text)) << text;
  }
}

TEST(Date, ReadsSearchDates) {
  EXPECT_EQ(parse_date("1-Jan-1970"), 0);
  EXPECT_EQ(parse_date("01-feb-1994"), 8797);
  EXPECT_EQ(parse_date("29-Feb-2000"), 11016);
  for (const char* text : {"", "29-Feb-1900", "31-Apr-2000", "0-Jan-2000", "1-Foo-2000", "1-Jan-99",
                           "1-Jan-20000", " 1-Jan-2000", "1-Jan-2000 ", "1-Jan"}) {
    EXPECT_FALSE(parse_date(text)) << text;
  }
}

TEST(Date, ReadsAndWritesDateTimes) {
  auto time = parse_date_time("17-Jul-1996 02:44:25 -0700");
  ASSERT_TRUE(time);
  EXPECT_EQ(time->unix_seconds, 837596665);
  EXPECT_EQ(time->zone_minutes, -420);
  for (const char* text : {"17-Jul-1996 02:44:25 -0700", "01-Jan-1970 00:00:00 +0000",
                           "31-Dec-1969 23:59:59 +0000", "29-Feb-2024 12:00:00 +0530"}) {
    std::string out;
    format_date_time(out, parse_date_time(text).value());
    EXPECT_EQ(out, text);
  }
  EXPECT_EQ(parse_date_time(" 7-Jul-1996 02:44:25 +0000"),
            parse_date_time("07-Jul-1996 02:44:25 +0000"));
}

TEST(Date, RefusesDateTimesThatAreNone) {
  for (const char* text :
       {"", "7-Jul-1996 02:44:25 +0000", "17-Jul-1996 24:00:00 +0000", "17-Jul-1996 02:60:25 +0000",
        "17-Jul-1996 02:44:61 +0000", "17-Jul-1996 02:44:25", "17-Jul-1996 02:44:25 0000",
        "17-Jul-1996 02:44:25 +1500", "17-Jul-1996 02:44:25 +0060",
        "17-Jul-1996 02:44:25 +00000"}) {
    EXPECT_FALSE(parse_date_time(text)) << text;
  }
}

TEST(Date, WritesAnyTimeInTwentySixCharacters) {
  for (std::int64_t seconds :
       {INT64_MIN, INT64_MIN + 1, INT64_C(-99999999999999), INT64_C(99999999999999), INT64_MAX}) {
    for (int zone : {-32768, -840, 840, 32767}) {
      std::string out;
      format_date_time(out, {seconds, static_cast<std::int16_t>(zone)});
      EXPECT_EQ(out.size(), 26U) << out;
    }
  }
}

TEST(Date, TheDayIsThatOfTheOwnZone) {
  EXPECT_EQ(day_of({-1, 0}), -1);
  EXPECT_EQ(day_of({-1, 60}), 0);
  EXPECT_EQ(day_of({86399, 1}), 1);
}

}  // namespace
}  // namespace dormouse::imap
