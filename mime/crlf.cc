#include "mime/crlf.h"

#include <algorithm>

namespace dormouse::mime {
namespace {

// IMAP strings hold no NUL (RFC 3501 9, CHAR8); 0x80 in its place keeps the length.
constexpr char kForNul = static_cast<char>(0x80);

}  // namespace

SectionStream::SectionStream(const Range& range, std::uint64_t offset_octets,
                             std::uint64_t octets_max)
    : file_offset_(range.offset), file_end_(range.end()) {
  const std::uint64_t all = range.octets();
  offset_octets = std::min(offset_octets, all);
  octets_ = std::min(octets_max, all - offset_octets);
  left_octets_ = octets_;
  plain_ = range.bare_lfs == 0;
  if (plain_) {
    file_offset_ += offset_octets;
    file_end_ = file_offset_ + octets_;
  } else {
    skip_octets_ = offset_octets;
  }
}

void SectionStream::feed(std::string_view bytes, std::string& out) {
  bytes = bytes.substr(0, std::min<std::uint64_t>(bytes.size(), file_end_ - file_offset_));
  file_offset_ += bytes.size();
  auto put = [&](std::string_view piece) {
    const std::uint64_t skipped = std::min<std::uint64_t>(skip_octets_, piece.size());
    skip_octets_ -= skipped;
    piece.remove_prefix(skipped);
    piece = piece.substr(0, std::min<std::uint64_t>(left_octets_, piece.size()));
    left_octets_ -= piece.size();
    const std::size_t start = out.size();
    out += piece;
    for (std::size_t i = out.find('\0', start); i != std::string::npos; i = out.find('\0', i)) {
      out[i] = kForNul;
    }
  };
  if (plain_) return put(bytes);
  while (!bytes.empty() && left_octets_ > 0) {
    const std::size_t lf = bytes.find('\n');
    if (lf == std::string_view::npos) {
      put(bytes);
      previous_ = bytes.back();
      return;
    }
    put(bytes.substr(0, lf));
    put((lf > 0 ? bytes[lf - 1] : previous_) == '\r' ? "\n" : "\r\n");
    previous_ = '\n';
    bytes.remove_prefix(lf + 1);
  }
}

void SectionStream::pad(std::string& out) {
  out.append(left_octets_, ' ');
  left_octets_ = 0;
}

std::string to_crlf(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() + bytes.size() / 32);
  char previous = '\0';
  for (char c : bytes) {
    if (c == '\n' && previous != '\r') out.push_back('\r');
    out.push_back(c == '\0' ? kForNul : c);
    previous = c;
  }
  return out;
}

void SizeCounter::feed(std::string_view bytes) {
  range_.bytes += bytes.size();
  for (std::size_t lf = bytes.find('\n'); lf != std::string_view::npos;
       lf = bytes.find('\n', lf + 1)) {
    range_.lines += 1;
    if ((lf > 0 ? bytes[lf - 1] : previous_) != '\r') range_.bare_lfs += 1;
  }
  if (!bytes.empty()) previous_ = bytes.back();
}

}  // namespace dormouse::mime
