#pragma once
// Text in any charset, to UTF-8 (ICU), and the encoded words of headers (RFC 2047).

#include <memory>
#include <string>
#include <string_view>

#include "io/result.h"

namespace dormouse::mime {

// Whether convert_to_utf8() knows the charset. US-ASCII and "" are known.
bool charset_known(std::string_view charset);

// kUnsupported: unknown charset (SEARCH answers NO [BADCHARSET]); kInvalid: the bytes are not text
// in it.
Result<std::string> convert_to_utf8(std::string_view charset, std::string_view bytes);

// Converts in pieces. Never fails: an unknown charset is read as UTF-8, what is not text becomes
// U+FFFD. UTF-8 that was cut between two pieces is put together again.
class CharsetDecoder {
 public:
  explicit CharsetDecoder(std::string_view charset);
  ~CharsetDecoder();
  CharsetDecoder(CharsetDecoder&&) noexcept;
  CharsetDecoder& operator=(CharsetDecoder&&) noexcept;

  // Appends UTF-16 to `out`. `last`: nothing follows; a cut-off character is then U+FFFD.
  void decode(std::string_view bytes, bool last, std::u16string& out);

 private:
  struct Converter;
  std::unique_ptr<Converter> converter_;
};

// A header value with its encoded words decoded, as UTF-8. Words that cannot be decoded stay as
// they are; raw 8-bit bytes are taken for UTF-8, or where that cannot be for
// windows-1252.
std::string decode_header(std::string_view value);

}  // namespace dormouse::mime
