// STORE and EXPUNGE: files first, then their rows, in one transaction. A file that is not where the
// index has it means that another program renamed it: one sync inside the transaction finds it.

#include <algorithm>

#include "store/index.h"
#include "store/keywords.h"
#include "store/maildir_name.h"
#include "store/store.h"
#include "store/sync.h"
#include "store/try.h"
#include "store/undo.h"

namespace dormouse::store {
namespace {

class Change {
 public:
  Change(StoreState& state, MailboxRow& row, const FlagsChange& wanted)
      : state_(state), row_(row), batch_(state, row), wanted_(wanted) {}

  Result<> prepare() {
    STORE_ASSIGN(std::string folder, folder_of(row_.name));
    current_ = state_.directory_of_folder(folder) + "/cur/";
    if (wanted_.mode == FlagsMode::kRemove) {
      STORE_ASSIGN(known_, load_keywords(state_, row_.id));
      bits_ = known_keyword_bits(known_, wanted_.keywords);
      return {};
    }
    STORE_ASSIGN(bits_, make_keyword_bits(state_, row_, wanted_.keywords));
    STORE_ASSIGN(known_, load_keywords(state_, row_.id));
    return {};
  }

  Result<> apply(uint32_t uid);

  Result<StoreFlagsResult> finish(Transaction& transaction) {
    STORE_TRY(batch_.finish());
    STORE_TRY(transaction.commit());
    undo_.keep();
    result_.highest_mod_seq = row_.highest_mod_seq;
    return std::move(result_);
  }

 private:
  Message changed(Message message) const;
  Result<> rename_to(const MessageRow& before, MessageRow& after);

  StoreState& state_;
  MailboxRow& row_;
  Batch batch_;
  const FlagsChange& wanted_;
  StoreFlagsResult result_;
  Undo undo_;
  std::string current_;
  Keywords bits_;
  std::vector<std::string> known_;
  bool synced_ = false;
};

Message Change::changed(Message message) const {
  switch (wanted_.mode) {
    case FlagsMode::kAdd:
      message.flags.bits |= wanted_.flags.bits & Flags::kAll;
      message.keywords |= bits_;
      break;
    case FlagsMode::kRemove:
      message.flags.bits &= static_cast<uint8_t>(~wanted_.flags.bits);
      message.keywords &= ~bits_;
      break;
    case FlagsMode::kReplace:
      message.flags.bits = wanted_.flags.bits & Flags::kAll;
      message.keywords = bits_;
      break;
  }
  return message;
}

Result<> Change::rename_to(const MessageRow& before, MessageRow& after) {
  after.suffix = suffix_for(after.message, known_, before.suffix);
  if (after.suffix == before.suffix) return {};
  Result<> renamed = undo_.rename(current_ + before.file_name(), current_ + after.file_name());
  if (!renamed &&
      (renamed.error().kind == ErrorKind::kExists || renamed.error().kind == ErrorKind::kInvalid)) {
    // Another file has this very name, or the name leaves no room for letters: a new base name.
    after.base = unique_base();
    renamed = undo_.rename(current_ + before.file_name(), current_ + after.file_name());
  }
  return renamed;
}

Result<> Change::apply(uint32_t uid) {
  STORE_ASSIGN(auto before, find_message(state_, row_.id, uid));
  if (!before) {
    result_.missing.push_back(uid);
    return {};
  }
  if (wanted_.unchanged_since && before->message.mod_seq > *wanted_.unchanged_since) {
    result_.modified.push_back(uid);
    return {};
  }
  MessageRow after = *before;
  after.message = changed(before->message);
  if (after.message.flags == before->message.flags &&
      after.message.keywords == before->message.keywords) {
    result_.messages.push_back(before->message);
    return {};
  }
  Result<> renamed = rename_to(*before, after);
  if (!renamed && renamed.error().kind == ErrorKind::kNotFound) {
    if (synced_) {
      result_.missing.push_back(uid);
      return {};
    }
    synced_ = true;
    STORE_TRY(sync_inside(state_, row_, batch_));
    STORE_ASSIGN(known_, load_keywords(state_, row_.id));
    return apply(uid);
  }
  STORE_TRY(renamed);
  STORE_TRY(batch_.update(*before, after));
  result_.messages.push_back(after.message);
  result_.changed.push_back(uid);
  return {};
}

Result<ExpungeResult> remove_messages(StoreState& state, int64_t mailbox_id,
                                      std::optional<std::span<const uint32_t>> uids,
                                      bool only_deleted) {
  STORE_ASSIGN(Transaction transaction, Transaction::write(state.database));
  STORE_ASSIGN(MailboxRow row, load_mailbox(state, mailbox_id));
  STORE_ASSIGN(std::string folder, folder_of(row.name));
  std::string current = state.directory_of_folder(folder) + "/cur/";
  std::vector<uint32_t> all;
  if (!uids) {
    Cursor cursor = state.database.query(
        "SELECT uid FROM message WHERE mailbox_id = ? AND flags & 8 = 8 ORDER BY uid", mailbox_id);
    while (cursor.next()) all.push_back(cursor.number32(0));
    STORE_TRY(cursor.status());
    uids = all;
  }
  Batch batch(state, row);
  ExpungeResult result;
  bool synced = false;
  for (size_t i = 0; i < uids->size();) {
    uint32_t uid = (*uids)[i];
    STORE_ASSIGN(auto message, find_message(state, mailbox_id, uid));
    bool wanted = message && (!only_deleted || message->message.flags.has(Flags::kDeleted));
    if (wanted) {
      std::string path = current + message->file_name();
      if (unlink(path.c_str()) == 0 || (errno == ENOENT && synced)) {
        STORE_TRY(batch.remove(*message));
        result.uids.push_back(uid);
      } else if (errno == ENOENT) {
        synced = true;
        STORE_TRY(sync_inside(state, row, batch));
        continue;  // the same UID again, under the name that it has now
      } else {
        result.failed.push_back(uid);
      }
    }
    ++i;
  }
  STORE_TRY(batch.finish());
  STORE_TRY(transaction.commit());
  result.highest_mod_seq = row.highest_mod_seq;
  return result;
}

}  // namespace

Result<StoreFlagsResult> Mailbox::store_flags(std::span<const uint32_t> uids,
                                              const FlagsChange& change) {
  STORE_TRY(state_->check());
  STORE_ASSIGN(Transaction transaction, Transaction::write(state_->database));
  STORE_ASSIGN(MailboxRow row, load_mailbox(*state_, id_));
  Change work(*state_, row, change);
  STORE_TRY(work.prepare());
  for (uint32_t uid : uids) STORE_TRY(work.apply(uid));
  return work.finish(transaction);
}

Result<ExpungeResult> Mailbox::expunge(std::span<const uint32_t> uids) {
  STORE_TRY(state_->check());
  return remove_messages(*state_, id_, uids, false);
}

Result<ExpungeResult> Mailbox::expunge_deleted(std::optional<std::span<const uint32_t>> uids) {
  STORE_TRY(state_->check());
  return remove_messages(*state_, id_, uids, true);
}

}  // namespace dormouse::store
