#include "hibernate/watch/watch_table.h"

#include <algorithm>

namespace dormouse::hibernate {
namespace {

constexpr size_t kFirstPlaces = 64;
// Fuller than this, a search that finds nothing looks at more than 35 places (linear probing,
// (1 + 1/(1-a)^2) / 2), 9 cache lines in a row; and nearly every event is of a directory nobody
// watches.
constexpr bool too_full(size_t taken, size_t places) { return taken * 100 > places * 88; }
// Places for so many entries and 15 % more: 76 % full after a rebuild, 88 % before the next.
// Growing by little costs seven moves per entry and keeps the table small.
constexpr size_t roomy(size_t entries) { return std::max(kFirstPlaces, entries * 115 / 88 + 1); }

uint64_t mix(uint64_t value) {  // the finalizer of SplitMix64
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
  value = (value ^ value >> 27) * 0x94d049bb133111eb;
  return value ^ value >> 31;
}

// A hash's place among `places`, without a division.
size_t scaled(uint64_t hash, size_t places) {
  return size_t((static_cast<unsigned __int128>(hash) * places) >> 64);
}

}  // namespace

WatchTable::WatchTable(size_t directories_max)
    : slots_(kFirstPlaces), heads_(kFirstPlaces, kNone), directories_max_(directories_max) {}

size_t WatchTable::home(DirectoryKey key) const { return scaled(mix(key), slots_.size()); }

size_t WatchTable::head_home(uint16_t den, uint32_t watch) const {
  return scaled(mix(uint64_t(den) << 32 | watch), heads_.size());
}

// The place in heads_ of the subscription, or heads_.size().
size_t WatchTable::find_head(uint16_t den, uint32_t watch) const {
  for (size_t i = head_home(den, watch); heads_[i] != kNone;
       i = i + 1 == heads_.size() ? 0 : i + 1) {
    if (heads_[i] == kHeadGone) continue;
    const Slot& slot = slots_[heads_[i]];
    if (slot.den() == den && slot.watch() == watch) return i;
  }
  return heads_.size();
}

bool WatchTable::wanted(DirectoryKey key) const {
  bool found = false;
  for_each(key, [&found](const Wanted&) { found = true; });
  return found;
}

uint32_t WatchTable::put(DirectoryKey key, uint16_t den, uint32_t watch_first, uint32_t chained) {
  size_t i = home(key);
  while (slots_[i].key_den != kFree && slots_[i].key_den != kGone) i = next(i);
  if (slots_[i].key_den == kFree) ++taken_;
  slots_[i] = Slot{key << 16 | den, watch_first, chained};
  ++live_;
  return uint32_t(i);
}

void WatchTable::put_head(uint32_t slot) {
  size_t i = head_home(slots_[slot].den(), slots_[slot].watch());
  while (heads_[i] != kNone && heads_[i] != kHeadGone) i = i + 1 == heads_.size() ? 0 : i + 1;
  if (heads_[i] == kNone) ++heads_taken_;
  heads_[i] = slot;
  ++heads_live_;
}

void WatchTable::drop_chain(uint32_t slot, std::vector<DirectoryKey>& unused) {
  while (slot != kNone) {
    DirectoryKey key = slots_[slot].key();
    uint32_t chained = slots_[slot].next;
    slots_[slot] = Slot{kGone, 0, kNone};
    --live_;
    if (!wanted(key)) unused.push_back(key);
    slot = chained;
  }
}

Result<> WatchTable::subscribe(uint16_t den, uint32_t watch, std::span<const DirectoryKey> keys,
                               std::vector<DirectoryKey>& unused) {
  if (live_ + keys.size() > directories_max_) {
    return fail(ErrorKind::kLimit, "too many directories are watched");
  }
  make_room(keys.size());
  // The new ones first: a directory that stays is never unwanted in between.
  DORMOUSE_CHECK(watch <= kWatchMax, "a watch's number has 31 bits");
  uint32_t chain = kNone;
  for (DirectoryKey key : keys) {
    DORMOUSE_CHECK(key != 0 && key <= kKeyMask, "a key has 48 bits and is not 0");
    bool first = key == keys.front();
    chain = put(key, den, watch | (first ? kWatchMax + 1 : 0), chain);
  }
  size_t head = find_head(den, watch);
  if (head == heads_.size()) {
    if (chain != kNone) put_head(chain);
    return {};
  }
  uint32_t old = heads_[head];
  heads_[head] = chain;
  if (chain == kNone) {
    heads_[head] = kHeadGone;
    --heads_live_;
  }
  drop_chain(old, unused);
  return {};
}

bool WatchTable::unsubscribe(uint16_t den, uint32_t watch, std::vector<DirectoryKey>& unused) {
  size_t head = find_head(den, watch);
  if (head == heads_.size()) return false;
  uint32_t chain = heads_[head];
  heads_[head] = kHeadGone;
  --heads_live_;
  drop_chain(chain, unused);
  return true;
}

void WatchTable::drop_den(uint16_t den, std::vector<DirectoryKey>& unused) {
  for (uint32_t& head : heads_) {
    if (head == kNone || head == kHeadGone || slots_[head].den() != den) continue;
    uint32_t chain = head;
    head = kHeadGone;
    --heads_live_;
    drop_chain(chain, unused);
  }
  // A den's share is large, and its successor subscribes again: what it leaves is given back.
  rebuild(roomy(live_), roomy(heads_live_));
}

void WatchTable::make_room(size_t more_slots) {
  bool slots_full = too_full(taken_ + more_slots, slots_.size());
  bool heads_full = too_full(heads_taken_ + 1, heads_.size());
  if (!slots_full && !heads_full) return;
  // What is gone is cleared away; where that is enough, the tables keep their size.
  rebuild(std::max(slots_full ? roomy(live_ + more_slots) : slots_.size(), roomy(live_)),
          std::max(heads_full ? roomy(heads_live_ + 1) : heads_.size(), roomy(heads_live_)));
}

void WatchTable::rebuild(size_t slots, size_t heads) {
  std::vector<Slot> old_slots(slots);
  std::vector<uint32_t> old_heads(heads, kNone);
  old_slots.swap(slots_);
  old_heads.swap(heads_);
  live_ = taken_ = heads_live_ = heads_taken_ = 0;
  std::vector<uint32_t> chained;
  for (uint32_t head : old_heads) {
    if (head == kNone || head == kHeadGone) continue;
    chained.clear();
    for (uint32_t i = head; i != kNone; i = old_slots[i].next) chained.push_back(i);
    uint32_t chain = kNone;
    for (auto i = chained.rbegin(); i != chained.rend(); ++i) {  // in the order of subscribe()
      chain = put(old_slots[*i].key(), old_slots[*i].den(), old_slots[*i].watch_first, chain);
    }
    put_head(chain);
  }
}

}  // namespace dormouse::hibernate
