#pragma once
// Finds text in messages as SEARCH does: without regard to case, in any charset and encoding, in
// pieces (RFC 3501 6.4.4). Characters are compared under i;unicode-casemap (RFC 5051): title case,
// then full decomposition. So "STRASSE" does not find "straße", and "e\u0301" finds "é".

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mime/charset.h"
#include "mime/message.h"
#include "mime/transfer.h"

namespace dormouse::mime {

// A text to look for, made once per search key; used by any number of matchers at a time.
class Needle {
 public:
  // UTF-8; bytes that are not become U+FFFD.
  explicit Needle(std::string_view utf8);
  bool empty() const { return units_.empty(); }

 private:
  friend class TextMatcher;
  std::u16string units_;                // casemapped
  std::vector<std::uint32_t> failure_;  // of Knuth, Morris and Pratt
};

// Looks for one needle in one stream of characters. Memory: one number.
class TextMatcher {
 public:
  explicit TextMatcher(const Needle& needle) : needle_(&needle), found_(needle.empty()) {}

  // Returns found().
  bool feed(std::u16string_view units);
  bool found() const { return found_; }

 private:
  const Needle* needle_;
  std::size_t matched_ = 0;
  char16_t high_surrogate_ = 0;
  bool found_;
};

// The body of a part: transfer decoding, charset, matching. The needle outlives it.
class PartSearcher {
 public:
  PartSearcher(const Part& part, const Needle& needle);

  // Pieces of the part's body, in order. Returns true once the needle was found.
  bool feed(std::string_view bytes);
  bool finish();

 private:
  TransferDecoder transfer_;
  CharsetDecoder charset_;
  TextMatcher matcher_;
  std::string bytes_;
  std::u16string units_;
};

// Whether a header value (unfolded, encoded words and all) has the needle.
bool header_contains(std::string_view value, const Needle& needle);

// Text in UTF-8 as i;unicode-casemap has it, in UTF-8: comparing octets is then its order (RFC 5051
// 2). Bytes that are no UTF-8 become U+FFFD.
std::string casemapped(std::string_view utf8);

// Whether text in UTF-8 has the needle.
bool text_contains(std::string_view utf8, const Needle& needle);

}  // namespace dormouse::mime
