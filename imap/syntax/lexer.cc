#include "imap/syntax/lexer.h"

#include <algorithm>

#include "imap/syntax/limits.h"
#include "imap/syntax/mutf7.h"

namespace dormouse::imap {

bool is_atom_char(char c) {
  return c > ' ' && c < 0x7f && std::string_view("(){%*\"\\]").find(c) == std::string_view::npos;
}

bool is_astring_char(char c) { return c == ']' || is_atom_char(c); }

bool is_tag_char(char c) { return c != '+' && is_astring_char(c); }

std::string to_upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  }
  return out;
}

bool Lexer::take_end() {
  while (skip(' ')) {
  }
  return at_end() || fail("Too many arguments");
}

std::string_view Lexer::take_word() {
  std::size_t length = 0;
  while (length < rest_.size() && is_atom_char(rest_[length])) ++length;
  std::string_view word = rest_.substr(0, length);
  rest_.remove_prefix(length);
  return word;
}

bool Lexer::skip_word(std::string_view word) {
  if (rest_.size() < word.size() || !equals_nocase(rest_.substr(0, word.size()), word)) {
    return false;
  }
  if (rest_.size() > word.size() && is_atom_char(rest_[word.size()])) return false;
  rest_.remove_prefix(word.size());
  return true;
}

bool Lexer::take_atom(std::string_view& out, std::string_view why) {
  out = take_word();
  return !out.empty() || fail(why);
}

bool Lexer::take_quoted(std::string& out) {
  skip('"');
  out.clear();
  while (!rest_.empty()) {
    char c = rest_.front();
    rest_.remove_prefix(1);
    if (c == '"') return true;
    if (c == '\\') {
      if (!next_is('"') && !next_is('\\')) return fail("Invalid escape in a quoted string");
      c = rest_.front();
      rest_.remove_prefix(1);
    }
    // 8-bit bytes are no part of RFC 3501's quoted strings, but clients send passwords so.
    if (c == '\0' || c == '\r' || c == '\n') return fail("Invalid character in a quoted string");
    out.push_back(c);
  }
  return fail("Missing closing quote");
}

bool Lexer::take_literal(std::string& out) {
  skip('{');
  std::uint64_t octets = 0;
  if (!take_number(UINT32_MAX, octets, "Invalid literal")) return false;
  skip('+');
  if (!rest_.starts_with("}\r\n")) return fail("Invalid literal");
  rest_.remove_prefix(3);
  if (octets > rest_.size()) return fail("Incomplete literal");
  out = rest_.substr(0, octets);
  rest_.remove_prefix(octets);
  return out.find('\0') == std::string::npos || fail("NUL in a literal");
}

bool Lexer::take_string(std::string& out) {
  if (next_is('"')) return take_quoted(out);
  if (next_is('{')) return take_literal(out);
  return fail("Expected a string");
}

bool Lexer::take_astring(std::string& out) {
  if (next_is('"') || next_is('{')) return take_string(out);
  std::size_t length = 0;
  while (length < rest_.size() && is_astring_char(rest_[length])) ++length;
  if (length == 0) return fail("Expected a string or atom");
  out = rest_.substr(0, length);
  rest_.remove_prefix(length);
  return true;
}

bool Lexer::take_nstring(std::optional<std::string>& out) {
  out.reset();
  if (skip_word("NIL")) return true;
  std::string text;
  if (!take_string(text)) return false;
  out = std::move(text);
  return true;
}

bool Lexer::take_number(std::uint64_t max, std::uint64_t& out, std::string_view why) {
  std::size_t length = 0;
  out = 0;
  while (length < rest_.size() && rest_[length] >= '0' && rest_[length] <= '9') {
    auto digit = static_cast<std::uint64_t>(rest_[length] - '0');
    if (out > (max - digit) / 10) return fail(why);
    out = out * 10 + digit;
    ++length;
  }
  rest_.remove_prefix(length);
  return length > 0 || fail(why);
}

bool Lexer::take_nz_number(std::uint32_t& out, std::string_view why) {
  std::uint64_t number = 0;
  if (!take_number(UINT32_MAX, number, why)) return false;
  out = static_cast<std::uint32_t>(number);
  return out != 0 || fail(why);
}

bool Lexer::take_mod_seq(std::uint64_t& out) {
  return take_number(INT64_MAX, out, "Invalid mod-sequence");
}

std::string_view Lexer::take_set_text() {
  std::size_t length = std::min(rest_.find_first_not_of("0123456789:,*$"), rest_.size());
  std::string_view text = rest_.substr(0, length);
  rest_.remove_prefix(length);
  return text;
}

bool Lexer::take_sequence_set(SequenceSet& out) {
  auto set = SequenceSet::parse(take_set_text());
  if (!set) {
    return fail(set.error().kind == ErrorKind::kLimit ? "Too many ranges" : "Invalid sequence set");
  }
  out = std::move(*set);
  return true;
}

bool Lexer::take_uid_set(UidSet& out) {
  auto set = UidSet::parse(take_set_text());
  if (!set) {
    return fail(set.error().kind == ErrorKind::kLimit ? "Too many ranges" : "Invalid UID set");
  }
  out = std::move(*set);
  return true;
}

bool Lexer::decode_mailbox(std::string& name) {
  if (name.size() > kMailboxBytesMax) return fail_no("[LIMIT] Mailbox name too long");
  auto utf8 = mutf7_to_utf8(name);
  if (!utf8) return fail_no("[CANNOT] Mailbox name is not valid modified UTF-7");
  if (utf8->size() > kMailboxBytesMax) return fail_no("[LIMIT] Mailbox name too long");
  name = equals_nocase(*utf8, "INBOX") ? "INBOX" : std::move(*utf8);
  return true;
}

bool Lexer::take_mailbox(std::string& out) { return take_astring(out) && decode_mailbox(out); }

bool Lexer::take_list_mailbox(std::string& out) {
  if (next_is('"') || next_is('{')) return take_string(out) && decode_mailbox(out);
  std::size_t length = 0;
  while (length < rest_.size() &&
         (is_astring_char(rest_[length]) || rest_[length] == '%' || rest_[length] == '*')) {
    ++length;
  }
  if (length == 0) return fail("Expected a mailbox pattern");
  out = rest_.substr(0, length);
  rest_.remove_prefix(length);
  return decode_mailbox(out);
}

bool Lexer::take_flag(FlagList& out) {
  if (skip('\\')) {
    std::string name = "\\" + std::string(take_word());
    SystemFlags flag = system_flag(name) & kSettableFlags;
    if (flag == 0) return fail("Invalid system flag");
    out.system |= flag;
    return true;
  }
  std::string_view keyword;
  if (!take_atom(keyword, "Invalid flag")) return false;
  if (keyword.size() > kKeywordBytesMax) return fail_no("[LIMIT] Keyword too long");
  for (const std::string& known : out.keywords) {
    if (equals_nocase(known, keyword)) return true;
  }
  if (out.keywords.size() == kKeywordsMax) return fail_no("[LIMIT] Too many keywords");
  out.keywords.emplace_back(keyword);
  return true;
}

bool Lexer::take_flag_list(FlagList& out) {
  if (!take('(', "Expected a flag list")) return false;
  if (skip(')')) return true;
  do {
    if (!take_flag(out)) return false;
  } while (skip(' '));
  return take(')', "Missing ) after flags");
}

}  // namespace dormouse::imap
