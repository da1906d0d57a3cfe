#pragma once
// Dovecot's control files in a Maildir, read when a mailbox is taken over. Pure: bytes in, values
// out.
//
//   uidlist   = "3 " 1*( header SP ) LF *record           ; dovecot-uidlist
//   header    = "V" uid-validity / "N" next-uid / "G" 32HEXDIG / other
//   record    = uid *( SP key value ) SP ":" file-name LF  ; uid ascending; key "W": RFC822.SIZE
//   uidlist1  = "1 " uid-validity SP next-uid LF *( uid SP file-name LF )   ; also Courier's
//   keywords  = *( number SP name LF )                     ; dovecot-keywords: number 0..25 is a..z

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/result.h"
#include "store/types.h"

namespace dormouse::store {

struct UidlistRecord {
  uint32_t uid = 0;
  std::string_view base;  // the file's name up to ':', inside the text given
  uint64_t rfc822_size_bytes = kSizeUnknown;
};

struct Uidlist {
  uint32_t uid_validity = 0;
  uint32_t uid_next = 1;
  std::optional<Guid> guid;
  std::vector<UidlistRecord> records;  // ascending UID, every one below uid_next
  uint32_t skipped_lines = 0;          // broken records: their messages get new UIDs
};

// `text` must outlive the result. kInvalid when the header is unusable.
Result<Uidlist> parse_uidlist(std::string_view text);

// Index: keyword number (bit and letter); "" where none. Broken lines and numbers past 25 are
// skipped.
std::vector<std::string> parse_keywords(std::string_view text);
std::string format_keywords(const std::vector<std::string>& names);

// An IMAP atom (RFC 3501 flag-keyword) of at most kKeywordMaxBytes; a leading '$' is common.
bool is_valid_keyword(std::string_view name);

// The subscriptions file: version 2 ("V\t2\n\n", then levels separated by tabs, tab-escaped) and
// the older form (a folder name a line). Returns canonical mailbox names, sorted; lines that name
// none are dropped from the list, and from the file at the next change.
std::vector<std::string> parse_subscriptions(std::string_view text);
std::string format_subscriptions(const std::vector<std::string>& names);

}  // namespace dormouse::store
