#include "mime/text_search.h"

#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/ustring.h>
#include <unicode/utf16.h>

#include <algorithm>
#include <utility>

namespace dormouse::mime {
namespace {

// ICU's table; immutable, made once by ICU itself.
const UNormalizer2* nfkd() {
  UErrorCode error = U_ZERO_ERROR;
  const UNormalizer2* normalizer = unorm2_getNFKDInstance(&error);
  DORMOUSE_CHECK(U_SUCCESS(error), "ICU has NFKD");
  return normalizer;
}

// Calls put(unit) for each UTF-16 unit of one character under i;unicode-casemap.
template <class Put>
void casemap(UChar32 c, Put put) {
  if (c < 0x80) {
    put(static_cast<char16_t>(c >= 'a' && c <= 'z' ? c - 32 : c));
    return;
  }
  c = u_totitle(c);
  // The longest decomposition, U+FDFA, has 18 units.
  char16_t units[32];
  UErrorCode error = U_ZERO_ERROR;
  const int32_t length = unorm2_getDecomposition(nfkd(), c, units, 32, &error);
  if (length > 0 && U_SUCCESS(error)) {
    for (int32_t i = 0; i < length; ++i) put(units[i]);
  } else if (c < 0x10000) {
    put(static_cast<char16_t>(c));
  } else {
    put(static_cast<char16_t>(U16_LEAD(c)));
    put(static_cast<char16_t>(U16_TRAIL(c)));
  }
}

// Calls visit(character) for UTF-16 in pieces; `high` carries a surrogate over their edge.
template <class Visit>
void each_character(std::u16string_view units, char16_t& high, Visit visit) {
  for (char16_t unit : units) {
    if (high != 0) {
      const char16_t lead = std::exchange(high, u'\0');
      if (U16_IS_TRAIL(unit)) {
        visit(static_cast<UChar32>(U16_GET_SUPPLEMENTARY(lead, unit)));
        continue;
      }
      visit(static_cast<UChar32>(lead));
    }
    if (U16_IS_LEAD(unit)) {
      high = unit;
    } else {
      visit(static_cast<UChar32>(unit));
    }
  }
}

std::u16string casemapped_units(std::string_view utf8) {
  std::u16string text;
  CharsetDecoder("utf-8").decode(utf8, true, text);
  std::u16string units;
  char16_t high = 0;
  each_character(text, high,
                 [&](UChar32 c) { casemap(c, [&](char16_t unit) { units.push_back(unit); }); });
  return units;
}

const std::string& charset_of(const Part& part) {
  static const std::string kNone;
  const std::string* charset = find_parameter(part.parameters, "charset");
  return charset != nullptr ? *charset : kNone;
}

}  // namespace

Needle::Needle(std::string_view utf8) : units_(casemapped_units(utf8)) {
  failure_.resize(units_.size());
  std::uint32_t matched = 0;
  for (std::size_t i = 1; i < units_.size(); ++i) {
    while (matched > 0 && units_[i] != units_[matched]) matched = failure_[matched - 1];
    if (units_[i] == units_[matched]) ++matched;
    failure_[i] = matched;
  }
}

bool TextMatcher::feed(std::u16string_view units) {
  if (found_) return true;
  const std::u16string& wanted = needle_->units_;
  each_character(units, high_surrogate_, [&](UChar32 c) {
    casemap(c, [&](char16_t unit) {
      if (found_) return;
      while (matched_ > 0 && unit != wanted[matched_]) matched_ = needle_->failure_[matched_ - 1];
      if (unit == wanted[matched_]) ++matched_;
      found_ = matched_ == wanted.size();
    });
  });
  return found_;
}

PartSearcher::PartSearcher(const Part& part, const Needle& needle)
    : transfer_(transfer_encoding(part.encoding)), charset_(charset_of(part)), matcher_(needle) {}

bool PartSearcher::feed(std::string_view bytes) {
  if (matcher_.found()) return true;
  bytes_.clear();
  units_.clear();
  transfer_.decode(bytes, bytes_);
  charset_.decode(bytes_, false, units_);
  return matcher_.feed(units_);
}

bool PartSearcher::finish() {
  if (matcher_.found()) return true;
  bytes_.clear();
  units_.clear();
  transfer_.finish(bytes_);
  charset_.decode(bytes_, true, units_);
  return matcher_.feed(units_);
}

std::string casemapped(std::string_view utf8) {
  const std::u16string units = casemapped_units(utf8);
  constexpr std::size_t kUtf8BytesMax = 3;  // of one UTF-16 unit
  std::string out(units.size() * kUtf8BytesMax, '\0');
  int32_t length = 0;
  UErrorCode error = U_ZERO_ERROR;
  u_strToUTF8WithSub(out.data(), static_cast<int32_t>(out.size()), &length, units.data(),
                     static_cast<int32_t>(units.size()), 0xfffd, nullptr, &error);
  DORMOUSE_CHECK(U_SUCCESS(error), "the buffer holds any text");
  out.resize(static_cast<std::size_t>(length));
  return out;
}

bool text_contains(std::string_view utf8, const Needle& needle) {
  TextMatcher matcher(needle);
  std::u16string units;
  CharsetDecoder("utf-8").decode(utf8, true, units);
  return matcher.feed(units);
}

bool header_contains(std::string_view value, const Needle& needle) {
  return text_contains(decode_header(value), needle);
}

}  // namespace dormouse::mime
