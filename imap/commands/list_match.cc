#include "imap/commands/list_match.h"

#include <vector>

#include "imap/syntax/flags.h"

namespace dormouse::imap {
namespace {

constexpr std::string_view kInbox = "INBOX";

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

}  // namespace

// Keeps the set of pattern positions that some prefix of `name` reaches: |pattern| bits a step.
bool list_matches(std::string_view pattern, std::string_view name, char separator) {
  size_t folded = 0;  // characters of `name` compared without case
  if (equals_nocase(name.substr(0, kInbox.size()), kInbox) &&
      (name.size() == kInbox.size() || name[kInbox.size()] == separator)) {
    folded = kInbox.size();
  }
  auto is_wild = [](char c) { return c == '*' || c == '%'; };
  std::vector<bool> at(pattern.size() + 1);
  std::vector<bool> next(pattern.size() + 1);
  at[0] = true;
  auto skip_wildcards = [&](std::vector<bool>& reached) {
    for (size_t i = 0; i < pattern.size(); ++i) {
      if (reached[i] && is_wild(pattern[i])) reached[i + 1] = true;
    }
  };
  skip_wildcards(at);
  for (size_t n = 0; n < name.size(); ++n) {
    next.assign(next.size(), false);
    for (size_t i = 0; i < pattern.size(); ++i) {
      if (!at[i]) continue;
      char c = pattern[i];
      if (is_wild(c)) {
        if (c == '*' || name[n] != separator) next[i] = true;
      } else if (c == name[n] || (n < folded && upper(c) == upper(name[n]))) {
        next[i + 1] = true;
      }
    }
    skip_wildcards(next);
    at.swap(next);
  }
  return at[pattern.size()];
}

}  // namespace dormouse::imap
