#include "imap/syntax/flags.h"

#include <algorithm>
#include <array>
#include <utility>

namespace dormouse::imap {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

}  // namespace

bool equals_nocase(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

SystemFlags system_flag(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, SystemFlags>, 6> kNames{{
      {"\\Answered", kAnswered},
      {"\\Flagged", kFlagged},
      {"\\Deleted", kDeleted},
      {"\\Seen", kSeen},
      {"\\Draft", kDraft},
      {"\\Recent", kRecent},
  }};
  for (const auto& [known, flag] : kNames) {
    if (equals_nocase(name, known)) return flag;
  }
  return 0;
}

}  // namespace dormouse::imap
