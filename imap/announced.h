#pragma once
// Arrivals that the den announced to a sleeper (relay.proto, Parked.announces). It counts files
// that come into new/ and knows nothing of their UIDs: EXISTS does not say any. A worker that sees
// the session next finds out which messages they were. UIDs are given in order, so they are the
// first of what was created since the session's state; some may be gone again.

#include <cstdint>
#include <span>
#include <vector>

#include "imap/session_state.h"
#include "io/result.h"
#include "store/store.h"
#include "wire/relay.pb.h"

namespace dormouse::imap {

// How many messages the client was told of beyond what the state says. kInvalid: not with this
// state (one with contexts announces nothing), or more than any den announces.
Result<uint32_t> told_since(const wire::DenToWorker::Begin& begin, const SessionState& state);

// What was created since a mod-sequence, ascending by UID, whether or not it still exists.
class Created {
 public:
  struct Message {
    uint32_t uid = 0;
    bool gone = false;
  };
  static Created since(const store::Changes& changes);

  // Makes it at least `told` messages: files that vanished before anyone gave them a UID get one
  // now, and are gone.
  Result<> cover(uint32_t told, store::Mailbox mailbox);
  std::span<const Message> messages() const { return messages_; }
  uint32_t uid_next() const { return messages_.empty() ? 1 : messages_.back().uid + 1; }

 private:
  std::vector<Message> messages_;
};

}  // namespace dormouse::imap
