#include "loadtest/stress/truth.h"

#include "loadtest/stress/random.h"

namespace dormouse::loadtest::stress {

uint32_t MailboxTruth::owner(uint32_t uid, uint32_t flag) const {
  return Random(uint64_t{uid} * kTrackedFlags.size() + flag).below(clients_);
}

TruthMessage* MailboxTruth::find(uint32_t uid) {
  auto found = messages_.find(uid);
  return found == messages_.end() ? nullptr : &found->second;
}

TruthMessage* MailboxTruth::observe(uint32_t uid) {
  if (gone_.contains(uid)) return nullptr;
  auto [message, is_new] = messages_.try_emplace(uid);
  if (is_new) message->second.born_event = tick();
  return &message->second;
}

void MailboxTruth::expunged(uint32_t uid) {
  messages_.erase(uid);
  gone_.try_emplace(uid, tick());
  if (gone_.size() > kGoneMax) gone_.erase(gone_.begin());
}

uint64_t MailboxTruth::gone_event(uint32_t uid) const {
  auto found = gone_.find(uid);
  return found == gone_.end() ? 0 : found->second;
}

}  // namespace dormouse::loadtest::stress
