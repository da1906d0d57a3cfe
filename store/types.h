#pragma once
// The plain values that store/store.h speaks in. No behaviour that touches a disk.

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dormouse::store {

// IMAP hierarchy separator in names; on disk Maildir++ has '.', so '.' cannot be in a name.
inline constexpr char kSeparator = '/';
// Keywords of one mailbox: the bits of one 64-bit index column. Letters a-z in file names hold the
// first 26, as in Dovecot.
inline constexpr size_t kKeywordsMax = 64;
// One keyword's length: an IMAP atom; 100 is far above any in use and keeps a full list under 7
// KiB.
inline constexpr size_t kKeywordMaxBytes = 100;
// Longest cached structure blob: a message with more structure than this (thousands of parts) is
// parsed again when asked.
inline constexpr size_t kCacheBlobMaxBytes = 64 * 1024;
// UIDs per counted chunk: rank() reads at most this many index rows and one count per chunk, which
// balance at a million messages (about 1,000 of each).
inline constexpr uint32_t kChunkUids = 1024;
// Expunged UIDs remembered per mailbox: 24 bytes each, so 1.6 MB at the most; pruned to half,
// oldest first, when exceeded (never what the latest call expunged). Sessions behind the horizon
// get Changes::complete == false.
inline constexpr uint32_t kExpungeLogMax = 65536;
// How long a call waits for another process's write transaction. They last milliseconds; three
// seconds is one that syncs a mailbox of a million files.
inline constexpr int kBusyTimeoutMs = 3000;

inline constexpr uint64_t kSizeUnknown = UINT64_MAX;

struct Guid {
  std::array<uint8_t, 16> bytes{};
  bool operator==(const Guid&) const = default;
  std::string hex() const;  // 32 lower-case digits
  static std::optional<Guid> from_hex(std::string_view hex);
  static Guid random();
};

// System flags, as bits. \Recent is not stored: see Mailbox::claim_recent().
struct Flags {
  static constexpr uint8_t kSeen = 1, kAnswered = 2, kFlagged = 4, kDeleted = 8, kDraft = 16;
  static constexpr uint8_t kAll = 31;
  uint8_t bits = 0;
  bool operator==(const Flags&) const = default;
  bool has(uint8_t flag) const { return (bits & flag) != 0; }
};

// Bit i is the i-th name of Mailbox::keywords().
using Keywords = std::bitset<kKeywordsMax>;

// Inclusive, as in IMAP: {1, UINT32_MAX} is 1:*.
struct UidRange {
  uint32_t first = 1;
  uint32_t last = UINT32_MAX;
};

struct Message {
  uint32_t uid = 0;
  Flags flags;
  Keywords keywords;
  uint64_t mod_seq = 0;          // of the last change of flags or keywords, or of arrival
  uint64_t created_mod_seq = 0;  // of arrival
  int64_t internal_date_s = 0;   // Unix time: the file's mtime when it was indexed
  uint64_t file_size_bytes = 0;
  // RFC822.SIZE, every line end counted as CRLF; kSizeUnknown until someone has read the file and
  // told remember(). Equal to file_size_bytes means that the file can be sent as it is.
  uint64_t rfc822_size_bytes = kSizeUnknown;
};

// RFC 6154. kNone: an ordinary mailbox.
enum class SpecialUse : uint8_t { kNone, kAll, kArchive, kDrafts, kFlagged, kJunk, kSent, kTrash };
std::string_view special_use_attribute(SpecialUse use);  // "\\Sent"; "" for kNone
std::optional<SpecialUse> special_use_from_attribute(std::string_view attribute);  // any case

struct MailboxInfo {
  std::string name;        // UTF-8
  bool no_select = false;  // only a parent of others; also \NonExistent (RFC 5258)
  bool has_children = false;
  bool subscribed = false;
  SpecialUse special_use = SpecialUse::kNone;
};

struct MailboxStatus {
  Guid guid;
  std::string name;  // UTF-8, as of now
  uint32_t uid_validity = 0;
  uint32_t uid_next = 1;
  uint64_t highest_mod_seq = 1;
  uint32_t exists = 0;
  uint32_t unseen = 0;
  uint32_t deleted = 0;
  uint32_t recent = 0;            // not yet claimed by any session
  uint32_t first_unseen_uid = 0;  // 0: none (rank() makes it a sequence number)
  uint32_t first_recent_uid = 1;  // messages from here on are \Recent for whoever claims them
  bool can_add_keywords = true;   // PERMANENTFLAGS \*
};

struct Snapshot {
  MailboxStatus status;
  std::vector<uint32_t> uids;  // ascending
};

struct SyncResult {
  uint32_t arrived = 0;
  uint32_t expunged = 0;
  uint32_t changed = 0;   // flags or keywords
  uint32_t deferred = 0;  // files that could not be taken in now (unreadable, no room in cur/)
  bool any() const { return arrived + expunged + changed != 0; }
};

struct Expunged {
  uint32_t uid = 0;
  uint64_t mod_seq = 0;          // of the expunge
  uint64_t created_mod_seq = 0;  // of arrival: > since means that the former view never had it
  uint32_t former_sequence = 0;  // sequence number in the view at `since`; 0: was not in it
};

// What happened after `since`, all of one moment. The view at `since` is exactly: the present
// messages minus `arrived`, plus those of `expunged` with created_mod_seq <= since. Sequence
// numbers are given in that view, so a session that reports `changed` first and then `expunged`
// from the highest sequence number down (or as VANISHED) need not know its UIDs.
struct Changes {
  uint64_t since = 0;
  // status.highest_mod_seq is the next `since`. Without recent, first_unseen_uid, can_add_keywords.
  MailboxStatus status;
  std::vector<Message> changed;  // were there at `since`; flags or keywords differ. Ascending UID
  std::vector<uint32_t> changed_sequence;  // pairwise with `changed`
  std::vector<Message> arrived;            // came after `since` and are still there. Ascending UID
  std::vector<Expunged> expunged;          // gone after `since`. Ascending UID
  // False: the expunge log no longer reaches back to `since`, so `expunged` lacks some and every
  // sequence number here is 0. For QRESYNC, RFC 7162 3.2.5.1 then allows VANISHED for every UID
  // below uid_next that does not exist; a session that counts sequence numbers must be told BYE.
  bool complete = true;
  // Messages that were visible at `since`; meaningful when complete.
  uint32_t former_exists = 0;
};

enum class FlagsMode : uint8_t { kAdd, kRemove, kReplace };
struct FlagsChange {
  FlagsMode mode = FlagsMode::kAdd;
  Flags flags;
  std::vector<std::string> keywords;        // made permanent when new (kLimit past kKeywordsMax)
  std::optional<uint64_t> unchanged_since;  // RFC 7162 3.1.3
};
struct StoreFlagsResult {
  uint64_t highest_mod_seq = 0;
  // The messages as they now are, changed or not (a STORE that changes nothing bumps nothing);
  // ascending UID. Not those in `modified` or `missing`.
  std::vector<Message> messages;
  std::vector<uint32_t> changed;   // UIDs of those that really changed
  std::vector<uint32_t> modified;  // failed UNCHANGEDSINCE: for the MODIFIED response code
  std::vector<uint32_t> missing;   // expunged meanwhile
};

struct ExpungeResult {
  uint64_t highest_mod_seq = 0;
  std::vector<uint32_t> uids;    // removed, ascending
  std::vector<uint32_t> failed;  // the file could not be removed; they stay
};

struct CopyResult {
  uint32_t uid_validity = 0;        // of the destination: COPYUID's three parts
  std::vector<uint32_t> from_uids;  // ascending; those that were found
  std::vector<uint32_t> to_uids;    // pairwise with from_uids
  uint64_t highest_mod_seq = 0;     // of the source: changed by move only
  std::string directory;            // fsync it before answering OK
};

struct Appended {
  uint32_t uid_validity = 0;
  std::vector<uint32_t> uids;
  uint64_t highest_mod_seq = 0;
  std::string directory;  // fsync it before answering OK
};

struct Remembered {
  uint32_t uid = 0;
  uint64_t rfc822_size_bytes = kSizeUnknown;
  std::string_view blob;
};

// A directory as fanotify names it (FAN_REPORT_DFID_NAME). `key` is fsid (8 bytes), handle type (4,
// native order), handle bytes; empty when the file system has no handles: watch by path then.
struct WatchedDirectory {
  std::string path;
  std::string key;
};

// Counts what a message is long on the wire: every LF without a CR before it goes out as CRLF. Feed
// it the bytes in order, in pieces of any size.
class LineCounter {
 public:
  void feed(std::string_view bytes);
  uint64_t file_size_bytes() const { return bytes_; }
  uint64_t rfc822_size_bytes() const { return bytes_ + bare_lf_; }

 private:
  uint64_t bytes_ = 0;
  uint64_t bare_lf_ = 0;
  bool after_cr_ = false;
};

}  // namespace dormouse::store
