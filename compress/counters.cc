#include "compress/counters.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>

namespace dormouse::compress {
namespace {

constexpr char kPlusOne = 1;
constexpr char kMinusOne = 2;
constexpr char kEscape = 3;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Bytes that mean more than themselves, to either direction: digits, line ends, tokens.
constexpr std::array<bool, 256> kSpecial = [] {
  std::array<bool, 256> special{};
  for (unsigned c = 0; c <= unsigned(kEscape); ++c) special[c] = true;
  for (unsigned c = '0'; c <= '9'; ++c) special[c] = true;
  special['\n'] = true;
  return special;
}();

// The bytes from `offset` up to a special one: taken at once, being most of any text.
std::string_view plain_at(std::string_view text, size_t offset) {
  size_t end = offset;
  while (end < text.size() && !kSpecial[uint8_t(text[end])]) ++end;
  return text.substr(offset, end - offset);
}

// A number as it is written, and what it says.
struct Number {
  std::array<char, kDigitsMax + 1> digits;
  size_t size = 0;  // 0: none, or too long to follow
  uint64_t value = 0;

  std::string_view text() const { return {digits.data(), size}; }
};

// The last number of each place, as both directions see them.
class Places {
 public:
  void next_line() { place_ = 0; }

  // What the number at this place would be if it followed the one before; size 0: there was none.
  Number after(char step) const {
    Number next;
    if (place_ >= kPlaces || last_[place_].size == 0) return next;
    const Number& last = last_[place_];
    if (step == kMinusOne && last.value == 0) return next;
    next.value = step == kPlusOne ? last.value + 1 : last.value - 1;
    char* end = std::to_chars(next.digits.begin(), next.digits.end(), next.value).ptr;
    next.size = size_t(end - next.digits.begin());
    bool pad = step == kPlusOne || last.digits[0] == '0';
    if (pad && next.size < last.size) {
      size_t zeros = last.size - next.size;
      std::copy_backward(next.digits.begin(), end, end + zeros);
      std::fill_n(next.digits.begin(), zeros, '0');
      next.size = last.size;
    }
    return next;
  }

  // The step by which `digits` follow; 0: they do not.
  char step_to(std::string_view digits) const {
    if (place_ >= kPlaces || last_[place_].size == 0) return 0;
    if (digits.size() > kDigitsMax + 1) return 0;
    uint64_t value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value);
    char step = value > last_[place_].value ? kPlusOne : kMinusOne;
    return after(step).text() == digits ? step : char(0);
  }

  void saw(std::string_view digits) {
    if (place_ >= kPlaces) return;
    Number& number = last_[place_++];
    number.size = 0;
    if (digits.size() > kDigitsMax) return;
    std::copy(digits.begin(), digits.end(), number.digits.begin());
    number.size = digits.size();
    std::from_chars(digits.data(), digits.data() + digits.size(), number.value);
  }

 private:
  std::array<Number, kPlaces> last_;
  size_t place_ = 0;
};

std::string_view digits_at(std::string_view text, size_t offset) {
  size_t end = offset;
  while (end < text.size() && is_digit(text[end])) ++end;
  return text.substr(offset, end - offset);
}

}  // namespace

std::string shorten_counters(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  Places places;
  for (size_t i = 0; i < text.size();) {
    char c = text[i];
    if (is_digit(c)) {
      std::string_view digits = digits_at(text, i);
      if (char step = places.step_to(digits); step != 0) {
        out += step;
      } else {
        out += digits;
      }
      places.saw(digits);
      i += digits.size();
      continue;
    }
    if (!kSpecial[uint8_t(c)]) {
      std::string_view plain = plain_at(text, i);
      out += plain;
      i += plain.size();
      continue;
    }
    if (c == '\n') {
      places.next_line();
    } else {
      out += kEscape;
    }
    out += c;
    ++i;
  }
  return out;
}

Result<std::string> restore_counters(std::string_view shortened, size_t bytes_max) {
  std::string out;
  out.reserve(std::min(bytes_max, shortened.size() * 2));
  Places places;
  for (size_t i = 0; i < shortened.size();) {
    char c = shortened[i];
    if (is_digit(c)) {
      std::string_view digits = digits_at(shortened, i);
      out += digits;
      places.saw(digits);
      i += digits.size();
    } else if (c == kPlusOne || c == kMinusOne) {
      Number number = places.after(c);
      if (number.size == 0) return fail(ErrorKind::kInvalid, "counters: a number follows none");
      out += number.text();
      places.saw(number.text());
      ++i;
    } else if (c == kEscape) {
      if (i + 1 == shortened.size()) return fail(ErrorKind::kInvalid, "counters: half an escape");
      out += shortened[i + 1];
      i += 2;
    } else if (c == '\n') {
      out += c;
      places.next_line();
      ++i;
    } else if (c == '\0') {
      return fail(ErrorKind::kInvalid, "counters: a zero without its escape");
    } else {
      std::string_view plain = plain_at(shortened, i);
      out += plain;
      i += plain.size();
    }
    if (out.size() > bytes_max) return fail(ErrorKind::kInvalid, "counters: too long");
  }
  return out;
}

}  // namespace dormouse::compress
