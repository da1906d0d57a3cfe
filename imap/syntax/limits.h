#pragma once
// Bounds of the IMAP grammar. A client is hostile input: each of these is what one command may make
// us keep or do, whatever the client sends.

#include <cstddef>
#include <cstdint>

namespace dormouse::imap {

// Search keys inside search keys: NOT NOT ..., OR OR ..., ((...)). Each level is a call of the
// parser and of the evaluator; clients stay below 10.
inline constexpr std::size_t kSearchDepthMax = 50;
// Keys of one SEARCH, all levels together. A node takes some 120 bytes: 240 KiB at the worst.
inline constexpr std::size_t kSearchKeysMax = 2000;
// Criteria of one SORT. There are nine, and one that is named again decides nothing.
inline constexpr std::size_t kSortCriteriaMax = 18;
// Tags of one CANCELUPDATE; more than any session can have contexts.
inline constexpr std::size_t kCancelTagsMax = 64;
// Ranges in one sequence set. mbsync and Thunderbird send some thousands after a long absence; a
// 64 KiB line cannot hold more than this many.
inline constexpr std::size_t kSequenceRangesMax = 32 * 1024;
// Different keywords in one flag list; more than any mailbox may have in practice (Maildir: 26).
inline constexpr std::size_t kKeywordsMax = 64;
// One keyword, in bytes. Dovecot's bound is 50 by default; Gmail labels copied as keywords are
// longer.
inline constexpr std::size_t kKeywordBytesMax = 200;
// A mailbox name, in bytes, encoded or not. Maildir++ makes it a file name of at most 255.
inline constexpr std::size_t kMailboxBytesMax = 1000;
// Messages of one APPEND (RFC 3502): each is a file in tmp/ until all of them are there.
inline constexpr std::size_t kAppendMessagesMax = 256;
// Patterns of one extended LIST (RFC 5258).
inline constexpr std::size_t kListPatternsMax = 64;
// BODY[...] items of one FETCH. Clients ask for one to three; web mail for some ten.
inline constexpr std::size_t kFetchBodiesMax = 64;
// Part numbers of one section ("1.2.3"); as deep as mime::kDepthMax goes, twice for message/rfc822.
inline constexpr std::size_t kSectionDepthMax = 128;
// Field names in one HEADER.FIELDS list, and their length each (RFC 5322 2.1.1: a line is 998).
inline constexpr std::size_t kHeaderFieldsMax = 256;
inline constexpr std::size_t kHeaderFieldBytesMax = 998;
// RFC 2971 3.3: at most 30 field-value pairs, keys of 30 bytes, values of 1,024.
inline constexpr std::size_t kIdPairsMax = 30;
inline constexpr std::size_t kIdKeyBytesMax = 30;
inline constexpr std::size_t kIdValueBytesMax = 1024;
// Capabilities in one ENABLE.
inline constexpr std::size_t kEnableMax = 32;
// Groups of one NOTIFY SET, and the mailboxes they name: as many as can be watched. The items of
// MessageNew, in bytes. A sleeper keeps all of them.
inline constexpr std::size_t kNotifyGroupsMax = 16;
inline constexpr std::size_t kNotifyMailboxesMax = 126;
inline constexpr std::size_t kNotifyFetchBytesMax = 512;
// A tag, in bytes. RFC 3501 gives none; a parked record must hold it (IDLE's tag).
inline constexpr std::size_t kTagBytesMax = 64;

}  // namespace dormouse::imap
