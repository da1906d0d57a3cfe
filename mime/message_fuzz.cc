// A whole message: the first byte chooses the pieces it is fed in. What must hold: pieces make no
// difference, ranges lie in the message and measure what is streamed, the cached form comes back.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "mime/crlf.h"
#include "mime/header_filter.h"
#include "mime/parser.h"
#include "mime/structure_codec.h"
#include "mime/text_search.h"

namespace {

using namespace dormouse::mime;

void check(bool holds) {
  if (!holds) std::abort();
}

std::string stream(std::string_view mail, SectionStream section) {
  std::string out;
  section.feed(mail.substr(section.file_offset(), section.file_bytes_wanted()), out);
  check(section.done() && out.size() == section.octets());
  return out;
}

void check_part(std::string_view mail, const Part& part) {
  check(part.header.end() == part.body.offset && part.body.end() <= mail.size());
  const std::string body = stream(mail, SectionStream(part.body));
  check(body.size() == part.body.octets());
  check(body == to_crlf(mail.substr(part.body.offset, part.body.bytes)));
  if (body.size() > 3) {
    check(stream(mail, SectionStream(part.body, 1, 2)) == body.substr(1, 2));
  }
  Needle needle("a\u00e9b");
  PartSearcher searcher(part, needle);
  searcher.feed(mail.substr(part.body.offset, part.body.bytes));
  searcher.finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::size_t piece = std::size_t{data[0]} + 1;
  std::string_view mail(reinterpret_cast<const char*>(data) + 1, size - 1);
  const MessageStructure structure = parse_message(mail);
  MessageParser parser;
  for (std::size_t at = 0; at < mail.size(); at += piece) parser.feed(mail.substr(at, piece));
  check(parser.finish() == structure);
  check(structure.whole().bytes == mail.size());
  // Bodies lie in one another, so looking at all of many would cost the square.
  for (std::size_t i = 0; i < structure.parts.size() && i < 20; ++i) {
    check_part(mail, structure.parts[i]);
  }
  auto decoded = decode_structure(encode_structure(structure));
  check(decoded.has_value() && *decoded == structure);
  std::string both;
  const Range header = structure.parts[0].header;
  for (SectionKind kind : {SectionKind::kHeaderFields, SectionKind::kHeaderFieldsNot}) {
    HeaderFilter filter({{}, kind, {"Subject", "a"}});
    filter.feed(mail.substr(0, header.bytes), both);
    filter.finish(both);
  }
  // Each filter may end a cut-off line, and adds the empty one.
  check(both.size() <= header.octets() + 8);
  return 0;
}
