#pragma once
// MailboxTruth: what is known of one mailbox by all clients together, and so what a server may
// still say to each of them.
//
// Each flag of each message has one owner among the mailbox's clients, and only the owner changes
// it. So its values form a sequence, which the versions count: `started` is the last value that was
// asked for, `completed` the last that was confirmed. A client that saw version v may later see v
// or a newer one, never an older one; and after a NOOP nothing older than what was confirmed before
// the NOOP was sent. Who asks for \Deleted is no matter: such a message is doomed, and nothing more
// is demanded of its flags; but what nobody doomed must not go away.
//
// Time is counted in events: `tick()` numbers them, and "before" means a smaller number.

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "loadtest/stress/flags.h"
#include "loadtest/stress/mail.h"

namespace dormouse::loadtest::stress {

// What was expected, and what was said instead.
using Complaints = std::vector<std::string>;

struct FlagHistory {
  uint32_t started = 0;
  uint32_t completed = 0;
  uint64_t completed_event = 0;
  bool known = false;  // what it was at version 0
  bool initial = false;
  // Each version is the opposite of the one before.
  bool value(uint32_t version) const { return initial != ((version & 1) != 0); }
};

struct TruthMessage {
  std::array<FlagHistory, kTrackedFlags.size()> flags;
  bool doomed = false;     // somebody asked for \Deleted, or it came with it
  bool uncertain = false;  // a change of it was lost with its connection: flags are anybody's guess
  bool flags_seen = false;  // somebody was told its flags, or appended it
  uint64_t born_event = 0;  // it was there then
  std::optional<MailIdentity> mail;
  // What never changes, by item: RFC822.SIZE, INTERNALDATE, ENVELOPE ... as digests.
  std::map<std::string, uint64_t> constants;
  bool flags_certain() const { return !doomed && !uncertain; }
};

class MailboxTruth {
 public:
  // Expunged UIDs that are remembered, so that they do not come back unnoticed.
  static constexpr size_t kGoneMax = 100'000;

  explicit MailboxTruth(uint32_t clients) : clients_(clients) {}

  uint64_t tick() { return ++event_; }
  uint64_t event() const { return event_; }
  // Which of the mailbox's clients may change the flag.
  uint32_t owner(uint32_t uid, uint32_t flag) const;

  const std::map<uint32_t, TruthMessage>& messages() const { return messages_; }
  TruthMessage* find(uint32_t uid);
  // Somebody was shown this message. nullptr: it is known to be expunged.
  TruthMessage* observe(uint32_t uid);
  // Somebody was told that it is gone.
  void expunged(uint32_t uid);
  // When that was; 0: never, or forgotten.
  uint64_t gone_event(uint32_t uid) const;

  // Floors: what a server may not fall below once it has said or confirmed more.
  uint32_t uid_validity = 0;
  uint32_t uid_next = 0;
  uint64_t highest_mod_seq = 0;

 private:
  uint32_t clients_;
  uint64_t event_ = 0;
  std::map<uint32_t, TruthMessage> messages_;
  std::map<uint32_t, uint64_t> gone_;
};

}  // namespace dormouse::loadtest::stress
