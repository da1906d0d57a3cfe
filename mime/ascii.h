#pragma once
// Small things of RFC 5322's characters. Private to mime/.

#include <cstddef>
#include <string_view>

namespace dormouse::mime {

inline char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline bool is_blank(char c) { return c == ' ' || c == '\t'; }
// Blanks, and line ends that were left in a value.
inline bool is_space(char c) { return is_blank(c) || c == '\r' || c == '\n'; }

inline bool same_name(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

inline std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// Takes a comment off the front of `text`, which begins with '(', nested ones included (RFC 5322
// 3.2.2). One that never ends takes everything. Returns what stands between the outer parentheses.
inline std::string_view take_comment(std::string_view& text) {
  std::size_t depth = 0;
  std::size_t i = 0;
  for (; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '(') {
      ++depth;
    } else if (text[i] == ')' && --depth == 0) {
      break;
    }
  }
  std::size_t end = i < text.size() ? i : text.size();
  std::string_view inside = text.substr(1, end - 1);
  text.remove_prefix(end < text.size() ? end + 1 : end);
  return inside;
}

// Comments and white space.
inline void skip_cfws(std::string_view& text) {
  while (!text.empty()) {
    if (is_space(text.front())) {
      text.remove_prefix(1);
    } else if (text.front() == '(') {
      take_comment(text);
    } else {
      return;
    }
  }
}

}  // namespace dormouse::mime
