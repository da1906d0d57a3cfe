#pragma once
// The mail store of one user: a Maildir++ tree, which other programs may read and write at the same
// time, and an SQLite index beside it, which adds what IMAP needs and file names cannot hold: UIDs,
// mod-sequences (RFC 7162), the log of expunged UIDs, keywords past the 26th, cached structure.
// docs/store-format.md has the formats; store/types.h the plain values used here.
//
// Truth: which messages exist, their bytes, system flags and first 26 keywords are what the Maildir
// says; sync() brings the index there. UIDs, UIDVALIDITY, mod-sequences are what the index says.
//
// Ownership and threads: a UserStore is opened once per user and process, kept by the caller's
// cache, and used from one thread; any number of sessions share it. A Mailbox is a small value
// (pointer and row id), valid while its UserStore lives; it follows renames, and answers kNotFound
// once the mailbox is gone. Other processes may have the same user open: every change is one SQLite
// transaction.
//
// Blocking: every call here is short and synchronous (index rows, stat, rename, link, unlink,
// reading a directory). Bytes of messages are never read or written by a Mailbox, two fallbacks
// apart (copy across file systems): it hands out paths, so that the caller moves the bytes through
// the ring, and "commits" what was written.
//
// Errors: kNotFound mailbox or message gone; kExists; kInvalid a name or argument; kDenied file
// permissions; kNoSpace disk or quota full, nothing changed; kLimit a named bound; kUnavailable
// another process holds the index's write lock (kBusyTimeoutMs), or the index was found damaged and
// put aside: drop this UserStore and open again (broken() says which); kSystem the rest.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/fd.h"
#include "io/result.h"
#include "store/types.h"

namespace dormouse::store {

class Mailbox;
struct StoreState;  // store/state.h: the open index and what is remembered about directories

struct OpenOptions {
  // Make the Maildir (and, for a new user, Drafts, Sent, Junk and Trash, subscribed) when it is
  // absent.
  bool create = true;
  // Boots that ended with everything on the disk (store/boots.h). A write-ahead log left over from
  // any other former boot counts as cut short by a power failure.
  std::string_view clean_boots = {};
};

class UserStore {
 public:
  // `mail_path` is the Maildir root, which is INBOX ("/srv/mail/ada/Maildir"), absolute. A damaged
  // index is moved to dormouse.index.corrupt-<time> and rebuilt (new UIDVALIDITY, same GUIDs).
  static Result<std::unique_ptr<UserStore>> open(std::string mail_path, OpenOptions options = {});
  ~UserStore();
  UserStore(const UserStore&) = delete;
  UserStore& operator=(const UserStore&) = delete;

  const std::string& mail_path() const;
  // True once the index was found damaged or replaced under us: every call now fails kUnavailable.
  bool broken() const;
  // Commits gather in the index's write-ahead log. When that has become long, this brings it into
  // the index: two fsyncs, so for when nobody waits; closing a store does it too. True: it was
  // done.
  bool write_back();
  // What it holds of this process's memory, about: what shrink() leaves, cached pages, statements.
  uint64_t memory_bytes() const;
  // Gives cached pages and prepared statements back; for a store that idles in a cache.
  void shrink();

  // --- Mailboxes. Names are UTF-8 with '/' between levels; "INBOX" in any case is the inbox.
  // kInvalid: empty level, '.', control characters, bad UTF-8, or longer than a file name.
  // Every mailbox and every missing parent of one (no_select), sorted by name. Reads the directory,
  // so folders made by other programs appear. `with_special_use` etc. need no second call.
  Result<std::vector<MailboxInfo>> mailboxes();
  // Subscribed names, sorted; a name may be subscribed without existing (RFC 3501 6.3.9).
  Result<std::vector<std::string>> subscriptions();
  // kNotFound when there is no such mailbox. Takes a folder over that the index does not know yet.
  // Does not sync.
  Result<Mailbox> open_mailbox(std::string_view name);
  // The mailbox a parked session remembers; kNotFound when it is gone.
  Result<Mailbox> open_mailbox(const Guid& guid);
  // A trailing '/' is ignored. Missing parents are not made: they show as no_select.
  // `special_use` is RFC 6154's CREATE ... (USE (...)).
  Result<Mailbox> create(std::string_view name, SpecialUse special_use = SpecialUse::kNone);
  // INBOX: kDenied. With children, the mailbox goes and its name stays as a no_select parent; a
  // no_select parent itself: kExists (it has children).
  Result<> remove(std::string_view name);
  // Children follow. INBOX: its messages move to `to`, INBOX stays, empty, its children untouched.
  Result<> rename(std::string_view from, std::string_view to);
  Result<> subscribe(std::string_view name);
  Result<> unsubscribe(std::string_view name);  // of a name not subscribed: no error
  // The Maildir's root: mailboxes and subscriptions come, go and change their names there.
  Result<WatchedDirectory> watched_root();
  Result<> set_special_use(std::string_view name, SpecialUse special_use);

 private:
  friend class Mailbox;
  explicit UserStore(std::unique_ptr<StoreState> state);
  std::unique_ptr<StoreState> state_;
};

// A file being written for APPEND: the caller opens `path()` (O_WRONLY|O_CREAT|O_EXCL, 0600),
// writes and fsyncs it, then commits. Destroyed without a commit, it removes the file.
class AppendSlot {
 public:
  AppendSlot(AppendSlot&& other) noexcept;
  AppendSlot& operator=(AppendSlot&& other) noexcept;
  ~AppendSlot();
  const std::string& path() const { return tmp_path_; }

 private:
  friend class Mailbox;
  explicit AppendSlot(std::string tmp_path) : tmp_path_(std::move(tmp_path)) {}
  std::string tmp_path_;  // empty once committed or moved from
};

struct AppendItem {
  AppendSlot* slot = nullptr;
  Flags flags;
  std::vector<std::string> keywords;
  std::optional<int64_t> internal_date_s;  // default: now
  // Size with every line end as CRLF, when the writer counted it (LineCounter), else kSizeUnknown.
  uint64_t rfc822_size_bytes = kSizeUnknown;
};

class Mailbox {
 public:
  int64_t id() const { return id_; }

  // --- What it is
  Result<MailboxStatus> status();
  // Bytes of all messages, every line end counted as CRLF (RFC 8438 3: no less than the sum of
  // RFC822.SIZE). Nothing is read for it: who nobody has counted yet counts as if each of its bytes
  // were a line end. One step through the mailbox's rows.
  Result<uint64_t> size_octets();
  // The permanent keywords, in the order of their bits in Keywords. Never reordered, only extended;
  // `can_add_keywords` of status() says whether a new one would still fit (kKeywordsMax).
  Result<std::vector<std::string>> keywords();
  // Bits for names; a name the mailbox does not know is left out unless `create`.
  Result<Keywords> keyword_bits(std::span<const std::string> names, bool create);

  // Brings the index to what the Maildir says: files from new/ move to cur/ and get UIDs, vanished
  // files are logged as expunged, flags changed in names are taken. Nothing changed: two stat calls
  // and one index row read, no transaction. Safe at any time, against any other program. On error
  // the index is as it was; the caller may go on with it.
  Result<SyncResult> sync();
  // Makes the messages that are \Recent belong to the caller and to nobody else (SELECT, and a
  // selected session that sees arrivals): those with uid >= the returned one. EXAMINE takes
  // status().first_recent_uid instead and claims nothing. Writes only if there is something to
  // claim.
  Result<uint32_t> claim_recent();
  // Uses up the next `count` UIDs, as if messages had come and gone at once; answers the first. For
  // messages that a client was told of and that were gone before they got a UID. No new mod_seq.
  Result<uint32_t> skip_uids(uint32_t count);

  // --- Messages. UIDs in arguments are ascending; a UID that does not exist is skipped unless
  // said. Ascending by UID, at most `max` (page on with range.first = last uid + 1).
  Result<std::vector<Message>> messages(UidRange range, size_t max = SIZE_MAX);
  Result<std::vector<Message>> messages(std::span<const uint32_t> uids);
  Result<std::optional<Message>> message(uint32_t uid);
  Result<std::vector<uint32_t>> uids();
  // status() and uids() of one moment: what a SELECT builds its view from.
  Result<Snapshot> snapshot();
  // 1-based position of `uid`, or of the place where it would be (RFC 3501 sequence number): the
  // number of messages with a UID <= uid. Reads chunk counts, at most kChunkUids rows besides.
  Result<uint32_t> rank(uint32_t uid);
  Result<std::optional<uint32_t>> uid_at(uint32_t sequence_number);

  // --- Changes. Everything that happened after `mod_seq`, of one moment, at a cost proportional to
  // what happened. mod_seq must be one this mailbox reported (status, Changes), or 0 for
  // everything.
  Result<Changes> changes_since(uint64_t mod_seq);

  // --- Changing messages. Each call is one transaction with one new mod_seq for all it changes.
  Result<StoreFlagsResult> store_flags(std::span<const uint32_t> uids, const FlagsChange& change);
  // Removes exactly these (MOVE, UID EXPUNGE after filtering, tests). Returns those removed.
  Result<ExpungeResult> expunge(std::span<const uint32_t> uids);
  // Removes those of `uids` that are \Deleted; without `uids`, all that are.
  Result<ExpungeResult> expunge_deleted(std::optional<std::span<const uint32_t>> uids = {});
  // Hard links where possible. All or nothing. `to` is a mailbox of the same UserStore.
  Result<CopyResult> copy(std::span<const uint32_t> uids, Mailbox to);
  // A rename per message and one transaction for both mailboxes: a crash in between leaves each
  // message in exactly one of them.
  Result<CopyResult> move(std::span<const uint32_t> uids, Mailbox to);

  // --- Adding. prepare, write through the ring, commit; then fsync Appended.directory through the
  // ring.
  Result<AppendSlot> prepare_append();
  // All or nothing (MULTIAPPEND). The slots are spent on success and untouched on failure.
  Result<Appended> commit_append(std::span<AppendItem> items);

  // --- Bytes of messages
  // Path of the message's file as the index knows it; another program may rename it at any time.
  // When opening gives ENOENT, ask relocate(), which syncs and answers the new path, or kNotFound.
  Result<std::string> path(uint32_t uid);
  Result<std::string> relocate(uint32_t uid);
  // The two together, synchronously, O_RDONLY|O_CLOEXEC|O_NOFOLLOW.
  Result<io::Fd> open_message(uint32_t uid);

  // --- What reading a message found out, kept so that it is read once (envelope and structure in
  // mime's own encoding, opaque here). Forgotten with the message, carried along by copy and move.
  Result<std::optional<std::string>> cached(uint32_t uid);
  // (uid, blob) of those that have one, ascending.
  Result<std::vector<std::pair<uint32_t, std::string>>> cached(std::span<const uint32_t> uids);
  // No new mod_seq. A blob longer than kCacheBlobMaxBytes is not kept; empty: keep what is there.
  Result<> remember(uint32_t uid, uint64_t rfc822_size_bytes, std::string_view blob);
  // Many at once, in one transaction.
  Result<> remember(std::span<const Remembered> items);

  // --- For the watch: new/ and cur/, whose change means "this mailbox may have changed".
  Result<std::vector<WatchedDirectory>> watched_directories();

  bool operator==(const Mailbox& other) const { return id_ == other.id_; }

 private:
  friend class UserStore;
  friend struct StoreState;
  Mailbox(StoreState* state, int64_t id) : state_(state), id_(id) {}
  StoreState* state_;
  int64_t id_;
};

// Puts one message, read from `source_fd` to its end, into new/ of a mailbox of the Maildir at
// `mail_path`, making Maildir and mailbox when absent; needs no index and takes no lock. tmp/,
// fsync, rename, fsync of new/. Synchronous: for `dormouse deliver`. Returns the file's path.
// Errors that may pass (is_temporary) mean "keep the mail in the queue".
Result<std::string> deliver(const std::string& mail_path, std::string_view mailbox, int source_fd);
bool is_temporary(const Error& error);

}  // namespace dormouse::store
