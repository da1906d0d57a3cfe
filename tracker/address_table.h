#pragma once
// AddressTable: how many sessions come from an address. IPv4 addresses count one by one; of IPv6
// the first 64 bits count, which is what one customer is given (RFC 6177): counting single IPv6
// addresses would limit nobody. What is no address (a unix socket) is not counted.

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "tracker/den_counts.h"

namespace dormouse::tracker {

class AddressTable {
 public:
  AddressTable();
  // 0 for what is no address. An IPv4 address maps to 2^32 + itself, in a range (0:1::/32) that
  // IPv6 reserves.
  static uint64_t key(std::string_view address);

  void add(uint64_t key, DenCounts::Slot slot, uint32_t sessions);
  bool subtract(uint64_t key, DenCounts::Slot slot);
  const DenCounts* find(uint64_t key) const;

  size_t size() const { return size_; }
  size_t bytes() const { return places_.size() * sizeof(Place); }
  // For sweeps: drops dead counts in places [from, from + count); the next place, or 0 at the end.
  // A table that grew meanwhile is begun again by the caller (generation() changes).
  template <class Dead>
  size_t sweep(size_t from, size_t count, Dead&& dead) {
    size_t end = std::min(from + count, places_.size());
    for (size_t i = from; i < end; ++i) {
      Place& place = places_[i];
      if (place.key != 0 && !place.counts.empty() && place.counts.drop(dead)) --size_;
    }
    return end == places_.size() ? 0 : end;
  }
  uint64_t generation() const { return generation_; }

 private:
  // An address whose counts are empty stays as a tombstone until the next rehash.
  struct Place {
    uint64_t key = 0;
    DenCounts counts;
  };
  size_t place_of(uint64_t key) const;
  void rehash();

  std::vector<Place> places_;
  size_t size_ = 0;
  size_t taken_places_ = 0;
  uint64_t generation_ = 0;
  uint64_t seed_;
};

}  // namespace dormouse::tracker
