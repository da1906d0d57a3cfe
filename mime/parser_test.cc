#include "mime/parser.h"

#include <gtest/gtest.h>

#include "mime/crlf.h"
#include "mime/test_mails.h"

namespace dormouse::mime {
namespace {

// The tree as text: "multipart/mixed(text/plain,message/rfc822(text/html))".
std::string shape(const MessageStructure& structure, std::size_t index = 0) {
  const Part& part = structure.parts[index];
  std::string text = part.type + "/" + part.subtype;
  if (part.kind != PartKind::kMultipart && part.kind != PartKind::kMessage) return text;
  text += "(";
  for (std::size_t child = index + 1; child < index + part.subtree;
       child += structure.parts[child].subtree) {
    if (child > index + 1) text += ",";
    text += shape(structure, child);
  }
  return text + ")";
}

std::string bytes_of(const std::string& mail, const MessageStructure& structure,
                     const Section& section) {
  auto range = find_section(structure, section);
  if (!range) return "NIL";
  SectionStream stream(*range);
  std::string out;
  stream.feed(std::string_view(mail).substr(stream.file_offset(), stream.file_bytes_wanted()), out);
  EXPECT_TRUE(stream.done());
  EXPECT_EQ(out.size(), range->octets());
  return out;
}

TEST(MessageParser, PiecesMakeNoDifference) {
  ASSERT_GE(test_mails().size(), 40U) << "mime/testdata was not found";
  for (const auto& [name, mail] : test_mails()) {
    const MessageStructure whole = parse_message(mail);
    for (std::size_t piece : {1U, 2U, 3U, 7U, 64U}) {
      MessageParser parser;
      for (std::size_t at = 0; at < mail.size(); at += piece) {
        parser.feed(std::string_view(mail).substr(at, piece));
      }
      EXPECT_EQ(parser.finish(), whole) << name << " in pieces of " << piece;
    }
  }
}

TEST(MessageParser, LineEndsMakeNoDifferenceOverImap) {
  for (const auto& [name, mail] : test_mails()) {
    const MessageStructure as_is = parse_message(mail);
    const MessageStructure crlf = parse_message(to_crlf(mail));
    ASSERT_EQ(shape(as_is), shape(crlf)) << name;
    for (std::size_t i = 0; i < as_is.parts.size(); ++i) {
      EXPECT_EQ(as_is.parts[i].header.octets(), crlf.parts[i].header.octets()) << name << " " << i;
      EXPECT_EQ(as_is.parts[i].body.octets(), crlf.parts[i].body.octets()) << name << " " << i;
      EXPECT_EQ(as_is.parts[i].body.lines, crlf.parts[i].body.lines) << name << " " << i;
      EXPECT_EQ(crlf.parts[i].body.bare_lfs, 0U) << name;
    }
    EXPECT_EQ(as_is.envelope, crlf.envelope) << name;
  }
}

TEST(MessageParser, HeaderAndBodyMakeTheWholeMessage) {
  for (const auto& [name, mail] : test_mails()) {
    const MessageStructure structure = parse_message(mail);
    EXPECT_EQ(structure.whole().offset, 0U) << name;
    EXPECT_EQ(structure.whole().bytes, mail.size()) << name;
    EXPECT_EQ(structure.whole().octets(), to_crlf(mail).size()) << name;
    const std::string all = bytes_of(mail, structure, {{}, SectionKind::kHeader, {}}) +
                            bytes_of(mail, structure, {{}, SectionKind::kText, {}});
    EXPECT_EQ(all.size(), to_crlf(mail).size()) << name;
  }
}

TEST(MessageParser, NamesThePartsOfANestedMessage) {
  const std::string mail = test_mail("rfc822.eml");
  const MessageStructure structure = parse_message(mail);
  ASSERT_EQ(
      shape(structure),
      "multipart/mixed(message/rfc822(multipart/mixed(text/plain,message/rfc822(text/plain))),"
      "text/plain)");
  auto section = [&](std::vector<std::uint32_t> part, SectionKind kind = SectionKind::kAll) {
    return bytes_of(mail, structure, {std::move(part), kind, {}});
  };
  EXPECT_EQ(section({1, 1}), "inner one");
  EXPECT_EQ(section({2}), "after");
  EXPECT_EQ(section({1, 2}), "Subject: innermost\r\n\r\ndeep text");
  EXPECT_EQ(section({1, 2, 1}), "deep text");
  EXPECT_EQ(section({1, 2}, SectionKind::kText), "deep text");
  EXPECT_EQ(section({1, 2}, SectionKind::kHeader), "Subject: innermost\r\n\r\n");
  EXPECT_EQ(section({1, 2}, SectionKind::kMime), "Content-Type: message/rfc822\r\n\r\n");
  EXPECT_TRUE(section({1}, SectionKind::kHeader).starts_with("From: inner@example.org\r\n"));
  EXPECT_TRUE(section({1}, SectionKind::kText).starts_with("--c\r\n"));
  EXPECT_EQ(section({2}, SectionKind::kHeader), "NIL") << "a text part has no message header";
  EXPECT_EQ(section({3}), "NIL");
  EXPECT_EQ(section({2, 1}), "NIL");
  EXPECT_EQ(section({}, SectionKind::kMime), "NIL");
  EXPECT_EQ(structure.envelope_of(structure.parts[1]).subject, "inner");
  EXPECT_EQ(structure.envelope_of(structure.parts[4]).subject, "innermost");
}

TEST(MessageParser, AMessageThatIsNoMultipartHasOnePart) {
  const std::string mail = test_mail("plain.eml");
  const MessageStructure structure = parse_message(mail);
  EXPECT_EQ(bytes_of(mail, structure, {{1}, SectionKind::kAll, {}}), "Hällo\r\nworld\r\n");
  EXPECT_EQ(bytes_of(mail, structure, {{1}, SectionKind::kMime, {}}),
            bytes_of(mail, structure, {{}, SectionKind::kHeader, {}}));
  EXPECT_EQ(bytes_of(mail, structure, {{2}, SectionKind::kAll, {}}), "NIL");
  EXPECT_EQ(bytes_of(mail, structure, {{1, 1}, SectionKind::kAll, {}}), "NIL");
  EXPECT_EQ(structure.parts[0].body.lines, 2U);
}

TEST(MessageParser, BrokenMailIsShownAsTheTextItIs) {
  const std::pair<const char*, const char*> kShapes[] = {
      {"empty.eml", "text/plain"},
      {"missing_boundaries.eml", "text/plain"},
      {"no_boundary_parameter.eml", "text/plain"},
      {"only_final_boundary.eml", "text/plain"},
      {"missing_final_boundary.eml", "multipart/mixed(text/plain,text/html)"},
      {"inner_not_closed.eml", "multipart/mixed(multipart/mixed(text/plain),text/plain)"},
      {"same_boundary_nested.eml", "multipart/mixed(multipart/mixed(text/plain))"},
      {"empty_parts.eml", "multipart/mixed(text/plain,text/plain,image/gif,text/html)"},
      {"boundary_prefix.eml", "multipart/mixed(multipart/mixed(text/plain),text/plain,text/plain)"},
      {"delimiter_in_header.eml", "multipart/mixed(message/rfc822(text/plain),text/plain)"},
      {"digest.eml",
       "multipart/digest(message/rfc822(text/plain),text/plain,message/rfc822(text/plain))"},
      {"too_long_boundary.eml", "multipart/mixed(text/plain,text/plain)"},
      {"odd_content_type.eml", "text/plain"},
      {"garbage_content_type.eml", "application/octet-stream"},
  };
  for (const auto& [name, expected] : kShapes) {
    EXPECT_EQ(shape(parse_message(test_mail(name))), expected) << name;
  }
}

TEST(MessageParser, KeepsContentFields) {
  const MessageStructure structure = parse_message(test_mail("nested.eml"));
  const Part* part = find_part(structure, {2});
  ASSERT_NE(part, nullptr);
  EXPECT_EQ(part->parameters, (std::vector<Parameter>{{"name", "x y.png"}}));
  EXPECT_EQ(part->disposition, "attachment");
  EXPECT_EQ(part->disposition_parameters,
            (std::vector<Parameter>{{"filename", "x y.png"}, {"size", "4"}}));
  EXPECT_EQ(part->id, "<img@example.org>");
  EXPECT_EQ(part->description, "a picture");
  EXPECT_EQ(part->md5, "Q2hlY2sgSW50ZWdyaXR5IQ==");
  EXPECT_EQ(part->languages, (std::vector<std::string>{"de", "en"}));
  EXPECT_EQ(part->location, "http://example.org/x.png");
  EXPECT_EQ(part->encoding, "base64");
}

TEST(MessageParser, JoinsParametersThatGoOn) {
  const MessageStructure structure = parse_message(test_mail("rfc2231.eml"));
  EXPECT_EQ(
      structure.parts[0].parameters,
      (std::vector<Parameter>{{"title*",
                               "us-ascii'en'This%20is%20even%20more%20%2A%2A%2Afun%2A%2A%2A%20"
                               "isn%27t%20it!"}}));
  EXPECT_EQ(structure.parts[0].disposition_parameters,
            (std::vector<Parameter>{{"filename", "a long file name.txt"}}));
}

TEST(MessageParser, NestingIsBounded) {
  std::string mail;
  for (int i = 0; i < 1000; ++i) {
    mail += "Content-Type: multipart/mixed; boundary=b" + std::to_string(i) + "\n\n--b" +
            std::to_string(i) + "\n";
  }
  MessageStructure structure = parse_message(mail);
  EXPECT_EQ(structure.parts.size(), kDepthMax);
  EXPECT_EQ(structure.parts.back().type, "application");
  mail.clear();
  for (int i = 0; i < 1000; ++i) mail += "Content-Type: message/rfc822\n\n";
  structure = parse_message(mail);
  EXPECT_EQ(structure.parts.size(), kDepthMax);
  EXPECT_EQ(structure.parts.back().kind, PartKind::kLeaf);
}

TEST(MessageParser, TheNumberOfPartsIsBounded) {
  std::string mail = "Content-Type: multipart/mixed; boundary=b\n\n";
  for (int i = 0; i < 100000; ++i) mail += "--b\n\nx\n";
  const MessageStructure structure = parse_message(mail);
  EXPECT_EQ(structure.parts.size(), kPartsMax);
  EXPECT_EQ(structure.parts[0].subtree, kPartsMax);
  EXPECT_EQ(structure.whole().bytes, mail.size());
}

TEST(MessageParser, WhatIsKeptIsBounded) {
  std::string mail = "Content-Type: multipart/mixed; boundary=b\n\n";
  for (int i = 0; i < 100; ++i) {
    mail += "--b\nContent-Description: " + std::string(60000, 'x') + "\n\nx\n";
  }
  const MessageStructure structure = parse_message(mail);
  std::size_t kept = 0;
  for (const Part& part : structure.parts) kept += part.description ? part.description->size() : 0;
  EXPECT_EQ(structure.parts.size(), 101U);
  EXPECT_LE(kept, kKeptBytesMax);
  EXPECT_GE(kept, 300000U);
}

TEST(MessageParser, ALongHeaderFieldIsCut) {
  const MessageStructure structure =
      parse_message("Subject: " + std::string(200000, 's') + "\n" + " more\nDate: now\n\nx");
  ASSERT_TRUE(structure.envelope.subject);
  EXPECT_LE(structure.envelope.subject->size(), kFieldBytesMax);
  EXPECT_EQ(structure.envelope.date, "now");
  EXPECT_EQ(structure.parts[0].body.bytes, 1U);
}

TEST(MessageParser, ALineWithoutEndIsNotHeld) {
  MessageParser parser;
  parser.feed("Content-Type: multipart/mixed; boundary=b\n\n--b\n\n-");
  const std::string piece(1 << 20, '-');
  for (int i = 0; i < 20; ++i) parser.feed(piece);
  parser.feed("\n--b--\n");
  const MessageStructure structure = parser.finish();
  ASSERT_EQ(structure.parts.size(), 2U);
  EXPECT_EQ(structure.parts[1].body.bytes, (20U << 20) + 1);
}

}  // namespace
}  // namespace dormouse::mime
