#pragma once
// Reads that more than one file of the store needs, all inside a transaction of the caller.

#include <cstdint>
#include <vector>

#include "io/result.h"
#include "store/index.h"
#include "store/state.h"
#include "store/types.h"

namespace dormouse::store {

// What stands in the mailbox's own row: all but `recent`, `first_unseen_uid`, `can_add_keywords`.
MailboxStatus status_of(const MailboxRow& row);
Result<MailboxStatus> read_status(StoreState& state, int64_t mailbox_id);

// Ranks of many UIDs, asked in ascending order, at the cost of the chunks they lie in: each chunk
// is read once, and the counts between are summed once.
class RankWalker {
 public:
  RankWalker(StoreState& state, int64_t mailbox_id) : state_(state), mailbox_id_(mailbox_id) {}
  // How many messages have a UID <= uid.
  Result<uint32_t> rank(uint32_t uid);

 private:
  StoreState& state_;
  int64_t mailbox_id_;
  bool loaded_ = false;
  uint32_t chunk_ = 0;
  uint32_t before_ = 0;  // messages in lower chunks
  std::vector<uint32_t> uids_;
};

}  // namespace dormouse::store
