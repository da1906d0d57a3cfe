#pragma once
// Names of message files in a Maildir, and of mailboxes as Maildir++ folders. Pure: no I/O.
//
//   file      = base [ ":" info ]
//   base      = 1*( any byte but "/", NUL and ":" )      ; may hold size hints: ",S=" n and ",W=" n
//   info      = "2," *letter [ "," rest ]                 ; letters in ASCII order
//   letter    = "D" draft / "F" flagged / "R" answered / "S" seen / "T" deleted
//             / "a".."z" the mailbox's keywords 0..25 (dovecot-keywords) / other, kept as found
//             ("P")
//   folder    = 1*( "." level )                           ; below the root; the root itself is
//   INBOX level     = modified UTF-7 (RFC 3501 5.1.3) of a name without "." and "/"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "io/result.h"
#include "store/types.h"

namespace dormouse::store {

// Keywords that a letter in the file name can hold.
inline constexpr size_t kLetterKeywords = 26;
// NAME_MAX of every Linux file system in use.
inline constexpr size_t kFileNameMaxBytes = 255;

struct FileName {
  std::string_view base;
  std::string_view suffix;  // from ':' on, or empty
};
FileName split_file_name(std::string_view name);

struct FileFlags {
  Flags flags;
  uint32_t letters = 0;     // bit i: letter 'a'+i
  std::string_view others;  // letters that mean nothing here, in the order found
  std::string_view rest;    // from the second ',' on
};
// A suffix that is not ":2,..." has no flags.
FileFlags parse_suffix(std::string_view suffix);
// The suffix for `flags` and `letters` that keeps what else `old_suffix` holds.
std::string make_suffix(Flags flags, uint32_t letters, std::string_view old_suffix);

// The number after ",S=" or ",W=" in a base name.
std::optional<uint64_t> size_hint(std::string_view base, char key);

// A base name that nobody else makes: "<seconds>.M<microseconds>R<16 random hex digits>.<host>".
std::string unique_base();
std::string with_sizes(std::string base, uint64_t file_size_bytes, uint64_t rfc822_size_bytes);

// 64 bits that stand for a file name in the index (not against an attacker: it is his own mailbox).
uint64_t name_hash(std::string_view name);

// RFC 3501 5.1.3, strict: nullopt for bad UTF-8 (or bad base64, overlong or needless encoding).
std::optional<std::string> to_modified_utf7(std::string_view utf8);
std::optional<std::string> from_modified_utf7(std::string_view text);

// Checks a mailbox name and brings it to the one spelling used here (INBOX in capitals, no trailing
// '/'); kInvalid says what is wrong with it.
Result<std::string> canonical_mailbox_name(std::string_view name);
// The folder below the root, "" for INBOX; `name` is canonical.
Result<std::string> folder_of(std::string_view name);
// The canonical name of a folder, or nothing when no name leads to it (then it is not ours to
// show).
std::optional<std::string> mailbox_of(std::string_view folder);

}  // namespace dormouse::store
