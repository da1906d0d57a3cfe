#pragma once
// Lexer takes the tokens of RFC 3501 9 off the front of a command. Private to imap/syntax.
//
// Every take_...() that can fail returns false and keeps the first reason in error(); nothing is
// taken back after that, as a command with an error is refused as a whole.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "imap/syntax/flags.h"
#include "imap/syntax/uid_set.h"

namespace dormouse::imap {

// atom-specials, resp-specials and list-wildcards set aside.
bool is_atom_char(char c);
bool is_astring_char(char c);
bool is_tag_char(char c);
std::string to_upper(std::string_view text);

class Lexer {
 public:
  explicit Lexer(std::string_view text) : rest_(text) {}

  // Why it failed; always a constant of ours. Empty: it did not.
  std::string_view error() const { return error_; }
  bool error_is_no() const { return error_is_no_; }
  bool fail(std::string_view why) {
    if (error_.empty()) error_ = why;
    return false;
  }
  bool fail_no(std::string_view why) {
    if (error_.empty()) error_is_no_ = true;
    return fail(why);
  }

  bool at_end() const { return rest_.empty(); }
  bool next_is(char c) const { return !rest_.empty() && rest_.front() == c; }
  char next() const { return rest_.empty() ? '\0' : rest_.front(); }
  std::string_view rest() const { return rest_; }

  // Takes `c` if it is next; no error if not.
  bool skip(char c) {
    if (!next_is(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool take(char c, std::string_view why) { return skip(c) || fail(why); }
  bool take_space() { return take(' ', "Missing argument"); }
  // The end of the command; spaces before it are forgiven.
  bool take_end();

  // The longest run of atom characters ('[' is one, ']' is not). May be empty.
  std::string_view take_word();
  // Takes `word` if it is next, without regard to case, up to a character that ends a word.
  bool skip_word(std::string_view word);
  bool take_atom(std::string_view& out, std::string_view why);

  bool take_string(std::string& out);
  bool take_astring(std::string& out);
  bool take_nstring(std::optional<std::string>& out);

  bool take_number(std::uint64_t max, std::uint64_t& out, std::string_view why);
  bool take_nz_number(std::uint32_t& out, std::string_view why);
  // 0 to 2^63-1 (RFC 7162 7).
  bool take_mod_seq(std::uint64_t& out);

  bool take_sequence_set(SequenceSet& out);
  bool take_uid_set(UidSet& out);

  // An astring in modified UTF-7, as UTF-8; INBOX in capitals.
  bool take_mailbox(std::string& out);
  // As take_mailbox(), but unquoted wildcards are allowed.
  bool take_list_mailbox(std::string& out);

  // One flag of a list; \Recent and unknown \Flags are refused.
  bool take_flag(FlagList& out);
  // "(" [flag *(SP flag)] ")"
  bool take_flag_list(FlagList& out);

 private:
  bool take_quoted(std::string& out);
  bool take_literal(std::string& out);
  bool decode_mailbox(std::string& name);
  std::string_view take_set_text();

  std::string_view rest_;
  std::string_view error_;
  bool error_is_no_ = false;
};

}  // namespace dormouse::imap
