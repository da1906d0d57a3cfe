#include "tracker/user_table.h"

#include <sys/random.h>

#include <cstring>

namespace dormouse::tracker {
namespace {

constexpr size_t kFirstPlaces = 1024;

uint64_t random_seed() {
  uint64_t seed = 0;
  ssize_t got = getrandom(&seed, sizeof seed, 0);
  DORMOUSE_CHECK(got == ssize_t(sizeof seed), "getrandom gives 8 bytes at once");
  return seed;
}

uint64_t mix(uint64_t value) {  // the finalizer of SplitMix64
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
  value = (value ^ value >> 27) * 0x94d049bb133111eb;
  return value ^ value >> 31;
}

}  // namespace

UserTable::UserTable() : places_(kFirstPlaces, Place{0, kNoUser}), seed_(random_seed()) {}

uint32_t UserTable::hash_of(std::string_view name) const {
  uint64_t hash = seed_ ^ name.size();
  while (!name.empty()) {
    uint64_t word = 0;
    size_t take = std::min(name.size(), sizeof word);
    std::memcpy(&word, name.data(), take);
    hash = mix(hash ^ word);
    name.remove_prefix(take);
  }
  return uint32_t(hash >> 32 ^ hash);
}

std::string_view UserTable::name(UserId id) const {
  const char* text = at(id).name_.get();
  uint16_t length = 0;
  std::memcpy(&length, text, sizeof length);
  return std::string_view(text + sizeof length, length);
}

// The place that holds the name, or the first where it could be put.
size_t UserTable::place_of(std::string_view wanted, uint32_t hash) const {
  size_t mask = places_.size() - 1;
  size_t reusable = places_.size();
  for (size_t i = hash & mask;; i = (i + 1) & mask) {
    const Place& place = places_[i];
    if (place.id == kNoUser) return reusable < places_.size() ? reusable : i;
    if (place.id == kTombstone) {
      if (reusable == places_.size()) reusable = i;
    } else if (place.hash == hash && name(place.id) == wanted) {
      return i;
    }
  }
}

UserId UserTable::find(std::string_view wanted) const {
  UserId id = places_[place_of(wanted, hash_of(wanted))].id;
  return id == kTombstone ? kNoUser : id;
}

UserId UserTable::find_or_add(std::string_view wanted) {
  uint32_t hash = hash_of(wanted);
  size_t index = place_of(wanted, hash);
  UserId present = places_[index].id;
  if (present != kNoUser && present != kTombstone) return present;
  if (free_.empty() && id_end_ % kChunk == 0) chunks_.push_back(std::make_unique<User[]>(kChunk));
  UserId id = id_end_;
  if (free_.empty()) {
    ++id_end_;
  } else {
    id = free_.back();
    free_.pop_back();
  }
  User& user = at(id);
  user = User();
  user.in_use_ = true;
  uint16_t length = uint16_t(wanted.size());
  user.name_ = std::make_unique_for_overwrite<char[]>(sizeof length + length);
  std::memcpy(user.name_.get(), &length, sizeof length);
  std::memcpy(user.name_.get() + sizeof length, wanted.data(), length);
  name_bytes_ += sizeof length + length;
  if (present == kNoUser) ++taken_places_;
  places_[index] = Place{hash, id};
  ++size_;
  // Beyond 4/5 linear probing gets slow; half empty after growth.
  if (taken_places_ > places_.size() / 5 * 4) {
    rehash(size_ > places_.size() / 2 ? places_.size() * 2 : places_.size());
  }
  return id;
}

void UserTable::rehash(size_t places) {
  std::vector<Place> old(places, Place{0, kNoUser});
  old.swap(places_);
  size_t mask = places_.size() - 1;
  for (const Place& place : old) {
    if (place.id == kNoUser || place.id == kTombstone) continue;
    size_t i = place.hash & mask;
    while (places_[i].id != kNoUser) i = (i + 1) & mask;
    places_[i] = place;
  }
  taken_places_ = size_;
}

void UserTable::set_identity(UserId id, const wire::Identity& identity) {
  User& user = at(id);
  user.known_ = true;
  user.uid_ = identity.uid();
  user.gid_ = identity.gid();
  user.home_ = templates_.add(identity.home(), name(id));
  user.mail_path_ = templates_.add(identity.mail_path(), name(id));
  bool own = user.home_ == PathTemplates::kNone || user.mail_path_ == PathTemplates::kNone;
  if (own) {
    own_paths_[id] = {identity.home(), identity.mail_path()};
  } else if (user.has_own_paths_) {
    own_paths_.erase(id);
  }
  user.has_own_paths_ = own;
}

wire::Identity UserTable::identity(UserId id) const {
  const User& user = at(id);
  DORMOUSE_CHECK(user.known_, "only a known user has an identity");
  wire::Identity identity;
  identity.set_user(std::string(name(id)));
  identity.set_uid(user.uid_);
  identity.set_gid(user.gid_);
  if (user.has_own_paths_) {
    const auto& [home, mail_path] = own_paths_.at(id);
    identity.set_home(home);
    identity.set_mail_path(mail_path);
  } else {
    identity.set_home(templates_.expand(user.home_, name(id)));
    identity.set_mail_path(templates_.expand(user.mail_path_, name(id)));
  }
  return identity;
}

void UserTable::remove_if_unused(UserId id) {
  User& user = at(id);
  if (!user.in_use_ || user.awake != 0 || user.waiting != 0 || !user.sessions.empty()) return;
  std::string_view text = name(id);
  places_[place_of(text, hash_of(text))].id = kTombstone;
  name_bytes_ -= sizeof(uint16_t) + text.size();
  if (user.has_own_paths_) own_paths_.erase(id);
  user = User();
  free_.push_back(id);
  --size_;
}

size_t UserTable::bytes() const {
  size_t total = chunks_.size() * kChunk * sizeof(User) + free_.capacity() * sizeof(UserId) +
                 places_.size() * sizeof(Place) + name_bytes_ + templates_.bytes();
  for (const auto& [id, paths] : own_paths_) {
    total += sizeof(id) + sizeof(paths) + 2 * sizeof(void*) + paths.first.capacity() +
             paths.second.capacity();
  }
  return total;
}

}  // namespace dormouse::tracker
