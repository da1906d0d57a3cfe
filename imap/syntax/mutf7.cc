#include "imap/syntax/mutf7.h"

#include <cstdint>

namespace dormouse::imap {
namespace {

// Base64 of RFC 3501 5.1.3: ',' in place of '/', no padding.
constexpr std::string_view kDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

int digit_value(char c) {
  std::size_t at = kDigits.find(c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

bool printable(std::uint32_t c) { return c >= 0x20 && c <= 0x7e; }

void put_utf8(std::string& out, std::uint32_t c) {
  if (c < 0x80) {
    out.push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out.push_back(static_cast<char>(0xc0 | c >> 6));
    out.push_back(static_cast<char>(0x80 | (c & 0x3f)));
  } else if (c < 0x10000) {
    out.push_back(static_cast<char>(0xe0 | c >> 12));
    out.push_back(static_cast<char>(0x80 | (c >> 6 & 0x3f)));
    out.push_back(static_cast<char>(0x80 | (c & 0x3f)));
  } else {
    out.push_back(static_cast<char>(0xf0 | c >> 18));
    out.push_back(static_cast<char>(0x80 | (c >> 12 & 0x3f)));
    out.push_back(static_cast<char>(0x80 | (c >> 6 & 0x3f)));
    out.push_back(static_cast<char>(0x80 | (c & 0x3f)));
  }
}

// Takes one character off `text` (not empty). False for anything RFC 3629 forbids: overlong forms,
// surrogates, beyond U+10FFFF, cut off.
bool take_utf8(std::string_view& text, std::uint32_t& c) {
  auto lead = static_cast<unsigned char>(text.front());
  if (lead < 0x80) {
    c = lead;
    text.remove_prefix(1);
    return true;
  }
  std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return false;
  c = lead & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xc0) != 0x80) return false;
    c = c << 6 | (next & 0x3f);
  }
  if (length == 3 && (c < 0x800 || (c >= 0xd800 && c <= 0xdfff))) return false;
  if (length == 4 && (c < 0x10000 || c > 0x10ffff)) return false;
  text.remove_prefix(length);
  return true;
}

// The UTF-16 between '&' and '-', appended as UTF-8. False when it is not what an encoder writes.
bool put_shifted(std::string_view digits, std::string& out) {
  std::uint32_t bits = 0;
  int bit_count = 0;
  std::uint32_t high = 0;
  for (char d : digits) {
    int value = digit_value(d);
    if (value < 0) return false;
    bits = (bits << 6 | static_cast<std::uint32_t>(value)) & 0x3fffff;
    bit_count += 6;
    if (bit_count < 16) continue;
    bit_count -= 16;
    std::uint32_t unit = bits >> bit_count & 0xffff;
    bool is_low = unit >= 0xdc00 && unit <= 0xdfff;
    if (is_low != (high != 0)) return false;
    if (is_low) {
      put_utf8(out, 0x10000 + ((high & 0x3ff) << 10) + (unit & 0x3ff));
      high = 0;
    } else if (unit >= 0xd800 && unit <= 0xdbff) {
      high = unit;
    } else if (unit < 0x20 || unit == 0x7f || printable(unit)) {
      return false;  // controls have no name here; printable ASCII stands for itself
    } else {
      put_utf8(out, unit);
    }
  }
  return high == 0 && bit_count < 6 && (bits & ((1U << bit_count) - 1)) == 0;
}

class Shifter {
 public:
  explicit Shifter(std::string& out) : out_(out) {}

  void put_unit(std::uint32_t unit) {
    if (!open_) out_.push_back('&');
    open_ = true;
    bits_ = bits_ << 16 | unit;
    bit_count_ += 16;
    while (bit_count_ >= 6) {
      bit_count_ -= 6;
      out_.push_back(kDigits[bits_ >> bit_count_ & 63]);
    }
    bits_ &= 63;
  }
  void close() {
    if (!open_) return;
    if (bit_count_ > 0) out_.push_back(kDigits[bits_ << (6 - bit_count_) & 63]);
    out_.push_back('-');
    open_ = false;
    bits_ = 0;
    bit_count_ = 0;
  }

 private:
  std::string& out_;
  bool open_ = false;
  std::uint32_t bits_ = 0;
  int bit_count_ = 0;
};

}  // namespace

std::optional<std::string> mutf7_to_utf8(std::string_view name) {
  std::string out;
  out.reserve(name.size());
  bool after_shift = false;  // two shifts side by side would have been one
  while (!name.empty()) {
    char c = name.front();
    if (!printable(static_cast<unsigned char>(c))) return std::nullopt;
    name.remove_prefix(1);
    if (c != '&') {
      out.push_back(c);
      after_shift = false;
      continue;
    }
    std::size_t end = name.find('-');
    if (end == std::string_view::npos) return std::nullopt;
    if (end == 0) {
      out.push_back('&');
      after_shift = false;
    } else {
      if (after_shift || !put_shifted(name.substr(0, end), out)) return std::nullopt;
      after_shift = true;
    }
    name.remove_prefix(end + 1);
  }
  return out;
}

std::optional<std::string> utf8_to_mutf7(std::string_view name) {
  std::string out;
  out.reserve(name.size());
  Shifter shifter(out);
  while (!name.empty()) {
    std::uint32_t c = 0;
    if (!take_utf8(name, c) || c < 0x20 || c == 0x7f) return std::nullopt;
    if (printable(c)) {
      shifter.close();
      out.push_back(static_cast<char>(c));
      if (c == '&') out.push_back('-');
    } else if (c < 0x10000) {
      shifter.put_unit(c);
    } else {
      shifter.put_unit(0xd800 + ((c - 0x10000) >> 10));
      shifter.put_unit(0xdc00 + ((c - 0x10000) & 0x3ff));
    }
  }
  shifter.close();
  return out;
}

bool is_utf8(std::string_view text) {
  std::uint32_t c = 0;
  while (!text.empty()) {
    if (!take_utf8(text, c)) return false;
  }
  return true;
}

}  // namespace dormouse::imap
