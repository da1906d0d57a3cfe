#include "login/penalties.h"

#include <algorithm>

#include "login/limits.h"

namespace dormouse::login {

uint32_t doubled_delay_ms(uint32_t first_ms, uint32_t failures) {
  if (failures == 0) return 0;
  uint64_t delay_ms = first_ms;
  for (uint32_t i = 1; i < failures && delay_ms < kDelayMsMax; ++i) delay_ms *= 2;
  return uint32_t(std::min<uint64_t>(delay_ms, kDelayMsMax));
}

uint32_t Penalties::aged(const Entry& entry, uint64_t now_ms) {
  const uint64_t halvings = (now_ms - entry.last_ms) / kFailureHalfLifeMs;
  return halvings >= 32 ? 0 : entry.failures >> halvings;
}

void Penalties::failed(const AddressKey& address, uint64_t now_ms) {
  auto [found, fresh] = entries_.try_emplace(address);
  Entry& entry = found->second;
  if (fresh) {
    order_.push_front(address);
    entry.place = order_.begin();
  } else {
    order_.splice(order_.begin(), order_, entry.place);
    entry.failures = aged(entry, now_ms);
  }
  entry.failures = std::min(entry.failures + 1, UINT32_MAX - 1);
  entry.last_ms = now_ms;
  if (entries_.size() > entries_max_) {
    entries_.erase(order_.back());
    order_.pop_back();
  }
}

uint32_t Penalties::wait_ms(const AddressKey& address, uint32_t first_ms, uint64_t now_ms) const {
  auto found = entries_.find(address);
  if (found == entries_.end()) return 0;
  const uint32_t failures = aged(found->second, now_ms);
  if (failures <= kFreeFailures) return 0;
  const uint64_t due_ms =
      found->second.last_ms + doubled_delay_ms(first_ms, failures - kFreeFailures);
  return due_ms > now_ms ? uint32_t(due_ms - now_ms) : 0;
}

}  // namespace dormouse::login
