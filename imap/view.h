#pragma once
// View: the message sequence numbers of one session (RFC 3501 2.3.1.2). It holds the messages the
// client believes in: those that exist, and those that are gone but of which the client may not be
// told yet, because EXPUNGE is not allowed during FETCH, STORE and SEARCH (7.4.1).
//
// Kept as runs of consecutive UIDs, 12 bytes each: a mailbox that was never expunged from costs 12
// bytes, the worst one (every other message gone) 12 bytes a message. No I/O.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "imap/syntax/uid_set.h"

namespace dormouse::imap {

class View {
 public:
  View() = default;
  // `uids` ascending, without doubles.
  explicit View(std::span<const uint32_t> uids);

  // Messages the client counts: what EXISTS says.
  uint32_t exists() const;
  uint32_t last_uid() const;  // 0: empty
  std::optional<uint32_t> uid_of(uint32_t sequence_number) const;
  std::optional<uint32_t> sequence_of(uint32_t uid) const;
  bool contains(uint32_t uid) const { return sequence_of(uid).has_value(); }

  // A new message; its UID is above last_uid().
  void append(uint32_t uid);
  // The message is gone, the client not told. Not in the view: no effect.
  void mark_expunged(uint32_t uid);
  const UidSet& unreported() const { return unreported_; }
  // The client will be told now: takes the unreported ones out and returns them with their sequence
  // numbers, ascending. Report them from the highest down, so that each number still holds.
  struct Gone {
    uint32_t uid = 0;
    uint32_t sequence_number = 0;
  };
  std::vector<Gone> take_unreported();

  // The messages of the view that a client's set names, as UIDs.
  UidSet resolve(const SequenceSet& set, bool by_uid, const UidSet& saved) const;
  UidSet intersect(const UidSet& uids) const;
  // The sequence numbers of `uids`, all of them in the view.
  UidSet sequences(const UidSet& uids) const;
  // A set with fewer ranges that holds the same messages of this view (and UIDs of no message).
  UidSet coarsen(const UidSet& uids) const;
  // The messages of `uids` that are in the view and not known to be gone, above `after`, at most
  // `max`: how commands walk a set without ever expanding it.
  std::vector<uint32_t> next(const UidSet& uids, uint32_t after, size_t max) const;

  size_t heap_bytes() const { return runs_.capacity() * sizeof(Run); }

 private:
  struct Run {
    uint32_t uid = 0;       // first
    uint32_t sequence = 0;  // of the first
    uint32_t count = 0;
  };
  // The first run that ends at or above `uid`.
  std::vector<Run>::const_iterator run_from(uint32_t uid) const;

  std::vector<Run> runs_;
  UidSet unreported_;
};

}  // namespace dormouse::imap
