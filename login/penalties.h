#pragma once
// Penalties: failed logins per address, and how long the next attempt from there has to wait. An
// engine: it is told the time. Bounded; the address that was quiet for longest is forgotten first.

#include <cstddef>
#include <cstdint>
#include <list>
#include <unordered_map>

#include "login/peer_address.h"

namespace dormouse::login {

// first_ms, doubled with each failure after the first, at most kDelayMsMax. 0 failures: 0.
uint32_t doubled_delay_ms(uint32_t first_ms, uint32_t failures);

class Penalties {
 public:
  explicit Penalties(size_t entries_max) : entries_max_(entries_max) {}

  void failed(const AddressKey& address, uint64_t now_ms);
  // What is left to wait at `now_ms`, counted from the last failure; nothing up to kFreeFailures.
  uint32_t wait_ms(const AddressKey& address, uint32_t first_ms, uint64_t now_ms) const;
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    uint32_t failures = 0;
    uint64_t last_ms = 0;
    std::list<AddressKey>::iterator place;
  };
  static uint32_t aged(const Entry& entry, uint64_t now_ms);

  size_t entries_max_;
  std::unordered_map<AddressKey, Entry, AddressKeyHash> entries_;
  std::list<AddressKey> order_;  // by last failure, the latest in front
};

}  // namespace dormouse::login
