#include <gtest/gtest.h>

#include "imap/syntax/parser.h"
#include "imap/syntax/writer.h"

namespace dormouse::imap {
namespace {

Search parsed(const std::string& text) {
  auto command = parse_command("a " + text);
  EXPECT_TRUE(command) << text << ": " << (command ? "" : command.error().text);
  if (!command || command->as<Search>() == nullptr) return {};
  return *command->as<Search>();
}

TEST(SearchWriter, WritesSearchAndSortInBothForms) {
  auto found = UidSet::parse("2:4,9").value();
  std::vector<std::uint32_t> sorted = {9, 2, 3, 4, 7, 6};
  std::string out;
  put_search_response(out, found, 5);
  put_search_response(out, {}, 5);
  put_sort_response(out, sorted, 5);
  put_sort_response(out, {}, 0);
  EsearchLine line(out, "a", true);
  line.number("MIN", 2);
  line.number("COUNT", 4);
  line.all(found);
  line.partial(PartialRange{false, 1, 4}, found);
  line.end();
  EsearchLine ordered(out, "b\\", false);
  ordered.all(sorted);
  ordered.partial(PartialRange{true, 5, 1}, sorted);
  ordered.partial(PartialRange{false, 100, 200}, UidSet());
  ordered.partial(PartialRange{false, 100, 200}, std::span<const std::uint32_t>());
  ordered.end();
  EXPECT_EQ(out,
            "* SEARCH 2 3 4 9 (MODSEQ 5)\r\n"
            "* SEARCH\r\n"
            "* SORT 9 2 3 4 7 6 (MODSEQ 5)\r\n"
            "* SORT\r\n"
            "* ESEARCH (TAG \"a\") UID MIN 2 COUNT 4 ALL 2:4,9 PARTIAL (1:4 2:4,9)\r\n"
            "* ESEARCH (TAG \"b\\\\\") ALL 9,2:4,7,6 PARTIAL (-5:-1 9,2:4,7,6) "
            "PARTIAL (100:200 NIL) PARTIAL (100:200 NIL)\r\n");
}

TEST(SearchWriter, WritesChangesOfAResultInTheirOrder) {
  std::string out;
  auto removed = [&](std::vector<ResultChange> changes) {
    EsearchLine line(out, "B01", true);
    line.removed(changes);
    line.end();
  };
  auto added = [&](std::vector<ResultChange> changes) {
    EsearchLine line(out, "C01", false);
    line.added(changes);
    line.end();
  };
  added({{0, 32768}, {0, 32769}});
  added({{1, 2731}, {2, 2732}, {3, 2733}, {7, 5}, {8, 4}, {8, 3}});
  removed({{0, 5}, {0, 6}, {0, 9}});
  removed({{2, 9}, {2, 8}, {2, 7}, {4, 1}, {1, 2}});
  EXPECT_EQ(out,
            "* ESEARCH (TAG \"C01\") ADDTO (0 32768:32769)\r\n"
            "* ESEARCH (TAG \"C01\") ADDTO (1 2731:2733 7 5,4 8 3)\r\n"
            "* ESEARCH (TAG \"B01\") UID REMOVEFROM (0 5:6,9)\r\n"
            "* ESEARCH (TAG \"B01\") UID REMOVEFROM (2 9,8,7 4 1 1 2)\r\n");
}

TEST(SearchWriter, WhatItWritesOfAProgramIsReadBackTheSame) {
  for (const char* text : {
           "SEARCH ALL",
           "UID SEARCH CHARSET UTF-8 OR NOT SEEN (FLAGGED UNSEEN) TEXT {2+}\r\n\xC3\xA4 NEW OLD",
           "SEARCH 1:*,4 $ UID 5 UID $ UID *:3 KEYWORD $Junk UNKEYWORD x",
           "SEARCH BEFORE 1-Feb-1994 ON 9-Jan-2020 SENTSINCE 31-Dec-1999 SENTON 1-Jan-0001",
           "SEARCH LARGER 0 SMALLER 9223372036854775807 OLDER 5 YOUNGER 6 MODSEQ 7",
           "SEARCH FROM \"\" HEADER from x HEADER \"X Y\" \"a\\\"b\\\\\" BODY NIL TEXT \"[x]\"",
           "UID SORT (REVERSE DATE SUBJECT DISPLAYFROM) UTF-8 UNDELETED",
           "SORT (ARRIVAL CC FROM SIZE TO REVERSE DISPLAYTO) \"US-ASCII\" ALL",
       }) {
    Search first = parsed(text);
    std::string written;
    put_search_program(written, first);
    Search second = parsed(written);
    EXPECT_EQ(second.key, first.key) << written;
    EXPECT_EQ(second.order, first.order) << written;
    EXPECT_EQ(second.charset, first.charset) << written;
    EXPECT_EQ(second.uid, first.uid) << written;
    EXPECT_EQ(second.has_mod_seq, first.has_mod_seq) << written;
  }
}

}  // namespace
}  // namespace dormouse::imap
