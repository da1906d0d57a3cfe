#pragma once
// Which bytes of a message a FETCH BODY[...] means (RFC 3501 6.4.5), and where they lie.

#include <cstdint>
#include <string>
#include <vector>

namespace dormouse::mime {

enum class SectionKind : std::uint8_t {
  kAll,              // BODY[] or BODY[1.2]: the whole message, or the body of a part
  kHeader,           // [HEADER], [1.HEADER]: with the empty line that ends it
  kHeaderFields,     // [HEADER.FIELDS (...)]
  kHeaderFieldsNot,  // [HEADER.FIELDS.NOT (...)]
  kText,             // [TEXT]: everything after the header
  kMime,             // [1.MIME]: the MIME header of a part; needs a part number
};

// What stands between the brackets.
struct Section {
  std::vector<std::uint32_t> part;  // 1-based part numbers, outermost first; empty: the message
  SectionKind kind = SectionKind::kAll;
  std::vector<std::string> fields;  // for kHeaderFields and kHeaderFieldsNot, as the client wrote

  bool operator==(const Section&) const = default;
};

// A stretch of a message as it lies in its file, and what it measures as IMAP shows it: with every
// line ended by CRLF. Offsets and bytes are of the file; octets() is what goes over the wire.
struct Range {
  std::uint64_t offset = 0;  // from the start of the message, in file bytes
  std::uint64_t bytes = 0;   // length in file bytes
  std::uint64_t bare_lfs =
      0;                    // LFs without a CR before them: each costs one octet more on the wire
  std::uint64_t lines = 0;  // LFs, bare or not

  // Length over IMAP: literal sizes, RFC822.SIZE, the octet counts of BODYSTRUCTURE.
  std::uint64_t octets() const { return bytes + bare_lfs; }
  std::uint64_t end() const { return offset + bytes; }
  bool operator==(const Range&) const = default;
};

}  // namespace dormouse::mime
