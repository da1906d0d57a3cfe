// What happened since a mod_seq, and positions in the view of then.

#include <algorithm>

#include "store/index.h"
#include "store/read.h"
#include "store/store.h"
#include "store/try.h"

namespace dormouse::store {

Result<uint32_t> RankWalker::rank(uint32_t uid) {
  uint32_t chunk = uid / kChunkUids;
  if (!loaded_ || chunk != chunk_) {
    uint32_t from = loaded_ && chunk > chunk_ ? chunk_ : 0;
    if (from == 0) before_ = 0;
    Cursor sum = state_.database.query(
        "SELECT coalesce(sum(message_count), 0) FROM chunk "
        "WHERE mailbox_id = ? AND chunk >= ? AND chunk < ?",
        mailbox_id_, from, chunk);
    if (sum.next()) before_ += sum.number32(0);
    STORE_TRY(sum.status());
    uids_.clear();
    uint64_t first = static_cast<uint64_t>(chunk) * kChunkUids;
    Cursor cursor = state_.database.query(
        "SELECT uid FROM message WHERE mailbox_id = ? AND uid BETWEEN ? AND ? ORDER BY uid",
        mailbox_id_, first, first + kChunkUids - 1);
    while (cursor.next()) uids_.push_back(cursor.number32(0));
    STORE_TRY(cursor.status());
    chunk_ = chunk;
    loaded_ = true;
  }
  auto after = std::ranges::upper_bound(uids_, uid);
  return before_ + static_cast<uint32_t>(after - uids_.begin());
}

namespace {

Result<> read_messages(StoreState& state, int64_t mailbox_id, Changes& changes) {
  // Sorted here, not by SQL, which would then walk the mailbox by UID instead of by mod_seq.
  std::vector<Message> messages;
  Cursor cursor = state.database.query(
      "SELECT uid, flags, keywords, mod_seq, created_mod_seq, internal_date, file_size, "
      "rfc822_size FROM message WHERE mailbox_id = ? AND mod_seq > ?",
      mailbox_id, changes.since);
  while (cursor.next()) messages.push_back(read_message(cursor));
  STORE_TRY(cursor.status());
  std::ranges::sort(messages, {}, &Message::uid);
  for (const Message& message : messages) {
    (message.created_mod_seq > changes.since ? changes.arrived : changes.changed)
        .push_back(message);
  }
  return {};
}

Result<> read_expunged(StoreState& state, int64_t mailbox_id, Changes& changes) {
  Cursor cursor = state.database.query(
      "SELECT uid, mod_seq, created_mod_seq FROM expunged WHERE mailbox_id = ? AND mod_seq > ?",
      mailbox_id, changes.since);
  while (cursor.next()) {
    Expunged gone;
    gone.uid = cursor.number32(0);
    gone.mod_seq = cursor.number(1);
    gone.created_mod_seq = cursor.number(2);
    changes.expunged.push_back(gone);
  }
  STORE_TRY(cursor.status());
  std::ranges::sort(changes.expunged, {}, &Expunged::uid);
  return {};
}

// The position of an old UID in the view at `since` is its present rank plus the old UIDs that are
// gone and not above it: arrivals have larger UIDs than anything in that view.
Result<> number_former_view(StoreState& state, int64_t mailbox_id, Changes& changes) {
  RankWalker walker(state, mailbox_id);
  changes.changed_sequence.reserve(changes.changed.size());
  size_t at = 0;
  uint32_t gone_below = 0;
  auto pass_expunged = [&](uint32_t limit) -> Result<> {
    for (; at < changes.expunged.size() && changes.expunged[at].uid < limit; ++at) {
      Expunged& gone = changes.expunged[at];
      if (gone.created_mod_seq > changes.since) continue;
      STORE_ASSIGN(uint32_t rank, walker.rank(gone.uid));
      gone.former_sequence = rank + ++gone_below;
    }
    return {};
  };
  for (const Message& message : changes.changed) {
    STORE_TRY(pass_expunged(message.uid));
    STORE_ASSIGN(uint32_t rank, walker.rank(message.uid));
    changes.changed_sequence.push_back(rank + gone_below);
  }
  STORE_TRY(pass_expunged(UINT32_MAX));
  changes.former_exists =
      changes.status.exists - static_cast<uint32_t>(changes.arrived.size()) + gone_below;
  return {};
}

}  // namespace

Result<Changes> Mailbox::changes_since(uint64_t mod_seq) {
  STORE_TRY(state_->check());
  STORE_ASSIGN(Transaction transaction, Transaction::read(state_->database));
  Changes changes;
  changes.since = mod_seq;
  STORE_ASSIGN(MailboxRow row, load_mailbox(*state_, id_));
  // The rest of a status costs four more statements, and who asks for changes has no use for it.
  changes.status = status_of(row);
  if (mod_seq > row.highest_mod_seq) {
    return fail(ErrorKind::kInvalid, "the mailbox never had this mod_seq");
  }
  if (mod_seq == row.highest_mod_seq) {
    changes.former_exists = row.message_count;
    return changes;
  }
  changes.complete = mod_seq == 0 || mod_seq >= row.expunge_horizon;
  STORE_TRY(read_messages(*state_, id_, changes));
  STORE_TRY(read_expunged(*state_, id_, changes));
  if (changes.complete) {
    STORE_TRY(number_former_view(*state_, id_, changes));
  } else {
    changes.changed_sequence.assign(changes.changed.size(), 0);
  }
  return changes;
}

}  // namespace dormouse::store
