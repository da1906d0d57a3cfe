#include "mime/charset.h"

#include <unicode/ucnv.h>
#include <unicode/ustring.h>

#include <algorithm>
#include <cstdint>

#include "mime/ascii.h"
#include "mime/transfer.h"

namespace dormouse::mime {
namespace {

constexpr std::size_t kCharsetBytesMax = 64;  // UCNV_MAX_CONVERTER_NAME_LENGTH is 60

struct CloseConverter {
  void operator()(UConverter* converter) const { ucnv_close(converter); }
};
using ConverterPtr = std::unique_ptr<UConverter, CloseConverter>;

// nullptr when ICU does not know the charset. ICU takes any name with options ("x,locale=..") and
// files; ours have neither.
ConverterPtr open_converter(std::string_view charset) {
  if (charset.empty()) charset = "us-ascii";
  if (charset.size() > kCharsetBytesMax) return nullptr;
  for (char c : charset) {
    if (c <= ' ' || c >= 0x7f || c == ',' || c == '/' || c == '\\') return nullptr;
  }
  UErrorCode error = U_ZERO_ERROR;
  ConverterPtr converter(ucnv_open(std::string(charset).c_str(), &error));
  if (U_FAILURE(error)) return nullptr;
  return converter;
}

// Appends what converter makes of `bytes` to `out`, in pieces of the stack.
UErrorCode convert(UConverter* converter, std::string_view bytes, bool last, std::u16string& out) {
  const char* source = bytes.data();
  const char* const source_end = source + bytes.size();
  UErrorCode error = U_ZERO_ERROR;
  do {
    char16_t units[512];
    char16_t* target = units;
    error = U_ZERO_ERROR;
    ucnv_toUnicode(converter, &target, std::end(units), &source, source_end, nullptr, last ? 1 : 0,
                   &error);
    out.append(units, target);
  } while (error == U_BUFFER_OVERFLOW_ERROR);
  return error;
}

void put_utf8(std::u16string_view units, std::string& out) {
  // Three bytes a unit at the most; a surrogate pair makes four of two.
  const std::size_t start = out.size();
  out.resize(start + units.size() * 3);
  int32_t length = 0;
  UErrorCode error = U_ZERO_ERROR;
  u_strToUTF8WithSub(out.data() + start, static_cast<int32_t>(out.size() - start), &length,
                     units.data(), static_cast<int32_t>(units.size()), 0xfffd, nullptr, &error);
  out.resize(start + static_cast<std::size_t>(std::max(length, 0)));
}

}  // namespace

bool charset_known(std::string_view charset) { return open_converter(charset) != nullptr; }

Result<std::string> convert_to_utf8(std::string_view charset, std::string_view bytes) {
  ConverterPtr converter = open_converter(charset);
  if (!converter) return fail(ErrorKind::kUnsupported, "unknown charset");
  UErrorCode error = U_ZERO_ERROR;
  ucnv_setToUCallBack(converter.get(), UCNV_TO_U_CALLBACK_STOP, nullptr, nullptr, nullptr, &error);
  std::u16string units;
  if (U_FAILURE(error) || U_FAILURE(convert(converter.get(), bytes, true, units))) {
    return fail(ErrorKind::kInvalid, "the text is not of its charset");
  }
  std::string out;
  put_utf8(units, out);
  return out;
}

struct CharsetDecoder::Converter {
  ConverterPtr icu;
};

CharsetDecoder::CharsetDecoder(std::string_view charset) : converter_(new Converter) {
  // US-ASCII that holds other bytes is UTF-8 more often than anything else, and UTF-8 reads ASCII.
  const bool ascii = charset.empty() || same_name(charset, "us-ascii");
  if (!ascii) converter_->icu = open_converter(charset);
  if (!converter_->icu) converter_->icu = open_converter("utf-8");
  DORMOUSE_CHECK(converter_->icu != nullptr, "ICU has UTF-8");
}

CharsetDecoder::~CharsetDecoder() = default;
CharsetDecoder::CharsetDecoder(CharsetDecoder&&) noexcept = default;
CharsetDecoder& CharsetDecoder::operator=(CharsetDecoder&&) noexcept = default;

void CharsetDecoder::decode(std::string_view bytes, bool last, std::u16string& out) {
  // The converter substitutes U+FFFD by itself, so it does not fail.
  convert(converter_->icu.get(), bytes, last, out);
  if (last) ucnv_reset(converter_->icu.get());
}

namespace {

// One encoded word, "=?charset?B?text?=", taken off the front of `text`. False if there is none.
struct EncodedWord {
  std::string_view charset;
  std::string bytes;
};

bool take_encoded_word(std::string_view& text, EncodedWord& word) {
  if (!text.starts_with("=?")) return false;
  const std::size_t charset_end = text.find('?', 2);
  if (charset_end == std::string_view::npos || charset_end + 2 >= text.size() ||
      text[charset_end + 2] != '?') {
    return false;
  }
  const char encoding = lower(text[charset_end + 1]);
  const std::size_t data = charset_end + 3;
  const std::size_t end = text.find("?=", data);
  if (end == std::string_view::npos || (encoding != 'b' && encoding != 'q')) return false;
  std::string_view coded = text.substr(data, end - data);
  if (coded.find_first_of(" \t") != std::string_view::npos) return false;
  word.charset = text.substr(2, charset_end - 2);
  word.charset = word.charset.substr(0, word.charset.find('*'));  // RFC 2231 5: a language
  word.bytes.clear();
  std::string plain(coded);
  if (encoding == 'q') std::ranges::replace(plain, '_', ' ');
  TransferDecoder decoder(encoding == 'b' ? TransferEncoding::kBase64
                                          : TransferEncoding::kQuotedPrintable);
  decoder.decode(plain, word.bytes);
  decoder.finish(word.bytes);
  text.remove_prefix(end + 2);
  return true;
}

}  // namespace

std::string decode_header(std::string_view value) {
  std::u16string units;
  // Raw 8-bit bytes: what is not UTF-8 was written by an old mailer, and most of them meant this.
  const bool raw_utf8 = convert_to_utf8("utf-8", value).has_value();
  CharsetDecoder raw(raw_utf8 ? "utf-8" : "windows-1252");
  // Bytes of neighbouring words of one charset are converted together: some mailers cut characters.
  std::string pending;
  std::string pending_charset;
  auto flush = [&] {
    if (!pending.empty()) CharsetDecoder(pending_charset).decode(pending, true, units);
    pending.clear();
  };
  while (!value.empty()) {
    EncodedWord word;
    std::string_view ahead = value;
    // Blanks between two encoded words are no text (RFC 2047 6.2).
    if (!pending.empty())
      ahead.remove_prefix(std::min(ahead.find_first_not_of(" \t"), ahead.size()));
    const bool known = take_encoded_word(ahead, word) && charset_known(word.charset);
    if (known) {
      if (!same_name(pending_charset, word.charset)) flush();
      pending_charset = word.charset;
      pending += word.bytes;
      value = ahead;
      continue;
    }
    flush();
    const std::size_t next = std::min(value.find("=?", 1), value.size());
    raw.decode(value.substr(0, next), true, units);
    value.remove_prefix(next);
  }
  flush();
  std::string out;
  put_utf8(units, out);
  return out;
}

}  // namespace dormouse::mime
