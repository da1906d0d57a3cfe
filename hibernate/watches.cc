#include "hibernate/watches.h"

#include "io/result.h"

namespace dormouse::hibernate {
namespace {

constexpr size_t kFirstIndexSize = 64;

}  // namespace

uint64_t watch_key(std::span<const std::string> directories) {
  uint64_t hash = 14695981039346656037u;
  auto mix = [&hash](uint8_t byte) { hash = (hash ^ byte) * 1099511628211u; };
  for (const std::string& directory : directories) {
    mix(uint8_t(directory.size()));
    for (char c : directory) mix(uint8_t(c));
  }
  // FNV's low bits are weak and the index uses them.
  hash ^= hash >> 32;
  return hash * 0x9e3779b97f4a7c15u;
}

Watches::Watches(uint32_t slots)
    : watch_of_(slots, kNoWatch),
      next_(slots, kNoSlot),
      previous_(slots, kNoSlot),
      index_(kFirstIndexSize, 0) {}

uint32_t Watches::place_of(uint64_t key) const {
  uint32_t mask = uint32_t(index_.size() - 1);
  uint32_t place = uint32_t(key) & mask;
  while (index_[place] != 0 && entries_[index_[place] - 1].key != key) place = (place + 1) & mask;
  return place;
}

void Watches::grow() {
  if ((in_use_ + 1) * 2 <= index_.size()) return;
  index_.assign(index_.size() * 2, 0);
  for (WatchId watch = 0; watch < entries_.size(); ++watch) {
    if (entries_[watch].head != kNoSlot) index_[place_of(entries_[watch].key)] = watch + 1;
  }
}

Watches::Joined Watches::join(uint32_t slot, uint64_t key) {
  DORMOUSE_CHECK(watch_of_[slot] == kNoWatch, "a slot waits for one mailbox");
  grow();
  Joined joined;
  uint32_t place = place_of(key);
  if (index_[place] == 0) {
    if (free_.empty()) {
      free_.push_back(WatchId(entries_.size()));
      entries_.emplace_back();
    }
    joined.watch = free_.back();
    free_.pop_back();
    entries_[joined.watch] = Entry{.key = key};
    index_[place] = joined.watch + 1;
    ++in_use_;
    joined.subscribe = true;
  } else {
    joined.watch = index_[place] - 1;
  }
  Entry& entry = entries_[joined.watch];
  next_[slot] = entry.head;
  previous_[slot] = kNoSlot;
  if (entry.head != kNoSlot) previous_[entry.head] = slot;
  entry.head = slot;
  watch_of_[slot] = joined.watch;
  return joined;
}

WatchId Watches::leave(uint32_t slot) {
  WatchId watch = watch_of_[slot];
  if (watch == kNoWatch) return kNoWatch;
  Entry& entry = entries_[watch];
  if (previous_[slot] == kNoSlot) {
    entry.head = next_[slot];
  } else {
    next_[previous_[slot]] = next_[slot];
  }
  if (next_[slot] != kNoSlot) previous_[next_[slot]] = previous_[slot];
  watch_of_[slot] = next_[slot] = previous_[slot] = kNoSlot;
  if (entry.head != kNoSlot) return kNoWatch;

  // Open addressing without tombstones: close the gap behind the removed entry.
  uint32_t mask = uint32_t(index_.size() - 1);
  uint32_t gap = place_of(entry.key);
  index_[gap] = 0;
  for (uint32_t at = (gap + 1) & mask; index_[at] != 0; at = (at + 1) & mask) {
    uint32_t home = uint32_t(entries_[index_[at] - 1].key) & mask;
    if (((at - home) & mask) < ((at - gap) & mask)) continue;
    index_[gap] = index_[at];
    index_[at] = 0;
    gap = at;
  }
  free_.push_back(watch);
  --in_use_;
  return watch;
}

}  // namespace dormouse::hibernate
