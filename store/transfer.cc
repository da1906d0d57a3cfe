// COPY, MOVE and APPEND: messages that enter a mailbox other than through new/.

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <ctime>

#include "store/index.h"
#include "store/keywords.h"
#include "store/maildir_name.h"
#include "store/store.h"
#include "store/sync.h"
#include "store/try.h"
#include "store/undo.h"

namespace dormouse::store {
namespace {

// Names for the message's letters, with room in NAME_MAX: no base of ours is longer than 160 bytes.
MessageRow arriving(const Message& message, uint32_t uid, const std::vector<std::string>& known) {
  MessageRow row;
  row.message = message;
  row.message.uid = uid;
  row.base = with_sizes(unique_base(), message.file_size_bytes, message.rfc822_size_bytes);
  row.suffix = suffix_for(row.message, known, ":2,");
  return row;
}

class Transfer {
 public:
  // `to` may be `from` itself.
  Transfer(StoreState& state, MailboxRow& from, MailboxRow& to, bool move)
      : state_(state),
        from_(from),
        to_(to),
        move_(move),
        from_batch_(state, from),
        to_batch_(state, to) {}

  Result<> prepare() {
    STORE_ASSIGN(std::string from_folder, folder_of(from_.name));
    STORE_ASSIGN(std::string to_folder, folder_of(to_.name));
    from_current_ = state_.directory_of_folder(from_folder) + "/cur/";
    to_directory_ = state_.directory_of_folder(to_folder) + "/cur";
    STORE_ASSIGN(from_known_, load_keywords(state_, from_.id));
    STORE_ASSIGN(to_known_, load_keywords(state_, to_.id));
    result_.uid_validity = to_.uid_validity;
    result_.directory = to_directory_;
    return {};
  }
  Result<> take(uint32_t uid);
  Result<CopyResult> finish(Transaction& transaction) {
    STORE_TRY(from_batch_.finish());
    if (!same()) STORE_TRY(to_batch_.finish());
    STORE_TRY(transaction.commit());
    undo_.keep();
    for (const std::string& path : copied_) (void)remove_file(path);
    result_.highest_mod_seq = from_.highest_mod_seq;
    return std::move(result_);
  }

 private:
  bool same() const { return &from_ == &to_; }
  Batch& to_batch() { return same() ? from_batch_ : to_batch_; }
  Result<> translate_keywords(Message& message);
  Result<> transfer_file(const std::string& from, const std::string& to);

  StoreState& state_;
  MailboxRow& from_;
  MailboxRow& to_;
  bool move_;
  Batch from_batch_;
  Batch to_batch_;
  Undo undo_;
  std::vector<std::string> copied_;  // sources of a move that had to copy
  CopyResult result_;
  std::string from_current_;
  std::string to_directory_;
  std::vector<std::string> from_known_;
  std::vector<std::string> to_known_;
  bool synced_ = false;
};

// Keywords that the destination has no room for stay behind: better than refusing the message.
Result<> Transfer::translate_keywords(Message& message) {
  if (same()) return {};
  std::vector<std::string> names = keyword_names(from_known_, message.keywords);
  Keywords bits = known_keyword_bits(to_known_, names);
  if (bits.count() != names.size()) {
    Result<Keywords> made = make_keyword_bits(state_, to_, names);
    if (!made && made.error().kind != ErrorKind::kLimit) {
      return std::unexpected<Error>(made.error());
    }
    STORE_ASSIGN(to_known_, load_keywords(state_, to_.id));
    bits = known_keyword_bits(to_known_, names);
  }
  message.keywords = bits;
  return {};
}

Result<> Transfer::transfer_file(const std::string& from, const std::string& to) {
  if (!move_) return undo_.link(from, to);
  Result<> moved = undo_.rename(from, to);
  if (moved || moved.error().errno_value != EXDEV) return moved;
  // Another file system: the source goes after the commit, so that no failure can lose both.
  STORE_TRY(undo_.link(from, to));
  copied_.push_back(from);
  return {};
}

Result<> Transfer::take(uint32_t uid) {
  STORE_ASSIGN(auto source, find_message(state_, from_.id, uid));
  if (!source) return {};
  Message message = source->message;
  STORE_TRY(translate_keywords(message));
  MessageRow target = arriving(message, 0, to_known_);
  Result<> done =
      transfer_file(from_current_ + source->file_name(), to_directory_ + "/" + target.file_name());
  if (!done && done.error().kind == ErrorKind::kNotFound && !synced_) {
    synced_ = true;
    STORE_TRY(sync_inside(state_, from_, from_batch_));
    STORE_ASSIGN(from_known_, load_keywords(state_, from_.id));
    return take(uid);
  }
  if (!done && done.error().kind == ErrorKind::kNotFound &&
      !exists(from_current_ + source->file_name())) {
    return {};  // expunged by another program meanwhile
  }
  STORE_TRY(done);
  STORE_ASSIGN(target.message.uid, to_batch().next_uid());
  STORE_TRY(to_batch().insert(target));
  STORE_TRY(
      state_.database.run("INSERT OR REPLACE INTO cache SELECT ?, blob FROM cache WHERE key = ?",
                          to_.id << 32 | target.message.uid, from_.id << 32 | uid));
  if (move_) STORE_TRY(from_batch_.remove(*source));
  result_.from_uids.push_back(uid);
  result_.to_uids.push_back(target.message.uid);
  return {};
}

Result<CopyResult> transfer(StoreState& state, int64_t from_id, std::span<const uint32_t> uids,
                            int64_t to_id, bool move) {
  STORE_TRY(state.check());
  STORE_ASSIGN(Transaction transaction, Transaction::write(state.database));
  STORE_ASSIGN(MailboxRow from, load_mailbox(state, from_id));
  STORE_ASSIGN(MailboxRow to, load_mailbox(state, to_id));
  Transfer work(state, from, from_id == to_id ? from : to, move);
  STORE_TRY(work.prepare());
  for (uint32_t uid : uids) STORE_TRY(work.take(uid));
  return work.finish(transaction);
}

Result<> set_mtime(const std::string& path, int64_t seconds) {
  const timespec times[2] = {{0, UTIME_OMIT}, {static_cast<time_t>(seconds), 0}};
  if (utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW) == 0) return {};
  return fail_errno(errno, "utimensat " + path);
}

}  // namespace

Result<CopyResult> Mailbox::copy(std::span<const uint32_t> uids, Mailbox to) {
  DORMOUSE_CHECK(to.state_ == state_, "both mailboxes are of one UserStore");
  return transfer(*state_, id_, uids, to.id_, false);
}

Result<CopyResult> Mailbox::move(std::span<const uint32_t> uids, Mailbox to) {
  DORMOUSE_CHECK(to.state_ == state_, "both mailboxes are of one UserStore");
  return transfer(*state_, id_, uids, to.id_, true);
}

AppendSlot::AppendSlot(AppendSlot&& other) noexcept
    : tmp_path_(std::exchange(other.tmp_path_, {})) {}

AppendSlot& AppendSlot::operator=(AppendSlot&& other) noexcept {
  if (this != &other) {
    if (!tmp_path_.empty()) (void)remove_file(tmp_path_);
    tmp_path_ = std::exchange(other.tmp_path_, {});
  }
  return *this;
}

AppendSlot::~AppendSlot() {
  if (!tmp_path_.empty()) (void)remove_file(tmp_path_);
}

Result<AppendSlot> Mailbox::prepare_append() {
  STORE_TRY(state_->check());
  STORE_ASSIGN(MailboxRow row, load_mailbox(*state_, id_));
  STORE_ASSIGN(std::string folder, folder_of(row.name));
  return AppendSlot(state_->directory_of_folder(folder) + "/tmp/" + unique_base());
}

Result<Appended> Mailbox::commit_append(std::span<AppendItem> items) {
  STORE_TRY(state_->check());
  STORE_ASSIGN(Transaction transaction, Transaction::write(state_->database));
  STORE_ASSIGN(MailboxRow row, load_mailbox(*state_, id_));
  STORE_ASSIGN(std::string folder, folder_of(row.name));
  Appended result;
  result.directory = state_->directory_of_folder(folder) + "/cur";
  result.uid_validity = row.uid_validity;
  Batch batch(*state_, row);
  Undo undo;
  for (AppendItem& item : items) {
    const std::string& tmp_path = item.slot->tmp_path_;
    STORE_ASSIGN(auto info, stat_file(tmp_path));
    if (!info) return fail(ErrorKind::kNotFound, "nothing was written to " + tmp_path);
    Message message;
    message.flags.bits = item.flags.bits & Flags::kAll;
    STORE_ASSIGN(message.keywords, make_keyword_bits(*state_, row, item.keywords));
    STORE_ASSIGN(auto known, load_keywords(*state_, id_));
    message.internal_date_s = item.internal_date_s.value_or(time(nullptr));
    message.file_size_bytes = static_cast<uint64_t>(info->st_size);
    message.rfc822_size_bytes = item.rfc822_size_bytes;
    STORE_ASSIGN(uint32_t uid, batch.next_uid());
    MessageRow arrival = arriving(message, uid, known);
    // The mtime carries INTERNALDATE for other programs, and for us when the index is lost.
    STORE_TRY(set_mtime(tmp_path, message.internal_date_s));
    STORE_TRY(undo.rename(tmp_path, result.directory + "/" + arrival.file_name()));
    STORE_TRY(batch.insert(arrival));
    result.uids.push_back(uid);
  }
  STORE_TRY(batch.finish());
  STORE_TRY(transaction.commit());
  undo.keep();
  for (AppendItem& item : items) item.slot->tmp_path_.clear();
  result.highest_mod_seq = row.highest_mod_seq;
  return result;
}

}  // namespace dormouse::store
