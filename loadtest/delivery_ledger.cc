#include "loadtest/delivery_ledger.h"

#include <algorithm>

namespace dormouse::loadtest {

void DeliveryLedger::selected(uint32_t user, uint32_t exists) {
  User& entry = users_[user];
  ++entry.sessions;
  entry.messages = std::max(entry.messages, exists);
  for (Pending& pending : entry.pending) {
    if (pending.number <= exists) continue;
    ++pending.sessions;
    ++outstanding_;
  }
}

// Answers how many deliveries the session was owed.
uint64_t DeliveryLedger::release(uint32_t user, uint32_t exists) {
  User& entry = users_[user];
  --entry.sessions;
  uint64_t owed = 0;
  for (Pending& pending : entry.pending) {
    if (pending.number <= exists) continue;
    --pending.sessions;
    ++owed;
  }
  outstanding_ -= owed;
  std::erase_if(entry.pending, [](const Pending& pending) { return pending.sessions == 0; });
  return owed;
}

void DeliveryLedger::lost(uint32_t user, uint32_t exists) { missing_ += release(user, exists); }

void DeliveryLedger::left(uint32_t user, uint32_t exists) { release(user, exists); }

void DeliveryLedger::delivered(uint32_t user, uint64_t intended_us) {
  User& entry = users_[user];
  ++entry.messages;
  if (entry.sessions == 0) return;
  entry.pending.push_back(
      {.number = entry.messages, .sessions = entry.sessions, .intended_us = intended_us});
  outstanding_ += entry.sessions;
}

void DeliveryLedger::undo(uint32_t user) {
  User& entry = users_[user];
  if (entry.sessions > 0) {
    outstanding_ -= entry.pending.back().sessions;
    entry.pending.pop_back();
  }
  --entry.messages;
}

DeliveryLedger::Verdict DeliveryLedger::heard(uint32_t user, uint32_t before, uint32_t exists,
                                              uint64_t now_us, bool timed) {
  if (exists == before) return Verdict::kRepeated;
  User& entry = users_[user];
  if (exists < before || exists > entry.messages) return Verdict::kUnexpected;
  uint64_t answered = 0;
  for (Pending& pending : entry.pending) {
    if (pending.number <= before || pending.number > exists) continue;
    --pending.sessions;
    --outstanding_;
    ++answered;
    if (!timed) continue;
    uint64_t latency_us = now_us > pending.intended_us ? now_us - pending.intended_us : 0;
    latency_.record(latency_us);
    recent_.record(latency_us);
  }
  if (answered > 1) coalesced_ += answered - 1;
  std::erase_if(entry.pending, [](const Pending& pending) { return pending.sessions == 0; });
  return Verdict::kAnswers;
}

void DeliveryLedger::give_up() {
  for (User& entry : users_) entry.pending.clear();
  missing_ += outstanding_;
  outstanding_ = 0;
}

}  // namespace dormouse::loadtest
