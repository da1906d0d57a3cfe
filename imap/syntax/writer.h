#pragma once
// Pieces of responses, appended to a string (RFC 3501 9). Every function appends exactly the text
// named, without spaces around it; response lines (put_..._response) begin with "* " and end in
// CRLF.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "imap/syntax/command.h"
#include "imap/syntax/date.h"
#include "imap/syntax/flags.h"
#include "imap/syntax/uid_set.h"

namespace dormouse::imap {

void put_number(std::string& out, std::uint64_t number);

// A string: quoted where that can hold it, else a literal. NUL, which no string can hold
// (RFC 3501 9, CHAR8), becomes 0x80.
void put_string(std::string& out, std::string_view text);
// NIL for nullopt.
void put_nstring(std::string& out, const std::optional<std::string>& text);
// An atom where that can hold it, else a string.
void put_astring(std::string& out, std::string_view text);
// "{n}\r\n": the caller sends n octets after it.
void put_literal_header(std::string& out, std::uint64_t octets);
// A mailbox name (UTF-8 inside) as an astring in modified UTF-7. A name that is not UTF-8 is our
// own bug.
void put_mailbox(std::string& out, std::string_view utf8_name);
// Text for people: controls and 8-bit bytes become '?', '[' and ']' at the start likewise.
void put_text(std::string& out, std::string_view text);

// "(\Seen $Forwarded)".
void put_flags(std::string& out, const FlagList& flags);

// "(\HasNoChildren \Sent)"
void put_attributes(std::string& out, MailboxAttributes attributes);
// * LIST (\HasChildren) "/" INBOX
// separator '\0' is NIL. `child_info_subscribed`: ("CHILDINFO" ("SUBSCRIBED")) of RFC 5258.
void put_list_response(std::string& out, bool lsub, MailboxAttributes attributes, char separator,
                       std::string_view utf8_name, bool child_info_subscribed = false);

// * LIST () "/" New ("OLDNAME" ("Old")): a mailbox was renamed (RFC 5465 5.4).
void put_list_renamed(std::string& out, MailboxAttributes attributes, char separator,
                      std::string_view utf8_name, std::string_view utf8_old_name);

struct StatusValues {
  std::uint32_t messages = 0;
  std::uint32_t recent = 0;
  std::uint32_t uid_next = 0;
  std::uint32_t uid_validity = 0;
  std::uint32_t unseen = 0;
  std::uint64_t highest_mod_seq = 0;
  std::uint64_t size_octets = 0;
};
// * STATUS name (MESSAGES 1 ...), of the items asked for.
void put_status_response(std::string& out, std::string_view utf8_name, StatusItems items,
                         const StatusValues& values);

// * SEARCH 2 3 6 (MODSEQ 917162500). mod_seq 0: without. One line, as the old form has no other.
void put_search_response(std::string& out, const UidSet& found, std::uint64_t mod_seq);
// * SORT 5 3 4 1 2 (MODSEQ 917162500) (RFC 5256 4; the MODSEQ as RFC 7162 7 has it).
void put_sort_response(std::string& out, std::span<const std::uint32_t> found,
                       std::uint64_t mod_seq);
// "5,3:4,1": a sequence-set in the order given; ranges only ever ascend (RFC 5267 3.2).
void put_ordered_set(std::string& out, std::span<const std::uint32_t> numbers);

// One message that enters or leaves a result: its position there, counted from 1 at the moment of
// the change, or 0 where the order of the mailbox tells it.
struct ResultChange {
  std::uint32_t position = 0;
  std::uint32_t number = 0;
};

// * ESEARCH (TAG "a") UID MIN 2 COUNT 3 ALL 2:4 MODSEQ 917162500 (RFC 4731 3.1, 5267 3 and 4).
// What must be left out for an empty result (MIN, MAX, ALL) is the caller's to leave out.
class EsearchLine {
 public:
  EsearchLine(std::string& out, std::string_view tag, bool uid);
  // MIN, MAX, COUNT, MODSEQ
  void number(std::string_view name, std::uint64_t value);
  void all(const UidSet& found);
  void all(std::span<const std::uint32_t> ordered);
  // PARTIAL (-1:-100 5:9), PARTIAL (1:100 NIL)
  void partial(const PartialRange& range, const UidSet& found);
  void partial(const PartialRange& range, std::span<const std::uint32_t> ordered);
  // REMOVEFROM (0 5:7 3 9), ADDTO (1 2731:2733): in the order in which they are to be done
  // (RFC 5267 4.3). Neighbours that one position can say are joined.
  void removed(std::span<const ResultChange> changes);
  void added(std::span<const ResultChange> changes);
  void end();

 private:
  void begin_partial(const PartialRange& range);
  void put_changes(std::span<const ResultChange> changes, std::uint32_t step);
  std::string& out_;
};

// * NO [NOUPDATE "B02"] Too many contexts (RFC 5267 4.3.1)
void put_no_update(std::string& out, std::string_view tag);
// The program of a SEARCH or SORT as a command without tag and return options: "UID SORT (REVERSE
// DATE) UTF-8 UNSEEN SUBJECT x". parse_command() reads it back as it was.
void put_search_program(std::string& out, const Search& search);

// * VANISHED (EARLIER) 41,43:116. Nothing for an empty set.
void put_vanished_response(std::string& out, bool earlier, const UidSet& uids);
// * 3 EXPUNGE, * 3 EXISTS, * 3 RECENT
void put_numbered_response(std::string& out, std::uint32_t number, std::string_view name);
// <tag> OK text / * BAD text: text as given (it may begin with a response code of ours).
void put_status_line(std::string& out, std::string_view tag, std::string_view condition,
                     std::string_view text);

// [COPYUID validity from to] of RFC 4315, without brackets, and [APPENDUID validity uids].
void put_copyuid(std::string& out, std::uint32_t uid_validity, const UidSet& from,
                 const UidSet& to);
void put_appenduid(std::string& out, std::uint32_t uid_validity, const UidSet& uids);

// FETCH pieces. A response is "* n FETCH (" + items with a space between + ")\r\n"; FetchLine does
// the spaces:
//   FetchLine line(out, 12);
//   put_fetch_uid(line.item(), 7); put_fetch_flags(line.item(), flags); line.end();
class FetchLine {
 public:
  FetchLine(std::string& out, std::uint32_t sequence_number);
  // The string to append the next item to, the space before it written.
  std::string& item();
  void end();
  bool empty() const { return first_; }

 private:
  std::string& out_;
  bool first_ = true;
};
void put_fetch_uid(std::string& out, std::uint32_t uid);
void put_fetch_flags(std::string& out, const FlagList& flags);
void put_fetch_internal_date(std::string& out, DateTime date);
void put_fetch_size(std::string& out, std::uint64_t octets);
void put_fetch_mod_seq(std::string& out, std::uint64_t mod_seq);
// BODY[1.HEADER.FIELDS (FROM)]<0> and the space after it: a literal, a string or NIL follows.
void put_fetch_body_name(std::string& out, const FetchBody& body);

}  // namespace dormouse::imap
