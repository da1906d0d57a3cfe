// The pure parts: file names, modified UTF-7, Dovecot's files, line counting.

#include <gtest/gtest.h>

#include "store/dovecot_files.h"
#include "store/maildir_name.h"
#include "store/takeover.h"

namespace dormouse::store {
namespace {

TEST(FileNameTest, SuffixKeepsWhatItDoesNotKnow) {
  EXPECT_EQ(make_suffix({Flags::kSeen}, 1u << 25, ":2,PTz,more"), ":2,PSz,more");
  EXPECT_EQ(make_suffix({}, 0, ""), ":2,");
  EXPECT_EQ(make_suffix({Flags::kAll}, 3, ":1,odd"), ":2,DFRSTab");
  EXPECT_EQ(parse_suffix(":1,S").flags.bits, 0);
  EXPECT_EQ(parse_suffix(":2,SSab,T").flags.bits, Flags::kSeen);
  EXPECT_EQ(parse_suffix(":2,SSab,T").letters, 3u);
}

TEST(FileNameTest, SizeHintsMustBeWholeNumbers) {
  EXPECT_EQ(size_hint("a,S=12,W=34", 'W'), 34u);
  EXPECT_EQ(size_hint("a,S=12", 'S'), 12u);
  EXPECT_EQ(size_hint("a,S=12x", 'S'), std::nullopt);
  EXPECT_EQ(size_hint("a,S=", 'S'), std::nullopt);
  EXPECT_EQ(size_hint("a,S=99999999999999999999999", 'S'), std::nullopt);
}

TEST(ModifiedUtf7Test, Rfc3501ExamplesRoundTrip) {
  const std::pair<std::string, std::string> cases[] = {{"~peter/mail", "~peter/mail"},
                                                       {"台北", "&U,BTFw-"},
                                                       {"日本語", "&ZeVnLIqe-"},
                                                       {"a&b", "a&-b"},
                                                       {"&", "&-"},
                                                       {"ü&", "&APw-&-"},
                                                       {"😀x", "&2D3eAA-x"},
                                                       {"Entwürfe", "Entw&APw-rfe"}};
  for (const auto& [utf8, encoded] : cases) {
    EXPECT_EQ(to_modified_utf7(utf8), encoded);
    EXPECT_EQ(from_modified_utf7(encoded), utf8);
  }
}

TEST(ModifiedUtf7Test, OtherSpellingsAreRefused) {
  for (const char* text : {"&AGE-", "&APw", "&APw=-", "&APx-", "&2D0-", "&3gA-", "&APw-&APw-",
                           "\xc3\xbc", "&U,BTFw-&ZeVnLIqe-", "a\x7f"}) {
    EXPECT_EQ(from_modified_utf7(text), std::nullopt) << text;
  }
  for (const char* text : {"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"}) {
    EXPECT_EQ(to_modified_utf7(text), std::nullopt);
  }
}

TEST(UidlistTest, Version3WithHintsAndBrokenLines) {
  auto list = parse_uidlist(
      "3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1\n"
      "25006 :1276528487.M364837P9451.kurkku,S=1355,W=1394:2,\n"
      "25017 W2481 S2400 :1276533073.M242911P3632.kurkku:2,F\n"
      "nonsense\n"
      "25017 :same uid again\n"
      "4294967295 :too large\n"
      "25019 no colon\n"
      "25020 :../../etc/passwd\n"
      "25030 :past next.uid with blank:2,S\n"
      "25031");
  ASSERT_TRUE(list);
  EXPECT_EQ(list->uid_validity, 1275660208u);
  EXPECT_EQ(list->uid_next, 25031u);
  EXPECT_EQ(list->guid->hex(), "3085f01b7f11094c501100008c4a11c1");
  ASSERT_EQ(list->records.size(), 3u);
  EXPECT_EQ(list->records[1].uid, 25017u);
  EXPECT_EQ(list->records[1].rfc822_size_bytes, 2481u);
  EXPECT_EQ(list->records[1].base, "1276533073.M242911P3632.kurkku");
  EXPECT_EQ(list->records[2].base, "past next.uid with blank");
  EXPECT_EQ(list->skipped_lines, 6u);
}

TEST(UidlistTest, Version1AndBadHeaders) {
  auto list = parse_uidlist("1 1100000000 4\n1 a:2,S\n3 b\n");
  ASSERT_TRUE(list);
  EXPECT_EQ(list->records.size(), 2u);
  for (const char* text :
       {"", "3\n", "3 V0 N1\n", "2 V1 N1\n", "3 Vx N1\n", "3 V99999999999 N1\n", "1 5\n"}) {
    EXPECT_FALSE(parse_uidlist(text)) << text;
  }
}

TEST(KeywordsTest, FileRoundTripsAndSkipsRubbish) {
  auto names =
      parse_keywords("0 $Forwarded\n2 Junk\n26 tooMany\nx y\n3 has space\n4 \n99999999999999 z\n");
  EXPECT_EQ(names, (std::vector<std::string>{"$Forwarded", "", "Junk"}));
  EXPECT_EQ(format_keywords(names), "0 $Forwarded\n2 Junk\n");
  EXPECT_FALSE(is_valid_keyword("a b"));
  EXPECT_FALSE(is_valid_keyword("\\Seen"));
  EXPECT_FALSE(is_valid_keyword(std::string(101, 'a')));
}

TEST(MarkerTest, OnlyOurFormIsTaken) {
  Marker marker{Guid::random(), 77};
  auto back = parse_marker(format_marker(marker));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->guid, marker.guid);
  EXPECT_EQ(back->uid_validity, 77u);
  for (const char* text : {"", "1 G", "1 G00 V1\n", "2 G3085f01b7f11094c501100008c4a11c1 V1\n",
                           "1 G3085f01b7f11094c501100008c4a11c1 V\n"}) {
    EXPECT_FALSE(parse_marker(text)) << text;
  }
}

TEST(LineCounterTest, CountsTheSameHoweverItIsCut) {
  const std::string text = "a\r\nb\n\n\r\r\nc\r";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    LineCounter counter;
    counter.feed(std::string_view(text).substr(0, cut));
    counter.feed("");
    counter.feed(std::string_view(text).substr(cut));
    EXPECT_EQ(counter.file_size_bytes(), text.size());
    EXPECT_EQ(counter.rfc822_size_bytes(), text.size() + 2) << cut;
  }
}

}  // namespace
}  // namespace dormouse::store
