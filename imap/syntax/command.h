#pragma once
// Every command a client can send, as types. Grammar: RFC 3501 9, with IDLE (2177), UIDPLUS (4315),
// NAMESPACE (2342), ENABLE (5161), CONDSTORE and QRESYNC (7162), MOVE (6851), UNSELECT (3691),
// SPECIAL-USE (6154), LIST-EXTENDED and LIST-STATUS (5258, 5819), ID (2971), COMPRESS (4978),
// SASL-IR (4959), ESEARCH and SEARCHRES (4731, 5182), WITHIN (5032), SORT and its DISPLAY keys
// (5256, 5957), ESORT and CONTEXT (5267), PARTIAL (9394), NOTIFY (5465).
//
// Mailbox names are UTF-8 here, with INBOX in capitals; everything else is as the client wrote it.
// A Command owns all its data and outlives the text it was parsed from.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "imap/syntax/date.h"
#include "imap/syntax/flags.h"
#include "imap/syntax/uid_set.h"
#include "mime/section.h"

namespace dormouse::imap {

// Commands without arguments.
struct Capability {};
struct Noop {};
struct Logout {};
struct Starttls {};
struct Check {};
struct Close {};
struct Unselect {};
struct Idle {};  // the client's DONE is a bare line: CommandReader::expect_line(), is_done()
struct Namespace {};

struct Compress {
  std::string mechanism;  // "DEFLATE", in capitals
};

struct Authenticate {
  std::string mechanism;  // in capitals
  // Decoded; "=" (an empty initial response) is "". nullopt: the client waits for a challenge.
  std::optional<std::string> initial_response;
};

struct Login {
  std::string user;
  std::string password;
};

struct Id {
  // Empty for NIL. A nullopt value is a NIL value.
  std::vector<std::pair<std::string, std::optional<std::string>>> pairs;
};

struct Enable {
  std::vector<std::string> capabilities;  // in capitals
};

struct Qresync {  // RFC 7162 3.2.5.1
  std::uint32_t uid_validity = 0;
  std::uint64_t mod_seq = 0;
  std::optional<UidSet> known_uids;
  // seq-match-data: the n-th number of `match_seqs` had the n-th UID of `match_uids`.
  UidSet match_seqs;
  UidSet match_uids;
};

struct Select {
  bool examine = false;  // EXAMINE
  std::string mailbox;
  bool condstore = false;  // (CONDSTORE); QRESYNC implies it too but does not set it
  std::optional<Qresync> qresync;
};

// Special uses (RFC 6154) and the other mailbox attributes of LIST.
using MailboxAttributes = std::uint32_t;
inline constexpr MailboxAttributes kUseAll = 1 << 0;
inline constexpr MailboxAttributes kUseArchive = 1 << 1;
inline constexpr MailboxAttributes kUseDrafts = 1 << 2;
inline constexpr MailboxAttributes kUseFlagged = 1 << 3;
inline constexpr MailboxAttributes kUseJunk = 1 << 4;
inline constexpr MailboxAttributes kUseSent = 1 << 5;
inline constexpr MailboxAttributes kUseTrash = 1 << 6;
inline constexpr MailboxAttributes kUseImportant = 1 << 7;  // RFC 8457
inline constexpr MailboxAttributes kSpecialUses = (1 << 8) - 1;
inline constexpr MailboxAttributes kNoInferiors = 1 << 8;
inline constexpr MailboxAttributes kNoSelect = 1 << 9;
inline constexpr MailboxAttributes kMarked = 1 << 10;
inline constexpr MailboxAttributes kUnmarked = 1 << 11;
inline constexpr MailboxAttributes kHasChildren = 1 << 12;
inline constexpr MailboxAttributes kHasNoChildren = 1 << 13;
inline constexpr MailboxAttributes kNonExistent = 1 << 14;
inline constexpr MailboxAttributes kSubscribed = 1 << 15;

struct Create {
  std::string mailbox;  // a trailing hierarchy separator is kept (RFC 3501 6.3.3)
  MailboxAttributes uses = 0;
};
struct Delete {
  std::string mailbox;
};
struct Rename {
  std::string from;
  std::string to;
};
struct Subscribe {
  std::string mailbox;
};
struct Unsubscribe {
  std::string mailbox;
};

using StatusItems = std::uint8_t;
inline constexpr StatusItems kStatusMessages = 1 << 0;
inline constexpr StatusItems kStatusRecent = 1 << 1;
inline constexpr StatusItems kStatusUidNext = 1 << 2;
inline constexpr StatusItems kStatusUidValidity = 1 << 3;
inline constexpr StatusItems kStatusUnseen = 1 << 4;
inline constexpr StatusItems kStatusHighestModSeq = 1 << 5;
inline constexpr StatusItems kStatusSize = 1 << 6;  // RFC 8438

struct Status {
  std::string mailbox;
  StatusItems items = 0;
};

struct List {
  bool lsub = false;      // LSUB: none of the options below
  bool extended = false;  // RFC 5258 syntax was used; then an empty pattern is no special case
  std::string reference;
  std::vector<std::string> patterns;  // UTF-8, with the wildcards * and %
  bool select_subscribed = false;
  bool select_remote = false;
  bool select_recursive_match = false;
  bool select_special_use = false;
  bool return_subscribed = false;
  bool return_children = false;
  bool return_special_use = false;
  StatusItems return_status = 0;  // RETURN (STATUS (...))
};

// What stands before one message of an APPEND: the reader stops there
// (CommandReader::Event::kMessageLiteral).
struct AppendMessage {
  FlagList flags;
  std::optional<DateTime> date;
  std::uint64_t literal_octets = 0;
};

// Up to its first message. What stands before each further one: parse_append_message().
struct Append {
  std::string mailbox;
  AppendMessage message;
};

struct Expunge {
  std::optional<SequenceSet> uids;  // UID EXPUNGE
};

struct Copy {
  bool uid = false;
  bool move = false;  // MOVE
  SequenceSet messages;
  std::string mailbox;
};

enum class StoreMode : std::uint8_t { kReplace, kAdd, kRemove };

struct Store {
  bool uid = false;
  SequenceSet messages;
  StoreMode mode = StoreMode::kReplace;
  bool silent = false;
  FlagList flags;
  std::optional<std::uint64_t> unchanged_since;
};

using FetchItems = std::uint16_t;
inline constexpr FetchItems kFetchUid = 1 << 0;
inline constexpr FetchItems kFetchFlags = 1 << 1;
inline constexpr FetchItems kFetchInternalDate = 1 << 2;
inline constexpr FetchItems kFetchSize = 1 << 3;  // RFC822.SIZE
inline constexpr FetchItems kFetchEnvelope = 1 << 4;
inline constexpr FetchItems kFetchBodyStructure = 1 << 5;
inline constexpr FetchItems kFetchBody = 1 << 6;  // BODY without brackets
inline constexpr FetchItems kFetchModSeq = 1 << 7;

// BODY[...] and its older names.
struct FetchBody {
  enum class Name : std::uint8_t { kBody, kRfc822, kRfc822Header, kRfc822Text };
  Name name = Name::kBody;  // the response bears the name the client used
  bool peek = false;        // BODY.PEEK and RFC822.HEADER: \Seen stays as it is
  mime::Section section;    // also filled in for the RFC822 names
  struct Partial {
    std::uint32_t offset = 0;
    std::uint32_t octets = 0;  // never 0
  };
  std::optional<Partial> partial;
};

// The n-th to m-th of a result, from its beginning or (-n:-m) from its end (RFC 9394 4). The ends
// stand as the client wrote them, in either order.
struct PartialRange {
  bool from_end = false;
  std::uint32_t first = 1;
  std::uint32_t last = 1;

  bool operator==(const PartialRange&) const = default;
  // As half-open indexes from 0 into a result of `count`; both equal: no result is in the range.
  std::pair<std::uint64_t, std::uint64_t> within(std::uint64_t count) const;
};

struct Fetch {
  bool uid = false;
  SequenceSet messages;
  FetchItems items = 0;  // UID FETCH does not set kFetchUid by itself: the response needs it anyway
  std::vector<FetchBody> bodies;
  std::optional<std::uint64_t> changed_since;
  bool vanished = false;
  std::optional<PartialRange> partial;  // UID FETCH only
};

enum class SearchOp : std::uint8_t {
  kAnd,  // children; the whole program is one of these. No children: everything
  kOr,   // two children
  kNot,  // one child
  kAll,
  kSequence,  // set: message sequence numbers
  kUid,       // set
  kFlags,     // flag is set (system or keyword); UNSEEN etc. are kNot of it
  kKeyword,   // text
  kHeader,  // field, text ("" matches any message with that field): FROM, TO, CC, BCC, SUBJECT too
  kBody,    // text
  kText,    // text
  kBefore,  // day, of the internal date
  kOn,
  kSince,
  kSentBefore,  // day, of the Date field
  kSentOn,
  kSentSince,
  kLarger,  // number, octets
  kSmaller,
  kModSeq,  // number
  kOlder,   // number, seconds
  kYounger,
};

struct SearchKey {
  SearchOp op = SearchOp::kAnd;
  SystemFlags flag = 0;
  DayNumber day = 0;
  std::uint64_t number = 0;
  SequenceSet set;
  std::string field;  // kHeader: as written
  std::string text;   // in the command's charset, not converted
  std::vector<SearchKey> children;

  bool operator==(const SearchKey&) const = default;
};

using SearchReturn = std::uint8_t;
inline constexpr SearchReturn kReturnMin = 1 << 0;
inline constexpr SearchReturn kReturnMax = 1 << 1;
inline constexpr SearchReturn kReturnAll = 1 << 2;
inline constexpr SearchReturn kReturnCount = 1 << 3;
inline constexpr SearchReturn kReturnSave = 1 << 4;
inline constexpr SearchReturn kReturnPartial = 1 << 5;  // never beside kReturnAll
inline constexpr SearchReturn kReturnUpdate = 1 << 6;   // RFC 5267 4.3
inline constexpr SearchReturn kReturnContext = 1 << 7;  // RFC 5267 4.2: a hint

enum class SortKey : std::uint8_t {
  kArrival,
  kCc,
  kDate,
  kFrom,
  kSize,
  kSubject,
  kTo,
  kDisplayFrom,
  kDisplayTo,
};

struct SortCriterion {
  SortKey key = SortKey::kArrival;
  bool reverse = false;

  bool operator==(const SortCriterion&) const = default;
};

// SEARCH, and SORT, which is a SEARCH whose result has an order.
struct Search {
  bool uid = false;
  std::vector<SortCriterion> order;  // empty: SEARCH
  // nullopt: the old form, answered by "* SEARCH". RETURN () is kReturnAll (RFC 4731 3.1).
  std::optional<SearchReturn> return_options;
  PartialRange partial;  // with kReturnPartial
  // With kReturnUpdate: what is told of new messages that enter the result (RFC 5465 7), for
  // parse_fetch_list(). Empty: nothing.
  std::string update_fetch;
  std::string charset;       // in capitals; empty: none given, US-ASCII
  SearchKey key;             // a kAnd
  bool has_mod_seq = false;  // some key is kModSeq: the answer carries the highest MODSEQ
};

struct CancelUpdate {  // RFC 5267 4.3.5
  std::vector<std::string> tags;
};

// NOTIFY (RFC 5465). The numbers of filters and events are part of the session state.
enum class NotifyFilter : std::uint8_t {
  kSelected,
  kSelectedDelayed,
  kInboxes,
  kPersonal,
  kSubscribed,
  kSubtree,
  kMailboxes,
};
using NotifyEvents = std::uint16_t;
inline constexpr NotifyEvents kNotifyMessageNew = 1 << 0;
inline constexpr NotifyEvents kNotifyMessageExpunge = 1 << 1;
inline constexpr NotifyEvents kNotifyFlagChange = 1 << 2;
inline constexpr NotifyEvents kNotifyMailboxName = 1 << 3;
inline constexpr NotifyEvents kNotifySubscriptionChange = 1 << 4;
inline constexpr NotifyEvents kNotifySupported = (1 << 5) - 1;
inline constexpr NotifyEvents kNotifyAnnotationChange = 1 << 5;
inline constexpr NotifyEvents kNotifyMailboxMetadataChange = 1 << 6;
inline constexpr NotifyEvents kNotifyServerMetadataChange = 1 << 7;
inline constexpr NotifyEvents kNotifyUnknown = 1 << 8;  // a name that RFC 5465 does not have

struct NotifyGroup {
  NotifyFilter filter = NotifyFilter::kSelected;
  std::vector<std::string> mailboxes;  // kSubtree, kMailboxes
  NotifyEvents events = 0;             // 0: NONE
  // What MessageNew wants to know of a message, as the client wrote it: "(UID FLAGS)", for
  // parse_fetch_list(). Empty: nothing.
  std::string fetch;

  bool operator==(const NotifyGroup&) const = default;
};

struct Notify {
  bool status = false;
  std::vector<NotifyGroup> groups;  // none: NOTIFY NONE
};

using CommandArguments =
    std::variant<Capability, Noop, Logout, Starttls, Check, Close, Unselect, Idle, Namespace,
                 Compress, Authenticate, Login, Id, Enable, Select, Create, Delete, Rename,
                 Subscribe, Unsubscribe, Status, List, Append, Expunge, Copy, Store, Fetch, Search,
                 CancelUpdate, Notify>;

struct Command {
  std::string tag;
  std::string name;  // in capitals, with "UID " before it where that was said: "UID FETCH"
  CommandArguments arguments;

  template <class T>
  const T* as() const {
    return std::get_if<T>(&arguments);
  }
};

}  // namespace dormouse::imap
