// text_search, charset, transfer.

#include "mime/text_search.h"

#include <gtest/gtest.h>

#include "mime/parser.h"
#include "mime/test_mails.h"

namespace dormouse::mime {
namespace {

std::string decoded(TransferEncoding encoding, std::string_view text, std::size_t piece) {
  TransferDecoder decoder(encoding);
  std::string out;
  for (std::size_t at = 0; at < text.size(); at += piece)
    decoder.decode(text.substr(at, piece), out);
  decoder.finish(out);
  return out;
}

TEST(TransferDecoder, DecodesInAnyPieces) {
  for (std::size_t piece : {1U, 2U, 3U, 100U}) {
    EXPECT_EQ(decoded(TransferEncoding::kBase64, "SGVs\r\nbG8g d29ybGQ=\r\n", piece),
              "Hello world");
    EXPECT_EQ(decoded(TransferEncoding::kBase64, "SGk=SGk=", piece), "HiHi");
    EXPECT_EQ(decoded(TransferEncoding::kQuotedPrintable, "a=C3=A4=\r\nb= \t\r\nc=\nd=", piece),
              "a\xc3\xa4"
              "bcd");
    EXPECT_EQ(decoded(TransferEncoding::kQuotedPrintable, "1=2 =x==3d=4", piece), "1=2 =x===4");
    EXPECT_EQ(decoded(TransferEncoding::kIdentity, "=41", piece), "=41");
  }
}

TEST(Charset, ConvertsAndRefuses) {
  EXPECT_EQ(convert_to_utf8("iso-8859-1", "M\xfcller").value(), "Müller");
  EXPECT_EQ(convert_to_utf8("", "abc").value(), "abc");
  EXPECT_EQ(convert_to_utf8("x-none", "abc").error().kind, ErrorKind::kUnsupported);
  EXPECT_EQ(convert_to_utf8("utf-8", "\xff").error().kind, ErrorKind::kInvalid);
  EXPECT_EQ(convert_to_utf8("us-ascii", "\xe4").error().kind, ErrorKind::kInvalid);
  EXPECT_TRUE(charset_known("KOI8-R"));
  EXPECT_FALSE(charset_known("../../etc/passwd"));
  EXPECT_FALSE(charset_known(std::string(10000, 'x')));
}

TEST(Charset, DecodesHeaders) {
  EXPECT_EQ(decode_header("=?iso-8859-1?Q?M=FCller?= <m@x>"), "Müller <m@x>");
  EXPECT_EQ(decode_header("=?utf-8?Q?caf=C3=A9?=  =?utf-8?Q?_au_lait?="), "café au lait");
  EXPECT_EQ(decode_header("=?utf-8?Q?=C3?= =?utf-8?Q?=A4?="), "ä") << "a character cut in two";
  EXPECT_EQ(decode_header("a =?x-none?Q?b?= =? c =?="), "a =?x-none?Q?b?= =? c =?=");
  EXPECT_EQ(decode_header("raw ä"), "raw ä");
  EXPECT_EQ(decode_header("raw \xe4"), "raw ä");
  EXPECT_EQ(decode_header("=?utf-8*en?Q?x?="), "x");
}

TEST(TextSearch, DisregardsCaseAndComposition) {
  auto contains = [](std::string_view text, std::string_view needle) {
    return text_contains(text, Needle(needle));
  };
  EXPECT_TRUE(contains("Hello World", "lo wo"));
  EXPECT_TRUE(contains("GRÜẞE", "grü"));
  EXPECT_TRUE(contains("привет", "ПРИВЕТ"));
  EXPECT_TRUE(contains("caf\u00e9", "CAFE\u0301"));
  EXPECT_TRUE(contains("x😀y", "😀"));
  EXPECT_TRUE(contains("", ""));
  EXPECT_FALSE(contains("", "a"));
  EXPECT_FALSE(contains("abc", "abd"));
  EXPECT_TRUE(contains("aaaab", "aab"));
  EXPECT_TRUE(contains("abababac", "ababac"));
}

TEST(TextSearch, LooksIntoEncodedParts) {
  auto finds = [](const char* name, std::string_view text, std::size_t piece) {
    const std::string mail = test_mail(name);
    const MessageStructure structure = parse_message(mail);
    const Part& part = structure.parts[0];
    Needle needle(text);
    PartSearcher searcher(part, needle);
    std::string_view body = std::string_view(mail).substr(part.body.offset, part.body.bytes);
    for (std::size_t at = 0; at < body.size(); at += piece) searcher.feed(body.substr(at, piece));
    return searcher.finish();
  };
  for (std::size_t piece : {1U, 2U, 5U, 1000U}) {
    EXPECT_TRUE(finds("base64_text.eml", "MÜNCHEN", piece));
    EXPECT_TRUE(finds("qp_text.eml", "grüße aus", piece));
    EXPECT_TRUE(finds("qp_text.eml", "long line joined", piece));
    EXPECT_FALSE(finds("qp_text.eml", "=C3", piece));
    EXPECT_TRUE(finds("plain.eml", "hÄLLO", piece));
  }
}

TEST(TextSearch, LooksIntoEncodedHeaders) {
  EXPECT_TRUE(header_contains("=?iso-8859-1?Q?M=FCller?=", Needle("MÜLLER")));
  EXPECT_FALSE(header_contains("=?iso-8859-1?Q?M=FCller?=", Needle("iso")));
}

TEST(TextSearch, CasemappedTextComparesByItsOctets) {
  EXPECT_EQ(casemapped("aZ1"), "AZ1");
  EXPECT_EQ(casemapped("\u00e9"), casemapped("E\u0301"));
  EXPECT_EQ(casemapped("\U0001F600x"), "\U0001F600X");
  EXPECT_EQ(casemapped("a\xff"), "A\uFFFD");
  EXPECT_LT(casemapped("apple"), casemapped("Banana"));
}

}  // namespace
}  // namespace dormouse::mime
