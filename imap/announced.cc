#include "imap/announced.h"

#include <algorithm>

namespace dormouse::imap {
namespace {

// More mail than any mailbox gets in one sleep: a state that says so is not believed, since each of
// them that is missing would use up a UID.
constexpr uint32_t kToldMax = 1'000'000;

}  // namespace

Result<uint32_t> told_since(const wire::DenToWorker::Begin& begin, const SessionState& state) {
  if (begin.exists() == 0) return 0;
  if (!state.mailbox || begin.exists() < state.mailbox->exists ||
      (begin.exists() > state.mailbox->exists && !state.mailbox->contexts.empty()) ||
      begin.exists() - state.mailbox->exists > kToldMax) {
    return fail(ErrorKind::kInvalid, "announced messages that do not fit the session's state");
  }
  return begin.exists() - state.mailbox->exists;
}

Created Created::since(const store::Changes& changes) {
  Created created;
  for (const store::Message& message : changes.arrived) {
    created.messages_.push_back(Message{message.uid, false});
  }
  for (const store::Expunged& gone : changes.expunged) {
    if (gone.created_mod_seq > changes.since) {
      created.messages_.push_back(Message{gone.uid, true});
    }
  }
  std::ranges::sort(created.messages_, {}, &Message::uid);
  return created;
}

Result<> Created::cover(uint32_t told, store::Mailbox mailbox) {
  if (told <= messages_.size()) return {};
  auto missing = told - uint32_t(messages_.size());
  auto first = mailbox.skip_uids(missing);
  if (!first) return std::unexpected(first.error());
  for (uint32_t i = 0; i < missing; ++i) messages_.push_back(Message{*first + i, true});
  return {};
}

}  // namespace dormouse::imap
