#pragma once
// The code in front of a status response's human text (RFC 3501 7.1).

#include <algorithm>
#include <string>
#include <string_view>

#include "loadtest/stress/value.h"

namespace dormouse::loadtest::stress {

// "[NAME rest] text": its name and rest; empty: there is no code.
struct Code {
  std::string name = {};
  std::string_view rest = {};
};

inline Code code_of(std::string_view text) {
  if (!text.starts_with('[')) return {};
  std::string_view inner = text.substr(1, text.rfind(']') - 1);
  if (text.rfind(']') == std::string_view::npos) return {};
  // Human text behind it may hold brackets too; only lists (PERMANENTFLAGS, BADCHARSET) may inside.
  inner = inner.substr(0, inner.find(']'));
  size_t space = std::min(inner.find(' '), inner.size());
  return {.name = to_upper(inner.substr(0, space)),
          .rest = inner.substr(std::min(space + 1, inner.size()))};
}

inline std::string_view after_word(std::string_view text) {
  return text.substr(std::min(std::min(text.find(' '), text.size()) + 1, text.size()));
}

}  // namespace dormouse::loadtest::stress
