#include "loadtest/user_pattern.h"

#include <gtest/gtest.h>

namespace dormouse::loadtest {
namespace {

std::string name(std::string_view pattern, uint64_t number) {
  auto parsed = UserPattern::parse(pattern);
  EXPECT_TRUE(parsed) << pattern;
  return parsed ? parsed->name(number) : "";
}

TEST(UserPattern, numbers_names) {
  EXPECT_EQ(name("u%d@example.org", 17), "u17@example.org");
  EXPECT_EQ(name("%05d", 17), "00017");
  EXPECT_EQ(name("a%03db%d", 4), "a004b4");
  EXPECT_EQ(name("100%%-%d", 1), "100%-1");
  EXPECT_EQ(name("%03d", 123456), "123456");
}

TEST(UserPattern, without_a_number_is_one_user) {
  auto parsed = UserPattern::parse("alice");
  ASSERT_TRUE(parsed);
  EXPECT_FALSE(parsed->numbered());
  EXPECT_EQ(parsed->name(1), parsed->name(2));
}

TEST(UserPattern, refuses_what_it_does_not_know) {
  for (std::string_view bad : {"", "%", "%s", "u%0", "u%05", "u%05s", "u%5d", "x%00"}) {
    EXPECT_FALSE(UserPattern::parse(bad)) << bad;
  }
  EXPECT_FALSE(UserPattern::parse(std::string(1025, 'a')));
}

TEST(MaildirPath, fills_in_the_user) {
  auto path = maildir_path("/srv/%d/%n/%u/100%%", "u7@example.org");
  ASSERT_TRUE(path);
  EXPECT_EQ(*path, "/srv/example.org/u7/u7@example.org/100%");
}

TEST(MaildirPath, refuses_a_user_that_leads_out_of_the_folder) {
  for (std::string_view bad : {"", "..", ".", "a/b", "..@example.org", "x@..", "a@b/c"}) {
    EXPECT_FALSE(maildir_path("/srv/%u", bad)) << bad;
  }
  EXPECT_FALSE(maildir_path("/srv/%x", "u"));
  EXPECT_FALSE(maildir_path("/srv/%", "u"));
}

}  // namespace
}  // namespace dormouse::loadtest
