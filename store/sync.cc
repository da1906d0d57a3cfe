// Is there anything to do? How changes of other programs are found at the price of the change:
//
// 1. new/ and cur/ are stat()ed. A directory whose mtime is the one remembered, and was already
//    older than the clock's grain when it was read, has not changed.
// 2. A changed cur/ is listed and each name's hash added into one of 256 buckets. The index keeps
//    the same sums (Batch): equal sums, nothing to do. So our own renames cost a listing, no
//    comparison.
// 3. Otherwise what differs is applied: sync_apply.cc.

#include "store/sync.h"

#include <utility>

#include "store/files.h"
#include "store/maildir_name.h"
#include "store/try.h"

namespace dormouse::store {
namespace {

// Below this many messages a listing is cheaper than the write that would remember cur/'s mtime
// across processes (about 150 ns an entry against about 50 us a commit).
constexpr uint32_t kStampWorthMessages = 1000;

Result<Sums> sums_of_directory(const std::string& directory) {
  Sums sums{};
  STORE_TRY(list_files(directory, [&](std::string_view name) {
    sums[bucket_of(name_hash(split_file_name(name).base))] += name_hash(name);
    return true;
  }));
  return sums;
}

}  // namespace

Result<Sums> sums_of_index(StoreState& state, int64_t mailbox_id) {
  Sums sums{};
  Cursor cursor =
      state.database.query("SELECT bucket, name_sum FROM bucket WHERE mailbox_id = ?", mailbox_id);
  while (cursor.next()) {
    size_t bucket = cursor.number(0);
    if (bucket < kBuckets) sums[bucket] = cursor.number(1);
  }
  STORE_TRY(cursor.status());
  return sums;
}

Result<MailboxMemo*> memo_of(StoreState& state, int64_t mailbox_id) {
  STORE_ASSIGN(MailboxRow row, load_mailbox(state, mailbox_id));
  STORE_ASSIGN(std::string folder, folder_of(row.name));
  std::string directory = state.directory_of_folder(folder);
  auto found = state.memos.find(mailbox_id);
  // Another process may have renamed the mailbox, and even made a new one of its old name.
  if (found != state.memos.end() && found->second.directory == directory) return &found->second;
  MailboxMemo memo;
  memo.directory = directory;
  if (row.cur_mtime_ns >= 0) {
    STORE_ASSIGN(memo.current, stamp_of(memo.directory + "/cur"));
    memo.current.mtime_ns = row.cur_mtime_ns;
    memo.current.settled = true;
  }
  return &(state.memos[mailbox_id] = memo);
}

namespace {

Result<SyncResult> apply_changes(StoreState& state, int64_t mailbox_id) {
  STORE_ASSIGN(Transaction transaction, Transaction::write(state.database));
  STORE_ASSIGN(MailboxRow row, load_mailbox(state, mailbox_id));
  Batch batch(state, row);
  STORE_ASSIGN(SyncResult result, sync_inside(state, row, batch));
  STORE_TRY(batch.finish());
  STORE_TRY(transaction.commit());
  return result;
}

Result<SyncResult> sync_once(StoreState& state, int64_t mailbox_id) {
  STORE_ASSIGN(MailboxMemo * memo, memo_of(state, mailbox_id));
  STORE_ASSIGN(DirectoryStamp fresh, stamp_of(memo->directory + "/new"));
  STORE_ASSIGN(DirectoryStamp current, stamp_of(memo->directory + "/cur"));
  bool fresh_same = memo->fresh.settled && memo->fresh.same(fresh);
  bool current_same = memo->current.settled && memo->current.same(current);
  if (fresh_same && current_same) return SyncResult{};

  bool work = false;
  if (!fresh_same) {
    STORE_TRY(list_files(memo->directory + "/new", [&](std::string_view) {
      work = true;
      return false;
    }));
  }
  if (!current_same && !work) {
    STORE_ASSIGN(Sums listed, sums_of_directory(memo->directory + "/cur"));
    STORE_ASSIGN(Sums indexed, sums_of_index(state, mailbox_id));
    work = listed != indexed;
  }
  SyncResult result;
  if (work) {
    STORE_ASSIGN(result, apply_changes(state, mailbox_id));
    // What could not be taken in is looked for again; the rest was seen after the stamps.
    if (result.deferred > 0) fresh.settled = current.settled = false;
  } else if (current.settled && !current_same) {
    STORE_TRY(state.database.run(
        "UPDATE mailbox SET cur_mtime_ns = ? WHERE id = ? AND message_count >= ?", current.mtime_ns,
        mailbox_id, kStampWorthMessages));
  }
  memo->fresh = fresh;
  memo->current = current;
  return result;
}

}  // namespace

Result<SyncResult> Mailbox::sync() {
  STORE_TRY(state_->check_file());
  return sync_once(*state_, id_);
}

}  // namespace dormouse::store
