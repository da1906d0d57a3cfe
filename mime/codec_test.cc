// structure_codec, crlf, header_filter.

#include <gtest/gtest.h>

#include "mime/crlf.h"
#include "mime/header_filter.h"
#include "mime/limits.h"
#include "mime/parser.h"
#include "mime/structure_codec.h"
#include "mime/test_mails.h"

namespace dormouse::mime {
namespace {

TEST(StructureCodec, ComesBackAsItWas) {
  for (const auto& [name, mail] : test_mails()) {
    const MessageStructure structure = parse_message(mail);
    const std::string bytes = encode_structure(structure);
    auto decoded = decode_structure(bytes);
    ASSERT_TRUE(decoded) << name << ": " << decoded.error().message;
    EXPECT_EQ(*decoded, structure) << name;
    EXPECT_EQ(decode_envelope(bytes).value(), structure.envelope) << name;
  }
}

TEST(StructureCodec, RefusesEveryCutAndMostDamage) {
  const std::string bytes = encode_structure(parse_message(test_mail("rfc822.eml")));
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(decode_structure(bytes.substr(0, length))) << length;
  }
  EXPECT_FALSE(decode_structure(bytes + "x"));
  std::string other = bytes;
  other[0] = static_cast<char>(kStructureVersion + 1);
  EXPECT_FALSE(decode_structure(other));
  EXPECT_FALSE(decode_envelope(other));
}

TEST(StructureCodec, RefusesPartsThatAreNoTree) {
  const MessageStructure good = parse_message(test_mail("nested.eml"));
  auto refused = [&](auto change) {
    MessageStructure bad = good;
    change(bad);
    return !decode_structure(encode_structure(bad));
  };
  EXPECT_FALSE(refused([](MessageStructure&) {}));
  EXPECT_TRUE(refused([](MessageStructure& s) { s.parts[0].subtree = 99; }));
  EXPECT_TRUE(refused([](MessageStructure& s) { s.parts[1].subtree = 0; }));
  EXPECT_TRUE(refused([](MessageStructure& s) { s.parts[1].subtree = 4; }));
  EXPECT_TRUE(refused([](MessageStructure& s) { s.parts[1].kind = PartKind::kText; }));
  EXPECT_TRUE(refused([](MessageStructure& s) { s.parts[2].kind = PartKind::kMultipart; }));
  EXPECT_TRUE(refused([](MessageStructure& s) { s.parts[4].body.bytes = 1 << 20; }));
  EXPECT_TRUE(refused([](MessageStructure& s) { s.parts[2].header.offset = 0; }));
  EXPECT_TRUE(refused([](MessageStructure& s) { s.parts[2].body.lines = 1000; }));
  EXPECT_TRUE(refused([](MessageStructure& s) { s.inner_envelopes.emplace_back(); }));
  EXPECT_TRUE(refused([](MessageStructure& s) { s.parts.clear(); }));
}

TEST(StructureCodec, IsCompact) {
  const std::string bytes = encode_structure(parse_message(test_mail("plain.eml")));
  EXPECT_LT(bytes.size(), 250U);
}

TEST(StructureCodec, TheWorstMessageStaysBelowTheBoundOfItsDecoder) {
  std::string mail = "To: ";
  for (int i = 0; i < 30000; ++i) mail += "a,";
  mail += "\nContent-Type: multipart/mixed; boundary=b\n\n";
  for (std::size_t i = 0; i < kPartsMax; ++i)
    mail += "--b\nContent-Type: x/y;" + std::string(60, 'n') + "=v\n\nx\n";
  const MessageStructure structure = parse_message(mail);
  const std::string bytes = encode_structure(structure);
  EXPECT_LT(bytes.size(), 1U << 20);
  EXPECT_EQ(decode_structure(bytes).value(), structure);
}

// All of a range's IMAP bytes, the file read `piece` bytes at a time.
std::string stream_all(const std::string& file, SectionStream stream, std::size_t piece) {
  std::string out;
  const std::uint64_t promised = stream.octets();
  while (!stream.done()) {
    const std::size_t length = std::min<std::uint64_t>(piece, stream.file_bytes_wanted());
    if (stream.file_offset() >= file.size()) {
      stream.pad(out);
      break;
    }
    stream.feed(std::string_view(file).substr(stream.file_offset(), length), out);
  }
  EXPECT_EQ(out.size(), promised);
  return out;
}

TEST(SectionStream, GivesEveryPartialOfEveryMail) {
  for (const auto& [name, mail] : test_mails()) {
    const Range range = parse_message(mail).whole();
    const std::string all = to_crlf(mail);
    for (std::size_t piece : {1U, 5U, 100000U}) {
      EXPECT_EQ(stream_all(mail, SectionStream(range), piece), all) << name;
      for (std::size_t offset = 0; offset < all.size() + 3; offset += 13) {
        for (std::size_t octets : {1U, 2U, 20U}) {
          const std::string expected = all.substr(std::min(offset, all.size()), octets);
          ASSERT_EQ(stream_all(mail, SectionStream(range, offset, octets), piece), expected)
              << name << " <" << offset << "." << octets << ">";
        }
      }
    }
  }
}

TEST(SectionStream, AFileThatBecameShorterIsFilledUp) {
  EXPECT_EQ(stream_all("ab", SectionStream(Range{0, 5, 0, 0}), 10), "ab   ");
}

TEST(SectionStream, NulIsNeverSent) {
  const std::string file("a\0\nb", 4);
  EXPECT_EQ(stream_all(file, SectionStream(Range{0, 4, 1, 1}), 10), "a\x80\r\nb");
  EXPECT_EQ(to_crlf(file), "a\x80\r\nb");
}

TEST(SizeCounter, MeasuresAsTheParserDoes) {
  for (const auto& [name, mail] : test_mails()) {
    SizeCounter counter;
    for (std::size_t at = 0; at < mail.size(); at += 3) {
      counter.feed(std::string_view(mail).substr(at, 3));
    }
    EXPECT_EQ(counter.range(), parse_message(mail).whole()) << name;
  }
}

std::string filtered(std::string_view header, Section section, std::size_t piece = 1000) {
  HeaderFilter filter(section);
  std::string out;
  for (std::size_t at = 0; at < header.size(); at += piece) {
    filter.feed(header.substr(at, piece), out);
  }
  filter.finish(out);
  return out;
}

TEST(HeaderFilter, PicksFieldsWithTheirContinuations) {
  const std::string header = "From: a\nTo: b,\n c\nX: d\nfrom : e\n\nbody: no\n";
  for (std::size_t piece : {1U, 2U, 3U, 1000U}) {
    EXPECT_EQ(filtered(header, {{}, SectionKind::kHeaderFields, {"to", "FROM"}}, piece),
              "From: a\r\nTo: b,\r\n c\r\nfrom : e\r\n\r\n");
    EXPECT_EQ(filtered(header, {{}, SectionKind::kHeaderFieldsNot, {"to", "FROM"}}, piece),
              "X: d\r\n\r\n");
  }
  EXPECT_EQ(filtered(header, {{}, SectionKind::kHeaderFields, {"none"}}), "\r\n");
}

TEST(HeaderFilter, JunkGoesWithTheFieldBeforeIt) {
  const std::string header = "From ann\nTo: b\njunk\nX: d\n";
  EXPECT_EQ(filtered(header, {{}, SectionKind::kHeaderFields, {"to"}}), "To: b\r\njunk\r\n\r\n");
  EXPECT_EQ(filtered(header, {{}, SectionKind::kHeaderFieldsNot, {"to"}}),
            "From ann\r\nX: d\r\n\r\n");
}

TEST(HeaderFilter, AHeaderThatStopsShortIsEnded) {
  EXPECT_EQ(filtered("To: b", {{}, SectionKind::kHeaderFields, {"to"}}), "To: b\r\n\r\n");
  EXPECT_EQ(filtered("To", {{}, SectionKind::kHeaderFields, {"to"}}), "\r\n");
  EXPECT_EQ(filtered("", {{}, SectionKind::kHeaderFields, {"to"}}), "\r\n");
}

TEST(HeaderFilter, AVeryLongNameIsNobodys) {
  const std::string header = std::string(5000, 'x') + ": a\nTo: b\n\n";
  for (std::size_t piece : {1U, 1000U, 6000U}) {
    EXPECT_EQ(filtered(header, {{}, SectionKind::kHeaderFields, {"to"}}, piece), "To: b\r\n\r\n");
  }
}

TEST(HeaderValues, AreUnfolded) {
  EXPECT_EQ(header_values("A: 1\r\nB: x\r\n  y\r\na : 2\r\n\r\nA: body\r\n", "A"),
            (std::vector<std::string>{"1", "2"}));
  EXPECT_EQ(header_values("B: x\r\n  y\r\n", "b"), (std::vector<std::string>{"x  y"}));
}

}  // namespace
}  // namespace dormouse::mime
