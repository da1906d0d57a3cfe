#include "role/log.h"

#include <gtest/gtest.h>

namespace dormouse::role {
namespace {

TEST(Log, plain_values_stand_bare_and_others_are_quoted) {
  set_log_identity("login", 2);
  std::string line =
      format_log_line(LogLevel::kInfo, "accepted", {{"fd", 7}, {"who", "a b"}, {"empty", ""}});
  EXPECT_TRUE(line.ends_with(" info login[2] accepted fd=7 who=\"a b\" empty=\"\"\n")) << line;
}

TEST(Log, a_value_cannot_forge_a_line_or_a_field) {
  std::string line = format_log_line(LogLevel::kWarning, "refused",
                                     {{"user", "x\nevil level=error"}, {"tag", "\"\\\x1b[2J\xff"}});
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_NE(line.find("user=\"x\\nevil level=error\""), std::string::npos) << line;
  EXPECT_NE(line.find("tag=\"\\\"\\\\\\x1b[2J\\xff\""), std::string::npos) << line;
}

TEST(Log, a_line_is_never_longer_than_a_pipe_writes_at_once) {
  std::string line =
      format_log_line(LogLevel::kError, "long", {{"a", std::string(9000, '\n')}, {"b", 1}});
  EXPECT_LE(line.size(), 4096u);
  EXPECT_TRUE(line.ends_with("...\n"));
}

TEST(Log, level_names_are_read_and_unknown_ones_mean_info) {
  EXPECT_EQ(log_level_from("debug"), LogLevel::kDebug);
  EXPECT_EQ(log_level_from("warning"), LogLevel::kWarning);
  EXPECT_EQ(log_level_from("error"), LogLevel::kError);
  EXPECT_EQ(log_level_from("verbose"), LogLevel::kInfo);
}

}  // namespace
}  // namespace dormouse::role
