#include "auth/passwd_file.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "auth/limits.h"
#include "auth/user_directory.h"

namespace dormouse::auth {
namespace {

using FilePtr = std::shared_ptr<const PasswdFile>;

FilePtr parse(std::string text) {
  auto file = PasswdFile::parse(std::move(text), {.default_scheme = Scheme::kCrypt, .seed = 7});
  EXPECT_TRUE(file);
  return file ? *file : nullptr;
}

std::string why(std::string_view line) {
  auto parsed = parse_passwd_line(line);
  return parsed ? "" : parsed.error();
}

TEST(PasswdFile, all_columns_and_fields_are_read) {
  auto file = parse(
      "anna:{PLAIN}secret:1000:1001:Anna A:/home/anna:/bin/sh:"
      "userdb_mail=maildir:~/Mail userdb_sessions=3 allow_nets=192.0.2.0/24,::1\n");
  auto entry = file->find("anna");
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->user, "anna");
  EXPECT_EQ(entry->secret, "{PLAIN}secret");
  EXPECT_EQ(entry->uid, 1000u);
  EXPECT_EQ(entry->gid, 1001u);
  EXPECT_EQ(entry->home, "/home/anna");
  EXPECT_EQ(entry->mail, "~/Mail");
  EXPECT_EQ(entry->sessions_max, 3u);
  EXPECT_EQ(entry->allow_nets, "192.0.2.0/24,::1");
  EXPECT_FALSE(entry->nologin);
  EXPECT_EQ(file->complaints_total(), 0u);
}

TEST(PasswdFile, columns_may_be_missing_or_empty) {
  auto file = parse("a:{PLAIN}x\nb:{PLAIN}x:::::::\nc::5:6::/h\n");
  EXPECT_EQ(file->users(), 3u);
  EXPECT_FALSE(file->find("a")->uid);
  EXPECT_FALSE(file->find("b")->gid);
  EXPECT_EQ(file->find("c")->secret, "");
  EXPECT_EQ(file->find("c")->home, "/h");
}

TEST(PasswdFile, comments_blank_lines_and_crlf_are_fine) {
  auto file = parse("# x:y\n\n:no user\r\nanna:{PLAIN}x\r\nlast:{PLAIN}y");
  EXPECT_EQ(file->users(), 2u);
  EXPECT_EQ(file->find("anna")->secret, "{PLAIN}x");
  EXPECT_EQ(file->find("last")->secret, "{PLAIN}y");
  EXPECT_EQ(file->complaints_total(), 0u);
}

TEST(PasswdFile, names_match_without_regard_to_case) {
  auto file = parse("Anna@Example.org:{PLAIN}x\n");
  EXPECT_TRUE(file->find("anna@example.ORG"));
  EXPECT_FALSE(file->find("anna@example.or"));
  EXPECT_FALSE(file->find("anna@example.orgg"));
  EXPECT_FALSE(file->find(""));
  EXPECT_FALSE(file->find(std::string(kUserBytesMax + 1, 'a')));
}

TEST(PasswdFile, a_wrong_line_is_left_out_and_named_by_its_number) {
  auto file = parse("# c\ngood:{PLAIN}x\nbad:{ROT13}x\nworse:{PLAIN}x:root\ntail:{PLAIN}x\n");
  EXPECT_EQ(file->users(), 2u);
  EXPECT_FALSE(file->find("bad"));
  EXPECT_FALSE(file->find("worse"));
  EXPECT_TRUE(file->find("tail"));
  ASSERT_EQ(file->complaints().size(), 2u);
  EXPECT_EQ(file->complaints()[0].line, 3u);
  EXPECT_EQ(file->complaints()[1].line, 4u);
  EXPECT_TRUE(file->complaints()[0].wrong);
}

TEST(PasswdFile, of_two_lines_with_one_user_the_first_counts) {
  auto file = parse("anna:{PLAIN}first\nANNA:{PLAIN}second\n");
  EXPECT_EQ(file->find("anna")->secret, "{PLAIN}first");
  ASSERT_EQ(file->complaints().size(), 1u);
  EXPECT_EQ(file->complaints()[0].line, 2u);
}

TEST(PasswdFile, a_field_that_is_ignored_is_named_and_its_user_kept) {
  auto file = parse("anna:{PLAIN}x::::::proxy=y host=192.0.2.1\n");
  EXPECT_TRUE(file->find("anna"));
  ASSERT_EQ(file->complaints().size(), 1u);
  EXPECT_FALSE(file->complaints()[0].wrong);
  EXPECT_NE(file->complaints()[0].text.find("proxy"), std::string::npos);
}

TEST(PasswdFile, complaints_are_bounded_but_counted) {
  std::string text;
  for (size_t i = 0; i < kComplaintsMax + 50; ++i) text += "no colon\n";
  auto file = parse(text);
  EXPECT_EQ(file->complaints().size(), kComplaintsMax);
  EXPECT_EQ(file->complaints_total(), kComplaintsMax + 50);
}

TEST(PasswdFile, wrong_lines_say_why) {
  EXPECT_NE(why("anna"), "");
  EXPECT_NE(why("anna:{PLAIN"), "");
  EXPECT_NE(why("anna:x:0:0::/h"), "") << "mail never belongs to root";
  EXPECT_NE(why("anna:x:4294967295"), "");
  EXPECT_NE(why("anna:x:1:-1"), "");
  EXPECT_NE(why("anna:x:1:1::relative"), "");
  EXPECT_NE(why("anna:x:1:1::/a/../b"), "");
  EXPECT_NE(why("../x:x:1:1::/mail/%u"), "");
  EXPECT_NE(why("..:x:1:1::/mail/%u"), "");
  EXPECT_NE(why("anna:x:1:1::/mail/%q"), "");
  EXPECT_NE(why("anna:x::::::userdb_mail=mbox:~/mbox"), "");
  EXPECT_NE(why("anna:x::::::userdb_mail=maildir:~/M:LAYOUT=fs"), "");
  EXPECT_NE(why("anna:x::::::nopassword=y"), "");
  EXPECT_NE(why("anna:x::::::allow_nets=everywhere"), "");
  EXPECT_NE(why("anna:x::::::allow_nets=192.0.2.0/33"), "");
  EXPECT_NE(why("an\tna:x"), "");
  EXPECT_NE(why("an\xffna:x"), "");
  EXPECT_NE(why("an\xed\xa0\x80na:x"), "") << "a surrogate";
  EXPECT_EQ(why("\xc3\xa4nna\xf0\x9f\x90\x81:x"), "");
  EXPECT_NE(why(std::string(kUserBytesMax + 1, 'a') + ":x"), "");
  EXPECT_NE(why("a:" + std::string(kPasswdLineBytesMax, 'x')), "");
  EXPECT_EQ(why("anna:x:1:1::/mail/%d/%n"), "home: a variable behind % that is unknown or empty");
}

TEST(PasswdFile, nologin_is_a_flag_with_or_without_a_value) {
  EXPECT_TRUE(parse_passwd_line("a:x::::::nologin")->entry.nologin);
  EXPECT_TRUE(parse_passwd_line("a:x::::::nologin=y")->entry.nologin);
  EXPECT_TRUE(parse_passwd_line("a:x::::::nologin=Come back on Monday")->entry.nologin);
  EXPECT_FALSE(parse_passwd_line("a:x::::::nologin=no")->entry.nologin);
}

TEST(PasswdFile, the_decoy_is_of_the_most_frequent_scheme) {
  auto file = parse("a:{PLAIN}1\nb:$6$x$y\nc:$6$z$w\n");
  EXPECT_EQ(file->decoy().scheme, Scheme::kCrypt);
  EXPECT_EQ(file->decoy().data, "$6$z$w");
  EXPECT_TRUE(file->has_plain());
  EXPECT_FALSE(parse("a:$6$x$y\n")->has_plain());
  EXPECT_EQ(parse("")->decoy().data, "");
}

TEST(PasswdFile, every_one_of_many_users_is_found) {
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += fmt::format("u{}@example.org:{{PLAIN}}p{}\n", i, i);
  auto file = parse(text);
  ASSERT_EQ(file->users(), 20'000u);
  for (int i = 0; i < 20'000; ++i) {
    auto entry = file->find(fmt::format("u{}@example.org", i));
    ASSERT_TRUE(entry);
    ASSERT_EQ(entry->secret, fmt::format("{{PLAIN}}p{}", i));
  }
  EXPECT_FALSE(file->find("u20000@example.org"));
}

TEST(AllowNets, an_address_is_in_a_net_or_not) {
  EXPECT_TRUE(address_in_nets("192.0.2.77", "198.51.100.0/24,192.0.2.0/25"));
  EXPECT_FALSE(address_in_nets("192.0.2.177", "192.0.2.0/25"));
  EXPECT_TRUE(address_in_nets("2001:db8::1", "2001:db8::/32"));
  EXPECT_FALSE(address_in_nets("2001:db9::1", "2001:db8::/32"));
  EXPECT_TRUE(address_in_nets("::ffff:192.0.2.1", "192.0.2.1"));
  EXPECT_FALSE(address_in_nets("192.0.2.1", "::/0"));
  EXPECT_FALSE(address_in_nets("local", "0.0.0.0/0"));
}

TEST(UserDirectory, defaults_fill_what_the_line_leaves_out) {
  DirectoryDefaults defaults{.uid = 500, .gid = 501, .home = "/mail/%d/%n"};
  auto directory = UserDirectory::parse(
      "Anna@Example.org:x\n"
      "ben@example.org:x:7:8::/home/%n::userdb_mail=maildir:%h/M/%u userdb_sessions=2\n"
      "joe:x\n",
      defaults);
  ASSERT_TRUE(directory);
  auto anna = (*directory)->find("ANNA@example.org");
  ASSERT_TRUE(anna);
  EXPECT_EQ(anna->identity.user(), "anna@example.org");
  EXPECT_EQ(anna->identity.uid(), 500u);
  EXPECT_EQ(anna->identity.gid(), 501u);
  EXPECT_EQ(anna->identity.home(), "/mail/example.org/anna");
  EXPECT_EQ(anna->identity.mail_path(), "");
  auto ben = (*directory)->find("ben@example.org");
  ASSERT_TRUE(ben);
  EXPECT_EQ(ben->identity.uid(), 7u);
  EXPECT_EQ(ben->identity.home(), "/home/ben");
  EXPECT_EQ(ben->identity.mail_path(), "/home/ben/M/ben@example.org");
  EXPECT_EQ(ben->limits.sessions_per_user(), 2u);
  EXPECT_EQ((*directory)->find("joe").error().kind, ErrorKind::kInvalid) << "%d of no domain";
  EXPECT_EQ((*directory)->find("nobody").error().kind, ErrorKind::kNotFound);
}

TEST(UserDirectory, a_file_that_is_not_there_is_named) {
  auto directory = UserDirectory::load("/nonexistent/passwd", {});
  ASSERT_FALSE(directory);
  EXPECT_NE(directory.error().message.find("/nonexistent/passwd"), std::string::npos);
}

}  // namespace
}  // namespace dormouse::auth
