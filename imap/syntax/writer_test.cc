#include "imap/syntax/writer.h"

#include <gtest/gtest.h>

#include "imap/syntax/structure_writer.h"

namespace dormouse::imap {
namespace {

// What put(out) appends.
template <class Put>
std::string written(Put put) {
  std::string out;
  put(out);
  return out;
}

TEST(Writer, QuotesWhatCanBeQuotedAndSendsTheRestAsLiteral) {
  auto string = [](std::string_view text) {
    return written([&](std::string& out) { put_string(out, text); });
  };
  EXPECT_EQ(string(""), "\"\"");
  EXPECT_EQ(string("a \"b\\"), "\"a \\\"b\\\\\"");
  EXPECT_EQ(string("a\r\nb"), "{4}\r\na\r\nb");
  EXPECT_EQ(string("\xc3\xbc"), "{2}\r\n\xc3\xbc");
  EXPECT_EQ(string(std::string_view("a\0b", 3)),
            "{3}\r\na\x80"
            "b");
  EXPECT_EQ(string(std::string(1001, 'x')), "{1001}\r\n" + std::string(1001, 'x'));
}

TEST(Writer, AnAtomIsUsedOnlyWhereItCannotBeMistaken) {
  auto astring = [](std::string_view text) {
    return written([&](std::string& out) { put_astring(out, text); });
  };
  EXPECT_EQ(astring("INBOX"), "INBOX");
  EXPECT_EQ(astring("NIL"), "\"NIL\"");
  EXPECT_EQ(astring(""), "\"\"");
  EXPECT_EQ(astring("a b"), "\"a b\"");
  EXPECT_EQ(astring("[x]"), "\"[x]\"");
}

TEST(Writer, MailboxNamesGoOutInModifiedUtf7) {
  std::string out;
  put_list_response(out, false, kHasNoChildren | kUseSent, '/', "Gesendete Entwürfe");
  put_list_response(out, true, 0, '\0', "INBOX");
  put_list_response(out, false, kNonExistent, '.', "a", true);
  EXPECT_EQ(out,
            "* LIST (\\HasNoChildren \\Sent) \"/\" \"Gesendete Entw&APw-rfe\"\r\n"
            "* LSUB () NIL INBOX\r\n"
            "* LIST (\\NonExistent) \".\" a (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n");
}

TEST(Writer, WritesStatus) {
  std::string out;
  put_status_response(out, "x", kStatusMessages | kStatusHighestModSeq,
                      {.messages = 3, .highest_mod_seq = 77});
  EXPECT_EQ(out, "* STATUS x (MESSAGES 3 HIGHESTMODSEQ 77)\r\n");
}

TEST(Writer, WritesExpungesAndCounts) {
  std::string out;
  put_vanished_response(out, true, UidSet::parse("41,43:116").value());
  put_vanished_response(out, false, {});
  put_numbered_response(out, 3, "EXISTS");
  put_status_line(out, "a", "OK", "Done.");
  put_copyuid(out, 7, UidSet{1, 2}, UidSet{9, 10});
  put_appenduid(out, 7, UidSet{3});
  EXPECT_EQ(out,
            "* VANISHED (EARLIER) 41,43:116\r\n* 3 EXISTS\r\na OK Done.\r\nCOPYUID 7 1:2 "
            "9:10APPENDUID 7 3");
}

TEST(Writer, WritesAFetchLine) {
  std::string out;
  FetchLine line(out, 12);
  put_fetch_uid(line.item(), 7);
  put_fetch_flags(line.item(), {kSeen | kRecent, {"$Junk"}});
  put_fetch_size(line.item(), 99);
  put_fetch_mod_seq(line.item(), 5);
  put_fetch_internal_date(line.item(), {0, 0});
  FetchBody body;
  body.section = {{1, 2}, mime::SectionKind::kHeaderFields, {"From", "X Y"}};
  body.partial = FetchBody::Partial{3, 4};
  put_fetch_body_name(line.item(), body);
  put_nstring(out, std::nullopt);
  line.end();
  EXPECT_EQ(
      out,
      "* 12 FETCH (UID 7 FLAGS (\\Seen \\Recent $Junk) RFC822.SIZE 99 MODSEQ (5) INTERNALDATE "
      "\"01-Jan-1970 00:00:00 +0000\" BODY[1.2.HEADER.FIELDS (From \"X Y\")]<3> NIL)\r\n");
}

TEST(Writer, TextForPeopleHoldsNoControls) {
  EXPECT_EQ(written([](std::string& out) { put_text(out, "[x] a\r\nb\xff"); }), "?x] a??b?");
}

TEST(StructureWriter, SenderAndReplyToDefaultToFrom) {
  mime::Envelope envelope;
  envelope.subject = "hi";
  envelope.from.push_back({mime::Address::Kind::kMailbox, "J \"D\"", "", "joe", "example.org"});
  envelope.to.push_back({mime::Address::Kind::kGroupStart, "", "", "friends", ""});
  envelope.to.push_back({mime::Address::Kind::kMailbox, "", "", "ann", ""});
  envelope.to.push_back({mime::Address::Kind::kGroupEnd, "", "", "", ""});
  EXPECT_EQ(
      written([&](std::string& out) { put_envelope(out, envelope); }),
      "(NIL \"hi\" ((\"J \\\"D\\\"\" NIL \"joe\" \"example.org\")) ((\"J \\\"D\\\"\" NIL \"joe\" "
      "\"example.org\")) ((\"J \\\"D\\\"\" NIL \"joe\" \"example.org\")) ((NIL NIL \"friends\" "
      "NIL)(NIL NIL \"ann\" \"MISSING_DOMAIN\")(NIL NIL NIL NIL)) NIL NIL NIL NIL)");
}

TEST(StructureWriter, WritesANestedBody) {
  mime::MessageStructure structure;
  structure.parts.resize(4);
  structure.parts[0].kind = mime::PartKind::kMultipart;
  structure.parts[0].type = "multipart";
  structure.parts[0].subtype = "mixed";
  structure.parts[0].subtree = 4;
  structure.parts[0].parameters = {{"boundary", "b"}};
  structure.parts[1].parameters = {{"charset", "utf-8"}};
  structure.parts[1].body = {.offset = 10, .bytes = 5, .bare_lfs = 1, .lines = 1};
  structure.parts[1].disposition = "inline";
  structure.parts[1].languages = {"de", "en"};
  structure.parts[2].kind = mime::PartKind::kMessage;
  structure.parts[2].type = "message";
  structure.parts[2].subtype = "rfc822";
  structure.parts[2].subtree = 2;
  structure.parts[2].envelope = 1;
  structure.parts[3].kind = mime::PartKind::kLeaf;
  structure.parts[3].type = "image";
  structure.parts[3].subtype = "png";
  structure.parts[3].md5 = "abc";
  structure.inner_envelopes.resize(1);
  const std::string nils = "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)";
  EXPECT_EQ(written([&](std::string& out) { put_body_structure(out, structure, false); }),
            "((\"text\" \"plain\" (\"charset\" \"utf-8\") NIL NIL \"7bit\" 6 1)(\"message\" "
            "\"rfc822\" NIL NIL NIL \"7bit\" 0 " +
                nils + " (\"image\" \"png\" NIL NIL NIL \"7bit\" 0) 0) \"mixed\")");
  EXPECT_EQ(
      written([&](std::string& out) { put_body_structure(out, structure, true); }),
      "((\"text\" \"plain\" (\"charset\" \"utf-8\") NIL NIL \"7bit\" 6 1 NIL (\"inline\" NIL) "
      "(\"de\" \"en\") NIL)(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 0 " +
          nils +
          " (\"image\" \"png\" NIL NIL NIL \"7bit\" 0 \"abc\" NIL NIL NIL) 0 NIL NIL NIL NIL) "
          "\"mixed\" (\"boundary\" \"b\") NIL NIL NIL)");
}

}  // namespace
}  // namespace dormouse::imap
