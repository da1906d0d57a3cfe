#include "tracker/address_table.h"

#include <arpa/inet.h>
#include <endian.h>
#include <sys/random.h>

#include <cstring>
#include <string>

namespace dormouse::tracker {
namespace {

constexpr size_t kFirstPlaces = 1024;

uint64_t random_seed() {
  uint64_t seed = 0;
  ssize_t got = getrandom(&seed, sizeof seed, 0);
  DORMOUSE_CHECK(got == ssize_t(sizeof seed), "getrandom gives 8 bytes at once");
  return seed;
}

}  // namespace

AddressTable::AddressTable() : places_(kFirstPlaces), seed_(random_seed()) {}

uint64_t AddressTable::key(std::string_view address) {
  std::string text(address.substr(0, address.find('%')));
  in_addr four{};
  constexpr uint64_t kFour = uint64_t(1) << 32;
  if (inet_pton(AF_INET, text.c_str(), &four) == 1) return kFour | ntohl(four.s_addr);
  in6_addr six{};
  if (inet_pton(AF_INET6, text.c_str(), &six) != 1) return 0;
  uint64_t high = 0;
  std::memcpy(&high, six.s6_addr, sizeof high);
  if (IN6_IS_ADDR_V4MAPPED(&six)) {
    uint32_t mapped = 0;
    std::memcpy(&mapped, six.s6_addr + 12, sizeof mapped);
    return kFour | ntohl(mapped);
  }
  // ::/64 holds ::1, which is loopback and counts like 127.0.0.1.
  if (high == 0) return kFour | INADDR_LOOPBACK;
  return be64toh(high);
}

size_t AddressTable::place_of(uint64_t key) const {
  uint64_t hash = (key ^ seed_) * 0x9e3779b97f4a7c15;
  hash = (hash ^ hash >> 32) * 0xd6e8feb86659fd93;
  size_t mask = places_.size() - 1;
  size_t i = (hash >> 32) & mask;
  while (places_[i].key != 0 && places_[i].key != key) i = (i + 1) & mask;
  return i;
}

void AddressTable::add(uint64_t key, DenCounts::Slot slot, uint32_t sessions) {
  if (key == 0 || sessions == 0) return;
  size_t i = place_of(key);
  if (places_[i].key == 0) {
    if (taken_places_ + 1 > places_.size() / 5 * 4) {
      rehash();
      i = place_of(key);
    }
    places_[i].key = key;
    ++taken_places_;
  }
  if (places_[i].counts.empty()) ++size_;
  places_[i].counts.add(slot, sessions);
}

bool AddressTable::subtract(uint64_t key, DenCounts::Slot slot) {
  if (key == 0) return true;
  Place& place = places_[place_of(key)];
  if (place.key == 0 || !place.counts.subtract(slot)) return false;
  if (place.counts.empty()) --size_;
  return true;
}

const DenCounts* AddressTable::find(uint64_t key) const {
  if (key == 0) return nullptr;
  const Place& place = places_[place_of(key)];
  return place.key == 0 || place.counts.empty() ? nullptr : &place.counts;
}

void AddressTable::rehash() {
  std::vector<Place> old(size_ + 1 > places_.size() / 2 ? places_.size() * 2 : places_.size());
  old.swap(places_);
  ++generation_;
  taken_places_ = 0;
  for (Place& place : old) {
    if (place.counts.empty()) continue;
    places_[place_of(place.key)] = std::move(place);
    ++taken_places_;
  }
}

}  // namespace dormouse::tracker
