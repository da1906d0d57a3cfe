#pragma once
// Rows of the index, and Batch: the one place where messages are added, changed and removed, so
// that counts, chunk counts, bucket sums, mod_seq and the expunge log cannot drift from the
// messages.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "io/result.h"
#include "store/state.h"

namespace dormouse::store {

// Buckets of file name hashes (table `bucket`). 256: one changed name among 100,000 then costs 400
// rows of comparison, and comparing the sums costs 256 rows.
inline constexpr size_t kBuckets = 256;
inline size_t bucket_of(uint64_t base_hash) { return base_hash >> 56; }

struct MailboxRow {
  int64_t id = 0;
  Guid guid;
  std::string name;
  uint32_t uid_validity = 0;
  uint32_t uid_next = 1;
  uint64_t highest_mod_seq = 1;
  uint32_t first_recent_uid = 1;
  uint32_t message_count = 0;
  uint32_t unseen_count = 0;
  uint32_t deleted_count = 0;
  uint32_t expunged_count = 0;
  uint64_t expunge_horizon = 0;
  SpecialUse special_use = SpecialUse::kNone;
  int64_t cur_mtime_ns = -1;
};

struct MessageRow {
  Message message;
  std::string base;
  std::string suffix;
  std::string file_name() const { return base + suffix; }
};

// kNotFound when the mailbox is gone.
Result<MailboxRow> load_mailbox(StoreState& state, int64_t id);
Result<std::optional<MailboxRow>> find_mailbox(StoreState& state, std::string_view name);
Result<std::optional<MailboxRow>> find_mailbox(StoreState& state, const Guid& guid);
Result<std::vector<MailboxRow>> all_mailboxes(StoreState& state);
// Gives `row` its id; its uid_validity is made larger than any this user had.
Result<> insert_mailbox(StoreState& state, MailboxRow& row);
// The row and everything that hangs on it.
Result<> delete_mailbox(StoreState& state, int64_t id);
Result<> rename_mailbox(StoreState& state, int64_t id, std::string_view name);

inline constexpr const char* kMessageColumns =
    "uid, flags, keywords, mod_seq, created_mod_seq, internal_date, file_size, rfc822_size";
Message read_message(const Cursor& cursor);         // columns as in kMessageColumns
MessageRow read_message_row(const Cursor& cursor);  // and base, suffix
Result<std::optional<MessageRow>> find_message(StoreState& state, int64_t mailbox_id, uint32_t uid);

// Names of keywords in the order of their bits; unnamed bits are empty.
Result<std::vector<std::string>> load_keywords(StoreState& state, int64_t mailbox_id);
Result<> save_keyword(StoreState& state, int64_t mailbox_id, size_t bit, std::string_view name);

// Changes to the messages of one mailbox inside one write transaction.
class Batch {
 public:
  // `row` is read inside the same transaction and outlives the batch.
  Batch(StoreState& state, MailboxRow& row) : state_(state), row_(row) {}

  // The mod_seq of everything that this batch changes; allocated at the first call.
  uint64_t mod_seq();
  bool changed() const { return mod_seq_ != 0; }
  // The next UID; kLimit when 32 bits are used up.
  Result<uint32_t> next_uid();

  // Fills in mod_seq and created_mod_seq. The UID is given.
  Result<> insert(MessageRow& message);
  // Flags, keywords or file name changed. A new mod_seq unless only the name did.
  Result<> update(const MessageRow& before, MessageRow& after);
  Result<> remove(const MessageRow& message);
  // Writes the counts and the mailbox's row; then the caller commits.
  Result<> finish();

 private:
  void count(const MessageRow& message, int sign);
  Result<> log_expunged(const MessageRow& message);
  Result<> prune_log();

  StoreState& state_;
  MailboxRow& row_;
  uint64_t mod_seq_ = 0;
  std::map<uint32_t, int64_t> chunk_deltas_;
  std::map<size_t, uint64_t> bucket_deltas_;
};

}  // namespace dormouse::store
