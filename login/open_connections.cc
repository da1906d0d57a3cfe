#include "login/open_connections.h"

#include "login/limits.h"

namespace dormouse::login {

bool OpenConnections::has_room(uint64_t now_ms) {
  age(now_ms);
  if (bounds_.young != 0 && young_ >= bounds_.young) return false;
  return bounds_.in_all == 0 || open_.size() < bounds_.in_all || evictable(now_ms) != nullptr;
}

bool OpenConnections::is_full(const AddressKey& address) const {
  auto from_there = per_address_.find(address);
  return bounds_.per_address != 0 && from_there != per_address_.end() &&
         from_there->second >= bounds_.per_address;
}

bool OpenConnections::make_room(uint64_t now_ms) {
  if (bounds_.in_all == 0 || open_.size() < bounds_.in_all) return false;
  Guest* oldest = evictable(now_ms);
  if (oldest == nullptr) return false;
  oldest->leave("Too many connections");
  return true;
}

OpenConnections::Guest* OpenConnections::evictable(uint64_t now_ms) const {
  unsigned seen = 0;
  for (auto at = open_.begin(); at != open_.end() && ++seen <= kEvictScanMax; ++at) {
    const Place& place = at->second;
    if (now_ms - place.since_ms < bounds_.old_ms) break;  // and the others are younger
    if (place.guest != nullptr && place.guest->may_leave()) return place.guest;
  }
  return nullptr;
}

uint64_t OpenConnections::enter(const AddressKey& address, uint64_t now_ms) {
  ++per_address_[address];
  ++young_;
  open_.emplace(next_number_, Place{.address = address, .guest = nullptr, .since_ms = now_ms});
  return next_number_++;
}

void OpenConnections::remove(uint64_t number) {
  auto place = open_.find(number);
  auto from_there = per_address_.find(place->second.address);
  if (--from_there->second == 0) per_address_.erase(from_there);
  open_.erase(place);
  if (number >= young_from_) --young_;
}

void OpenConnections::age(uint64_t now_ms) {
  for (auto at = open_.lower_bound(young_from_); at != open_.end(); ++at) {
    if (now_ms - at->second.since_ms < bounds_.young_ms) break;  // and the others are younger
    young_from_ = at->first + 1;
    --young_;
  }
}

void OpenConnections::all_leave(const std::string& text) {
  for (auto& [number, place] : open_) {
    if (place.guest != nullptr) place.guest->leave(text);
  }
}

}  // namespace dormouse::login
