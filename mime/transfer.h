#pragma once
// Content-Transfer-Encoding decoders (RFC 2045 6), in pieces, forgiving: what is not of the
// encoding is skipped (base64) or kept (quoted-printable). They never fail.

#include <cstdint>
#include <string>
#include <string_view>

namespace dormouse::mime {

enum class TransferEncoding : std::uint8_t { kIdentity, kBase64, kQuotedPrintable };

// 7bit, 8bit, binary and everything unknown are kIdentity.
TransferEncoding transfer_encoding(std::string_view name);

class TransferDecoder {
 public:
  explicit TransferDecoder(TransferEncoding encoding) : encoding_(encoding) {}

  // Appends the decoded bytes to `out`: never more than were fed, plus three kept back.
  void decode(std::string_view bytes, std::string& out);
  // The end: what was kept back is settled.
  void finish(std::string& out);

 private:
  void decode_base64(std::string_view bytes, std::string& out);
  void decode_quoted_printable(std::string_view bytes, std::string& out);

  TransferEncoding encoding_;
  std::uint32_t bits_ = 0;  // base64: bits collected
  std::uint8_t bit_count_ = 0;
  std::uint8_t held_bytes_ = 0;  // quoted-printable: "=", "=4", "=\r"
  char held_[2] = {};
};

}  // namespace dormouse::mime
