#pragma once
// From file bytes to IMAP bytes: every line ends in CRLF, and NUL, which IMAP strings cannot hold,
// becomes 0x80. Both in pieces.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mime/section.h"

namespace dormouse::mime {

// Streams a range of a message as CRLF bytes, or a piece of it (BODY[]<offset.octets>).
//
//   SectionStream stream(range, partial_offset, partial_octets);
//   put_literal_header(out, stream.octets());
//   while (!stream.done()) {
//     bytes = read the file at stream.file_offset(), at most stream.file_bytes_wanted() bytes;
//     stream.feed(bytes, out);
//   }
// A file that turns out shorter than the range: call pad(), so that the literal has its length.
class SectionStream {
 public:
  explicit SectionStream(const Range& range) : SectionStream(range, 0, UINT64_MAX) {}
  // Offset and octets count IMAP bytes. Where the range has LF-only lines, the bytes before the
  // offset must be read through to find it; otherwise reading starts at it.
  SectionStream(const Range& range, std::uint64_t offset_octets, std::uint64_t octets_max);

  // Octets that will be appended in all: known before anything is read.
  std::uint64_t octets() const { return octets_; }
  bool done() const { return left_octets_ == 0; }
  std::uint64_t file_offset() const { return file_offset_; }
  std::uint64_t file_bytes_wanted() const { return done() ? 0 : file_end_ - file_offset_; }

  // `bytes` are those at file_offset(). Appends at most octets() in all to `out`.
  void feed(std::string_view bytes, std::string& out);
  // Fills up with spaces what the file no longer has.
  void pad(std::string& out);

 private:
  std::uint64_t file_offset_ = 0;
  std::uint64_t file_end_ = 0;
  std::uint64_t skip_octets_ = 0;
  std::uint64_t octets_ = 0;
  std::uint64_t left_octets_ = 0;
  char previous_ = '\n';
  bool plain_ = false;  // no bare LF: file bytes are IMAP bytes
};

// The whole of `bytes`, for what is small: a header, a test.
std::string to_crlf(std::string_view bytes);

// Counts bytes, lines and bare LFs of what it is fed: RFC822.SIZE without a structure.
class SizeCounter {
 public:
  void feed(std::string_view bytes);
  Range range() const { return range_; }

 private:
  Range range_;
  char previous_ = '\0';
};

}  // namespace dormouse::mime
