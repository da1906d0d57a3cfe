#pragma once
// Bringing the index to what the Maildir says. Inside of the store.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "io/result.h"
#include "store/dovecot_files.h"
#include "store/index.h"
#include "store/state.h"

namespace dormouse::store {

// What a dovecot-uidlist says about files, by base name.
using ImportMap = std::unordered_map<std::string_view, const UidlistRecord*>;

// Of each bucket the sum of its file names' hashes.
using Sums = std::array<uint64_t, kBuckets>;
// As the index has them.
Result<Sums> sums_of_index(StoreState& state, int64_t mailbox_id);

// Where the mailbox lies and what its directories looked like when last read.
Result<MailboxMemo*> memo_of(StoreState& state, int64_t mailbox_id);

// Reads new/ and cur/ and applies what differs, inside the caller's write transaction.
Result<SyncResult> sync_inside(StoreState& state, MailboxRow& row, Batch& batch,
                               const ImportMap* import = nullptr);

// Names for keyword bits: fills in what dovecot-keywords has and the index has not.
Result<std::vector<std::string>> refresh_keywords(StoreState& state, const MailboxRow& row,
                                                  const std::string& directory);

}  // namespace dormouse::store
