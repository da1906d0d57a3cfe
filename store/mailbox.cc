// Reading a mailbox: status, keywords, messages, positions, paths, cached blobs.

#include <fcntl.h>

#include <algorithm>

#include "store/files.h"
#include "store/index.h"
#include "store/keywords.h"
#include "store/maildir_name.h"
#include "store/read.h"
#include "store/store.h"
#include "store/sync.h"
#include "store/try.h"

namespace dormouse::store {
namespace {

#define MESSAGE_SELECT                                                                \
  "SELECT uid, flags, keywords, mod_seq, created_mod_seq, internal_date, file_size, " \
  "rfc822_size FROM message "

// How often open_message() looks again for a file that others keep renaming.
constexpr int kOpenTriesMax = 5;

int64_t cache_key(int64_t mailbox_id, uint32_t uid) { return mailbox_id << 32 | uid; }

Result<std::string> path_of(StoreState& state, int64_t mailbox_id, uint32_t uid) {
  STORE_ASSIGN(MailboxRow row, load_mailbox(state, mailbox_id));
  STORE_ASSIGN(auto message, find_message(state, mailbox_id, uid));
  if (!message) return fail(ErrorKind::kNotFound, "the message is expunged");
  STORE_ASSIGN(std::string folder, folder_of(row.name));
  return state.directory_of_folder(folder) + "/cur/" + message->file_name();
}

}  // namespace

MailboxStatus status_of(const MailboxRow& row) {
  MailboxStatus status;
  status.guid = row.guid;
  status.name = row.name;
  status.uid_validity = row.uid_validity;
  status.uid_next = row.uid_next;
  status.highest_mod_seq = row.highest_mod_seq;
  status.exists = row.message_count;
  status.unseen = row.unseen_count;
  status.deleted = row.deleted_count;
  status.first_recent_uid = row.first_recent_uid;
  return status;
}

Result<MailboxStatus> read_status(StoreState& state, int64_t mailbox_id) {
  STORE_ASSIGN(MailboxRow row, load_mailbox(state, mailbox_id));
  MailboxStatus status = status_of(row);
  if (row.unseen_count > 0) {
    Cursor cursor = state.database.query(
        "SELECT uid FROM message WHERE mailbox_id = ? AND flags & 1 = 0 ORDER BY uid LIMIT 1",
        mailbox_id);
    if (cursor.next()) status.first_unseen_uid = cursor.number32(0);
    STORE_TRY(cursor.status());
  }
  if (row.first_recent_uid < row.uid_next) {
    STORE_ASSIGN(uint32_t older, RankWalker(state, mailbox_id).rank(row.first_recent_uid - 1));
    status.recent = row.message_count - older;
  }
  STORE_ASSIGN(auto keywords, load_keywords(state, mailbox_id));
  status.can_add_keywords = first_free_bit(keywords).has_value();
  return status;
}

Result<uint64_t> Mailbox::size_octets() {
  STORE_TRY(state_->check());
  STORE_ASSIGN(Transaction transaction, Transaction::read(state_->database));
  Cursor cursor = state_->database.query(
      "SELECT COALESCE(SUM(CASE WHEN rfc822_size = ? THEN 2 * file_size ELSE rfc822_size END), 0) "
      "FROM message WHERE mailbox_id = ?",
      kSizeUnknown, id_);
  uint64_t octets = 0;
  if (cursor.next()) octets = cursor.number(0);
  STORE_TRY(cursor.status());
  return octets;
}

Result<MailboxStatus> Mailbox::status() {
  STORE_TRY(state_->check());
  STORE_ASSIGN(Transaction transaction, Transaction::read(state_->database));
  return read_status(*state_, id_);
}

Result<std::vector<std::string>> Mailbox::keywords() {
  STORE_TRY(state_->check());
  return load_keywords(*state_, id_);
}

Result<Keywords> Mailbox::keyword_bits(std::span<const std::string> names, bool create) {
  STORE_TRY(state_->check());
  STORE_ASSIGN(auto known, load_keywords(*state_, id_));
  Keywords bits = known_keyword_bits(known, names);
  if (!create || bits.count() == names.size()) return bits;
  STORE_ASSIGN(Transaction transaction, Transaction::write(state_->database));
  STORE_ASSIGN(MailboxRow row, load_mailbox(*state_, id_));
  STORE_ASSIGN(bits, make_keyword_bits(*state_, row, names));
  STORE_TRY(transaction.commit());
  return bits;
}

Result<uint32_t> Mailbox::claim_recent() {
  STORE_TRY(state_->check());
  {
    STORE_ASSIGN(MailboxRow row, load_mailbox(*state_, id_));
    if (row.first_recent_uid >= row.uid_next) return row.uid_next;
  }
  STORE_ASSIGN(Transaction transaction, Transaction::write(state_->database));
  STORE_ASSIGN(MailboxRow row, load_mailbox(*state_, id_));
  STORE_TRY(
      state_->database.run("UPDATE mailbox SET first_recent_uid = uid_next WHERE id = ?", id_));
  STORE_TRY(transaction.commit());
  return row.first_recent_uid;
}

Result<uint32_t> Mailbox::skip_uids(uint32_t count) {
  STORE_TRY(state_->check());
  STORE_ASSIGN(Transaction transaction, Transaction::write(state_->database));
  STORE_ASSIGN(MailboxRow row, load_mailbox(*state_, id_));
  if (count >= UINT32_MAX - 1 - row.uid_next) {
    return fail(ErrorKind::kLimit, "the mailbox is out of UIDs");
  }
  STORE_TRY(
      state_->database.run("UPDATE mailbox SET uid_next = uid_next + ? WHERE id = ?", count, id_));
  STORE_TRY(transaction.commit());
  return row.uid_next;
}

Result<std::vector<Message>> Mailbox::messages(UidRange range, size_t max) {
  STORE_TRY(state_->check());
  std::vector<Message> messages;
  Cursor cursor = state_->database.query(
      MESSAGE_SELECT "WHERE mailbox_id = ? AND uid BETWEEN ? AND ? ORDER BY uid LIMIT ?", id_,
      range.first, range.last, std::min<size_t>(max, INT64_MAX));
  while (cursor.next()) messages.push_back(read_message(cursor));
  STORE_TRY(cursor.status());
  return messages;
}

Result<std::optional<Message>> Mailbox::message(uint32_t uid) {
  STORE_TRY(state_->check());
  Cursor cursor =
      state_->database.query(MESSAGE_SELECT "WHERE mailbox_id = ? AND uid = ?", id_, uid);
  std::optional<Message> message;
  if (cursor.next()) message = read_message(cursor);
  STORE_TRY(cursor.status());
  return message;
}

Result<std::vector<Message>> Mailbox::messages(std::span<const uint32_t> uids) {
  STORE_ASSIGN(Transaction transaction, Transaction::read(state_->database));
  std::vector<Message> messages;
  messages.reserve(uids.size());
  for (uint32_t uid : uids) {
    STORE_ASSIGN(auto found, message(uid));
    if (found) messages.push_back(*found);
  }
  return messages;
}

Result<std::vector<uint32_t>> Mailbox::uids() {
  STORE_TRY(state_->check());
  std::vector<uint32_t> uids;
  Cursor cursor =
      state_->database.query("SELECT uid FROM message WHERE mailbox_id = ? ORDER BY uid", id_);
  while (cursor.next()) uids.push_back(cursor.number32(0));
  STORE_TRY(cursor.status());
  return uids;
}

Result<Snapshot> Mailbox::snapshot() {
  STORE_TRY(state_->check());
  STORE_ASSIGN(Transaction transaction, Transaction::read(state_->database));
  Snapshot snapshot;
  STORE_ASSIGN(snapshot.status, read_status(*state_, id_));
  STORE_ASSIGN(snapshot.uids, uids());
  return snapshot;
}

Result<uint32_t> Mailbox::rank(uint32_t uid) {
  STORE_TRY(state_->check());
  STORE_ASSIGN(Transaction transaction, Transaction::read(state_->database));
  return RankWalker(*state_, id_).rank(uid);
}

Result<std::optional<uint32_t>> Mailbox::uid_at(uint32_t sequence_number) {
  STORE_TRY(state_->check());
  if (sequence_number == 0) return std::optional<uint32_t>();
  STORE_ASSIGN(Transaction transaction, Transaction::read(state_->database));
  uint32_t left = sequence_number;
  std::optional<uint32_t> chunk;
  {
    Cursor chunks = state_->database.query(
        "SELECT chunk, message_count FROM chunk WHERE mailbox_id = ? ORDER BY chunk", id_);
    while (!chunk && chunks.next()) {
      if (left <= chunks.number32(1)) {
        chunk = chunks.number32(0);
      } else {
        left -= chunks.number32(1);
      }
    }
    STORE_TRY(chunks.status());
  }
  if (!chunk) return std::optional<uint32_t>();
  Cursor cursor = state_->database.query(
      "SELECT uid FROM message WHERE mailbox_id = ? AND uid >= ? ORDER BY uid LIMIT 1 OFFSET ?",
      id_, *chunk * kChunkUids, left - 1);
  std::optional<uint32_t> uid;
  if (cursor.next()) uid = cursor.number32(0);
  STORE_TRY(cursor.status());
  return uid;
}

Result<std::string> Mailbox::path(uint32_t uid) {
  STORE_TRY(state_->check());
  return path_of(*state_, id_, uid);
}

Result<std::string> Mailbox::relocate(uint32_t uid) {
  // The stamps are put aside: the caller has seen that the file is not where the index has it.
  state_->memos.erase(id_);
  STORE_TRY(sync());
  return path(uid);
}

Result<io::Fd> Mailbox::open_message(uint32_t uid) {
  STORE_ASSIGN(std::string file, path(uid));
  for (int tries = 0; tries < kOpenTriesMax; ++tries) {
    io::Fd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (fd) return fd;
    if (errno != ENOENT) return fail_errno(errno, "open " + file);
    STORE_ASSIGN(file, relocate(uid));
  }
  return fail(ErrorKind::kUnavailable, "another program keeps renaming " + file);
}

Result<std::optional<std::string>> Mailbox::cached(uint32_t uid) {
  STORE_TRY(state_->check());
  Cursor cursor =
      state_->database.query("SELECT blob FROM cache WHERE key = ?", cache_key(id_, uid));
  std::optional<std::string> blob;
  if (cursor.next()) blob = cursor.bytes(0);
  STORE_TRY(cursor.status());
  return blob;
}

Result<std::vector<std::pair<uint32_t, std::string>>> Mailbox::cached(
    std::span<const uint32_t> uids) {
  STORE_ASSIGN(Transaction transaction, Transaction::read(state_->database));
  std::vector<std::pair<uint32_t, std::string>> blobs;
  for (uint32_t uid : uids) {
    STORE_ASSIGN(auto blob, cached(uid));
    if (blob) blobs.emplace_back(uid, std::move(*blob));
  }
  return blobs;
}

Result<> Mailbox::remember(uint32_t uid, uint64_t rfc822_size_bytes, std::string_view blob) {
  const Remembered item{uid, rfc822_size_bytes, blob};
  return remember(std::span<const Remembered>(&item, 1));
}

Result<> Mailbox::remember(std::span<const Remembered> items) {
  STORE_TRY(state_->check());
  STORE_ASSIGN(Transaction transaction, Transaction::write(state_->database));
  for (const Remembered& item : items) {
    if (item.rfc822_size_bytes != kSizeUnknown) {
      STORE_TRY(state_->database.run(
          "UPDATE message SET rfc822_size = ? WHERE mailbox_id = ? AND uid = ?",
          item.rfc822_size_bytes, id_, item.uid));
    }
    if (item.blob.empty() || item.blob.size() > kCacheBlobMaxBytes) continue;
    // Only for a message that is still there: the cache must not outlive it.
    STORE_TRY(state_->database.run(
        "INSERT OR REPLACE INTO cache SELECT ?, ? FROM message WHERE mailbox_id = ? AND uid = ?",
        cache_key(id_, item.uid), Blob{item.blob}, id_, item.uid));
  }
  return transaction.commit();
}

Result<std::vector<WatchedDirectory>> Mailbox::watched_directories() {
  STORE_TRY(state_->check());
  STORE_ASSIGN(MailboxRow row, load_mailbox(*state_, id_));
  STORE_ASSIGN(std::string folder, folder_of(row.name));
  std::vector<WatchedDirectory> directories;
  for (const char* part : {"/new", "/cur"}) {
    WatchedDirectory watched{state_->directory_of_folder(folder) + part, {}};
    STORE_ASSIGN(watched.key, directory_key(watched.path));
    directories.push_back(std::move(watched));
  }
  return directories;
}

}  // namespace dormouse::store
