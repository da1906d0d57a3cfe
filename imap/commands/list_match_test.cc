#include "imap/commands/list_match.h"

#include <gtest/gtest.h>

#include <string>

namespace dormouse::imap {
namespace {

TEST(ListMatch, wildcards_stop_or_do_not_stop_at_the_separator) {
  EXPECT_TRUE(list_matches("*", "a/b/c", '/'));
  EXPECT_TRUE(list_matches("%", "a", '/'));
  EXPECT_FALSE(list_matches("%", "a/b", '/'));
  EXPECT_TRUE(list_matches("%/%", "a/b", '/'));
  EXPECT_FALSE(list_matches("%/%", "a/b/c", '/'));
  EXPECT_TRUE(list_matches("a*c", "a/b/c", '/'));
  EXPECT_TRUE(list_matches("a%", "a", '/'));
  EXPECT_FALSE(list_matches("a", "ab", '/'));
  EXPECT_FALSE(list_matches("ab", "a", '/'));
  EXPECT_FALSE(list_matches("", "a", '/'));
}

TEST(ListMatch, only_inbox_is_compared_without_case) {
  EXPECT_TRUE(list_matches("inbox", "INBOX", '/'));
  EXPECT_TRUE(list_matches("iNb%", "INBOX", '/'));
  EXPECT_TRUE(list_matches("inbox/a", "INBOX/a", '/'));
  EXPECT_FALSE(list_matches("inbox/A", "INBOX/a", '/'));
  EXPECT_FALSE(list_matches("sent", "Sent", '/'));
  EXPECT_FALSE(list_matches("inboxes", "INBOXES", '/'));
}

TEST(ListMatch, many_wildcards_stay_cheap) {
  // Backtracking would take longer than the universe has; the test's own time limit catches it.
  std::string pattern;
  for (int i = 0; i < 400; ++i) pattern += "*a";
  EXPECT_FALSE(list_matches(pattern + "b", std::string(900, 'a'), '/'));
}

}  // namespace
}  // namespace dormouse::imap
