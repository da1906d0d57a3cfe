// Modified UTF-7 of RFC 3501 5.1.3: printable ASCII stands for itself, "&" is "&-", everything else
// is
// "&" modified-base64(UTF-16BE) "-". Decoding is strict, so that a name has one spelling only.

#include "store/maildir_name.h"

namespace dormouse::store {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

bool is_direct(char c) { return c >= 0x20 && c <= 0x7e; }

// One code point of strict UTF-8 (no overlong forms, no surrogates), or nothing.
std::optional<char32_t> next_code_point(std::string_view text, size_t& at) {
  auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  uint8_t lead = byte(at);
  size_t length = lead < 0x80       ? 1
                  : lead >> 5 == 6  ? 2
                  : lead >> 4 == 14 ? 3
                  : lead >> 3 == 30 ? 4
                                    : 0;
  if (length == 0 || at + length > text.size()) return std::nullopt;
  constexpr uint8_t kLeadMask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
  constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  char32_t code = lead & kLeadMask[length];
  for (size_t i = 1; i < length; ++i) {
    if (byte(at + i) >> 6 != 2) return std::nullopt;
    code = code << 6 | (byte(at + i) & 0x3f);
  }
  if (code < kLeast[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
    return std::nullopt;
  }
  at += length;
  return code;
}

void append_utf8(std::string& out, char32_t code) {
  auto put = [&](char32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3f));
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

// Collects 16-bit units and writes them as base64 digits.
class Shifted {
 public:
  explicit Shifted(std::string& out) : out_(out) {}
  void unit(uint16_t value) {
    bits_ = bits_ << 16 | value;
    count_ += 16;
    while (count_ >= 6) {
      count_ -= 6;
      out_ += kAlphabet[bits_ >> count_ & 0x3f];
    }
  }
  void end() {
    if (count_ > 0) out_ += kAlphabet[bits_ << (6 - count_) & 0x3f];
    out_ += '-';
    count_ = 0;
  }

 private:
  std::string& out_;
  uint32_t bits_ = 0;
  unsigned count_ = 0;
};

// Decodes the base64 digits between '&' and '-' and appends UTF-8. False: not strictly valid.
bool append_shifted(std::string& out, std::string_view digits) {
  uint32_t bits = 0;
  unsigned count = 0;
  char32_t high = 0;
  for (char c : digits) {
    size_t value = kAlphabet.find(c);
    if (value == std::string_view::npos) return false;
    bits = bits << 6 | static_cast<uint32_t>(value);
    count += 6;
    if (count < 16) continue;
    count -= 16;
    char32_t unit = bits >> count & 0xffff;
    if (high != 0) {
      if (unit < 0xdc00 || unit > 0xdfff) return false;
      append_utf8(out, 0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00));
      high = 0;
    } else if (unit >= 0xd800 && unit <= 0xdbff) {
      high = unit;
    } else if ((unit >= 0xdc00 && unit <= 0xdfff) ||
               (unit < 0x80 && is_direct(static_cast<char>(unit)))) {
      return false;
    } else {
      append_utf8(out, unit);
    }
  }
  return high == 0 && count < 6 && (bits & ((1u << count) - 1)) == 0;
}

}  // namespace

std::optional<std::string> to_modified_utf7(std::string_view utf8) {
  std::string out;
  Shifted shifted(out);
  bool inside = false;
  for (size_t at = 0; at < utf8.size();) {
    auto code = next_code_point(utf8, at);
    if (!code) return std::nullopt;
    if (*code < 0x80 && is_direct(static_cast<char>(*code))) {
      if (inside) shifted.end();
      inside = false;
      out += static_cast<char>(*code);
      if (*code == U'&') out += '-';
      continue;
    }
    if (!inside) out += '&';
    inside = true;
    if (*code < 0x10000) {
      shifted.unit(static_cast<uint16_t>(*code));
    } else {
      shifted.unit(static_cast<uint16_t>(0xd800 + ((*code - 0x10000) >> 10)));
      shifted.unit(static_cast<uint16_t>(0xdc00 + ((*code - 0x10000) & 0x3ff)));
    }
  }
  if (inside) shifted.end();
  return out;
}

std::optional<std::string> from_modified_utf7(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    char c = text[at];
    if (!is_direct(c)) return std::nullopt;
    if (c != '&') {
      out += c;
      ++at;
      continue;
    }
    size_t end = text.find('-', at);
    if (end == std::string_view::npos) return std::nullopt;
    std::string_view digits = text.substr(at + 1, end - at - 1);
    if (digits.empty()) {
      out += '&';
    } else if (!append_shifted(out, digits)) {
      return std::nullopt;
    }
    at = end + 1;
  }
  // One spelling only: what would be written differently is refused.
  auto again = to_modified_utf7(out);
  if (!again || *again != text) return std::nullopt;
  return out;
}

}  // namespace dormouse::store
