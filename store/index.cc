#include "store/index.h"

#include <algorithm>
#include <cstring>
#include <ctime>

#include "store/maildir_name.h"
#include "store/try.h"

namespace dormouse::store {
namespace {

#define MAILBOX_SELECT                                                                         \
  "SELECT id, guid, name, uid_validity, uid_next, highest_mod_seq, first_recent_uid, "         \
  "message_count, unseen_count, deleted_count, expunged_count, expunge_horizon, special_use, " \
  "cur_mtime_ns FROM mailbox "

MailboxRow read_mailbox(const Cursor& cursor) {
  MailboxRow row;
  row.id = cursor.integer(0);
  std::string_view guid = cursor.bytes(1);
  std::memcpy(row.guid.bytes.data(), guid.data(), std::min(guid.size(), row.guid.bytes.size()));
  row.name = cursor.bytes(2);
  row.uid_validity = cursor.number32(3);
  row.uid_next = cursor.number32(4);
  row.highest_mod_seq = cursor.number(5);
  row.first_recent_uid = cursor.number32(6);
  row.message_count = cursor.number32(7);
  row.unseen_count = cursor.number32(8);
  row.deleted_count = cursor.number32(9);
  row.expunged_count = cursor.number32(10);
  row.expunge_horizon = cursor.number(11);
  row.special_use = static_cast<SpecialUse>(cursor.integer(12));
  row.cur_mtime_ns = cursor.integer(13);
  return row;
}

std::string_view guid_bytes(const Guid& guid) {
  return {reinterpret_cast<const char*>(guid.bytes.data()), guid.bytes.size()};
}

Result<std::optional<MailboxRow>> one_mailbox(Cursor cursor) {
  std::optional<MailboxRow> row;
  if (cursor.next()) row = read_mailbox(cursor);
  STORE_TRY(cursor.status());
  return row;
}

}  // namespace

Result<MailboxRow> load_mailbox(StoreState& state, int64_t id) {
  STORE_ASSIGN(auto row, one_mailbox(state.database.query(MAILBOX_SELECT "WHERE id = ?", id)));
  if (!row) return fail(ErrorKind::kNotFound, "the mailbox is gone");
  return std::move(*row);
}

Result<std::optional<MailboxRow>> find_mailbox(StoreState& state, std::string_view name) {
  return one_mailbox(state.database.query(MAILBOX_SELECT "WHERE name = ?", name));
}

Result<std::optional<MailboxRow>> find_mailbox(StoreState& state, const Guid& guid) {
  return one_mailbox(state.database.query(MAILBOX_SELECT "WHERE guid = ?", Blob{guid_bytes(guid)}));
}

Result<std::vector<MailboxRow>> all_mailboxes(StoreState& state) {
  std::vector<MailboxRow> rows;
  Cursor cursor = state.database.query(MAILBOX_SELECT "ORDER BY name");
  while (cursor.next()) rows.push_back(read_mailbox(cursor));
  STORE_TRY(cursor.status());
  return rows;
}

Result<> insert_mailbox(StoreState& state, MailboxRow& row) {
  Cursor last = state.database.query("SELECT value FROM meta WHERE key = 'uid_validity'");
  uint32_t least = last.next() ? last.number32(0) + 1 : 1;
  STORE_TRY(last.status());
  // A time, so that an index rebuilt from nothing also gives larger ones than its predecessor did.
  if (row.uid_validity == 0)
    row.uid_validity = std::max(least, static_cast<uint32_t>(time(nullptr)));
  uint32_t highest = std::max(least - 1, row.uid_validity);
  STORE_TRY(state.database.run("INSERT OR REPLACE INTO meta VALUES ('uid_validity', ?)", highest));
  STORE_TRY(state.database.run(
      "INSERT INTO mailbox (guid, name, uid_validity, uid_next, highest_mod_seq, first_recent_uid, "
      "special_use) VALUES (?, ?, ?, ?, ?, ?, ?)",
      Blob{guid_bytes(row.guid)}, std::string_view(row.name), row.uid_validity, row.uid_next,
      row.highest_mod_seq, row.first_recent_uid, static_cast<int64_t>(row.special_use)));
  row.id = state.database.last_insert_id();
  // The cache's key has 31 bits for it.
  if (row.id > INT32_MAX) return fail(ErrorKind::kLimit, "2^31 mailboxes were made for this user");
  return {};
}

Result<> delete_mailbox(StoreState& state, int64_t id) {
  Database& database = state.database;
  STORE_TRY(database.run("DELETE FROM cache WHERE key BETWEEN ? AND ?", id << 32,
                         (id << 32) + UINT32_MAX));
  STORE_TRY(database.run("DELETE FROM message WHERE mailbox_id = ?", id));
  STORE_TRY(database.run("DELETE FROM keyword WHERE mailbox_id = ?", id));
  STORE_TRY(database.run("DELETE FROM chunk WHERE mailbox_id = ?", id));
  STORE_TRY(database.run("DELETE FROM bucket WHERE mailbox_id = ?", id));
  STORE_TRY(database.run("DELETE FROM expunged WHERE mailbox_id = ?", id));
  STORE_TRY(database.run("DELETE FROM mailbox WHERE id = ?", id));
  state.memos.erase(id);
  return {};
}

Result<> rename_mailbox(StoreState& state, int64_t id, std::string_view name) {
  state.memos.erase(id);
  return state.database.run("UPDATE mailbox SET name = ? WHERE id = ?", name, id);
}

Message read_message(const Cursor& cursor) {
  Message message;
  message.uid = cursor.number32(0);
  message.flags.bits = static_cast<uint8_t>(cursor.integer(1)) & Flags::kAll;
  message.keywords = Keywords(cursor.number(2));
  message.mod_seq = cursor.number(3);
  message.created_mod_seq = cursor.number(4);
  message.internal_date_s = cursor.integer(5);
  message.file_size_bytes = cursor.number(6);
  message.rfc822_size_bytes = cursor.number(7);
  return message;
}

MessageRow read_message_row(const Cursor& cursor) {
  return MessageRow{read_message(cursor), std::string(cursor.bytes(8)),
                    std::string(cursor.bytes(9))};
}

Result<std::optional<MessageRow>> find_message(StoreState& state, int64_t mailbox_id,
                                               uint32_t uid) {
  Cursor cursor = state.database.query(
      "SELECT uid, flags, keywords, mod_seq, created_mod_seq, internal_date, file_size, "
      "rfc822_size, base, suffix FROM message WHERE mailbox_id = ? AND uid = ?",
      mailbox_id, uid);
  std::optional<MessageRow> row;
  if (cursor.next()) row = read_message_row(cursor);
  STORE_TRY(cursor.status());
  return row;
}

Result<std::vector<std::string>> load_keywords(StoreState& state, int64_t mailbox_id) {
  std::vector<std::string> names;
  Cursor cursor = state.database.query(
      "SELECT bit, name FROM keyword WHERE mailbox_id = ? ORDER BY bit", mailbox_id);
  while (cursor.next()) {
    size_t bit = cursor.number(0);
    if (bit >= kKeywordsMax) continue;
    names.resize(bit + 1);
    names[bit] = cursor.bytes(1);
  }
  STORE_TRY(cursor.status());
  return names;
}

Result<> save_keyword(StoreState& state, int64_t mailbox_id, size_t bit, std::string_view name) {
  return state.database.run("INSERT INTO keyword (mailbox_id, bit, name) VALUES (?, ?, ?)",
                            mailbox_id, bit, name);
}

uint64_t Batch::mod_seq() {
  if (mod_seq_ == 0) mod_seq_ = ++row_.highest_mod_seq;
  return mod_seq_;
}

Result<uint32_t> Batch::next_uid() {
  // UINT32_MAX is kept free: UIDNEXT itself must be a UID (RFC 3501 2.3.1.1).
  if (row_.uid_next >= UINT32_MAX - 1) return fail(ErrorKind::kLimit, "the mailbox is out of UIDs");
  return row_.uid_next++;
}

void Batch::count(const MessageRow& message, int sign) {
  const auto delta = static_cast<uint32_t>(sign);
  row_.message_count += delta;
  if (!message.message.flags.has(Flags::kSeen)) row_.unseen_count += delta;
  if (message.message.flags.has(Flags::kDeleted)) row_.deleted_count += delta;
  chunk_deltas_[message.message.uid / kChunkUids] += sign;
  bucket_deltas_[bucket_of(name_hash(message.base))] +=
      static_cast<uint64_t>(sign) * name_hash(message.file_name());
}

Result<> Batch::insert(MessageRow& row) {
  Message& message = row.message;
  message.mod_seq = message.created_mod_seq = mod_seq();
  STORE_TRY(state_.database.run(
      "INSERT INTO message (mailbox_id, uid, flags, keywords, mod_seq, created_mod_seq, "
      "internal_date, file_size, rfc822_size, base_hash, base, suffix) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      row_.id, message.uid, message.flags.bits, message.keywords.to_ullong(), message.mod_seq,
      message.created_mod_seq, message.internal_date_s, message.file_size_bytes,
      message.rfc822_size_bytes, name_hash(row.base), Blob{row.base}, Blob{row.suffix}));
  count(row, 1);
  return {};
}

Result<> Batch::update(const MessageRow& before, MessageRow& after) {
  bool only_name = before.message.flags == after.message.flags &&
                   before.message.keywords == after.message.keywords;
  if (!only_name) after.message.mod_seq = mod_seq();
  STORE_TRY(state_.database.run(
      "UPDATE message SET flags = ?, keywords = ?, mod_seq = ?, base_hash = ?, base = ?, "
      "suffix = ? WHERE mailbox_id = ? AND uid = ?",
      after.message.flags.bits, after.message.keywords.to_ullong(), after.message.mod_seq,
      name_hash(after.base), Blob{after.base}, Blob{after.suffix}, row_.id, after.message.uid));
  count(before, -1);
  count(after, 1);
  return {};
}

Result<> Batch::remove(const MessageRow& row) {
  STORE_TRY(state_.database.run("DELETE FROM message WHERE mailbox_id = ? AND uid = ?", row_.id,
                                row.message.uid));
  STORE_TRY(
      state_.database.run("DELETE FROM cache WHERE key = ?", row_.id << 32 | row.message.uid));
  count(row, -1);
  return log_expunged(row);
}

Result<> Batch::log_expunged(const MessageRow& row) {
  ++row_.expunged_count;
  return state_.database.run(
      "INSERT INTO expunged (mailbox_id, mod_seq, uid, created_mod_seq) VALUES (?, ?, ?, ?)",
      row_.id, mod_seq(), row.message.uid, row.message.created_mod_seq);
}

Result<> Batch::prune_log() {
  if (row_.expunged_count <= kExpungeLogMax) return {};
  uint64_t horizon = 0;
  {
    Cursor cursor = state_.database.query(
        "SELECT mod_seq FROM expunged WHERE mailbox_id = ? ORDER BY mod_seq, uid "
        "LIMIT 1 OFFSET ?",
        row_.id, row_.expunged_count - kExpungeLogMax / 2 - 1);
    if (cursor.next()) horizon = cursor.number(0);
    STORE_TRY(cursor.status());
  }
  // What is being expunged now is exactly what the sessions asleep will ask for: it stays, however
  // much.
  horizon = std::min(horizon, mod_seq() - 1);
  STORE_TRY(state_.database.run("DELETE FROM expunged WHERE mailbox_id = ? AND mod_seq <= ?",
                                row_.id, horizon));
  row_.expunged_count -= static_cast<uint32_t>(state_.database.changes());
  row_.expunge_horizon = std::max(row_.expunge_horizon, horizon);
  return {};
}

Result<> Batch::finish() {
  for (const auto& [chunk, delta] : chunk_deltas_) {
    if (delta == 0) continue;
    STORE_TRY(
        state_.database.run("INSERT INTO chunk VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET "
                            "message_count = message_count + excluded.message_count",
                            row_.id, chunk, delta));
  }
  for (const auto& [bucket, delta] : bucket_deltas_) {
    if (delta == 0) continue;
    // The sum wraps here, not in SQL, whose integers turn into floats on overflow.
    Cursor cursor = state_.database.query(
        "SELECT name_sum FROM bucket WHERE mailbox_id = ? AND bucket = ?", row_.id, bucket);
    uint64_t sum = cursor.next() ? cursor.number(0) : 0;
    STORE_TRY(cursor.status());
    STORE_TRY(state_.database.run("INSERT OR REPLACE INTO bucket VALUES (?, ?, ?)", row_.id, bucket,
                                  sum + delta));
  }
  STORE_TRY(prune_log());
  return state_.database.run(
      "UPDATE mailbox SET uid_next = ?, highest_mod_seq = ?, first_recent_uid = ?, "
      "message_count = ?, unseen_count = ?, deleted_count = ?, expunged_count = ?, "
      "expunge_horizon = ? WHERE id = ?",
      row_.uid_next, row_.highest_mod_seq, row_.first_recent_uid, row_.message_count,
      row_.unseen_count, row_.deleted_count, row_.expunged_count, row_.expunge_horizon, row_.id);
}

}  // namespace dormouse::store
