#include "mime/address.h"

#include <gtest/gtest.h>

namespace dormouse::mime {
namespace {

// "name|route|mailbox|host" for each, groups as "[name" and "]".
std::string addresses(std::string_view value) {
  std::string text;
  for (const Address& a : parse_addresses(value)) {
    if (!text.empty()) text += " ; ";
    if (a.kind == Address::Kind::kGroupStart) {
      text += "[" + a.mailbox;
    } else if (a.kind == Address::Kind::kGroupEnd) {
      text += "]";
    } else {
      text += a.name + "|" + a.route + "|" + a.mailbox + "|" + a.host;
    }
  }
  return text;
}

TEST(Addresses, ReadsTheFormsOfRfc5322) {
  EXPECT_EQ(addresses("joe@example.org"), "||joe|example.org");
  EXPECT_EQ(addresses("Joe Bloggs <joe@example.org>, ann@x"),
            "Joe Bloggs||joe|example.org ; ||ann|x");
  EXPECT_EQ(addresses("\"Joe \\\"Q\\\" B\" <joe@x>"), "Joe \"Q\" B||joe|x");
  EXPECT_EQ(addresses("\"a b\"@x"), "||a b|x");
  EXPECT_EQ(addresses("Joe Q. Public <john.q.public@x>"), "Joe Q. Public||john.q.public|x");
  EXPECT_EQ(addresses("joe@[192.0.2.1]"), "||joe|[192.0.2.1]");
  EXPECT_EQ(addresses("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>"),
            "Pete||pete|silly.test");
  EXPECT_EQ(addresses("joe@x (Joe (the) B)"), "Joe (the) B||joe|x");
}

TEST(Addresses, ReadsGroups) {
  EXPECT_EQ(addresses("Friends: a@x, Bob <b@y>;, c@z"), "[Friends ; ||a|x ; Bob||b|y ; ] ; ||c|z");
  EXPECT_EQ(addresses("undisclosed-recipients:;"), "[undisclosed-recipients ; ]");
  EXPECT_EQ(addresses("never ended: a@x"), "[never ended ; ||a|x ; ]");
}

TEST(Addresses, ReadsObsoleteForms) {
  EXPECT_EQ(addresses("Old <@a.example,@b.example:joe@c.example>"),
            "Old|@a.example,@b.example|joe|c.example");
  EXPECT_EQ(addresses("joe . b @ example . org"), "||joe . b|example.org");
  EXPECT_EQ(addresses(",, joe@x,,"), "||joe|x");
}

TEST(Addresses, TakesWhatItCanFromBrokenOnes) {
  EXPECT_EQ(addresses("nobody"), "||nobody|");
  EXPECT_EQ(addresses("Joe <joe>"), "Joe||joe|");
  EXPECT_EQ(addresses("<open@x"), "||open|x");
  EXPECT_EQ(addresses("joe@x <joe@x>"), "joe@x||joe|x");
  EXPECT_EQ(addresses("M\xfcller <m@x>"), "M\xfcller||m|x");
  EXPECT_EQ(addresses("\"never closed"), "||never closed|");
  EXPECT_EQ(addresses("(only a comment"), "");
  EXPECT_EQ(addresses(""), "");
}

TEST(Addresses, HostileInputEndsAndIsBounded) {
  for (const char* piece : {"<", ">", "@",  ":",  ";",  ",",  "(",  ")",   "\"", "\\",
                            "[", "]", "<@", ":;", "a:", "a<", "a@", "@,:", "<>", "a b "}) {
    std::string text;
    while (text.size() < 20000) text += piece;
    EXPECT_LE(parse_addresses(text).size(), 4097U) << piece;
  }
}

std::string date(std::string_view value) {
  auto found = parse_mail_date(value);
  return found ? std::to_string(found->unix_seconds) + " " + std::to_string(found->zone_minutes)
               : "none";
}

TEST(MailDate, ReadsTheFormsOfRfc5322) {
  EXPECT_EQ(date("Mon, 7 Feb 1994 21:52:25 -0800"), "760686745 -480");
  EXPECT_EQ(date("7 Feb 1994 21:52:25 -0800 (PST)"), "760686745 -480");
  EXPECT_EQ(date("Mon (day), 7 (x) Feb 1994 21:52:25 (time) -0800"), "760686745 -480");
  EXPECT_EQ(date("07 February 1994 21:52:25 PST"), "760686745 -480");
  EXPECT_EQ(date("7 Feb 94 21:52 EST"), "760675920 -300");
  EXPECT_EQ(date("1 Jan 70 00:00:00 GMT"), "0 0");
  EXPECT_EQ(date("Thu, 01 Jan 2026 00:00:60 +0000"), "1767225659 0");
  EXPECT_EQ(date("1-Jan-1970 00:00:00 +0000"), "0 0");
  EXPECT_EQ(date("Thu Jan  1 00:00:00 1970"), "0 0");
}

TEST(MailDate, WithoutATimeIsMidnight) { EXPECT_EQ(date("Mon, 7 Feb 1994"), "760579200 0"); }

TEST(MailDate, RefusesWhatIsNone) {
  for (const char* text :
       {"", "Mon", "7 Feb", "7 Foo 1994 21:52:25 -0800", "32 Jan 1994 00:00:00 GMT",
        "7 Feb 1994 25:00:00 +0000", "7 Feb 1994 x +0000", "((((", "-------"}) {
    EXPECT_EQ(date(text), "none") << text;
  }
}

TEST(MailDate, TheDayIsTheOneWritten) {
  EXPECT_EQ(parse_mail_date("1 Jan 1970 23:00:00 -0800")->day(), 0);
  EXPECT_EQ(parse_mail_date("31 Dec 1969 23:00:00 +0000")->day(), -1);
}

}  // namespace
}  // namespace dormouse::mime
