#pragma once
// WatchTable: which den wants to know of which directory. Many subscriptions per directory, many
// directories per subscription; both ways of asking are quick. 24 bytes per watched directory at
// the most, for mailboxes of two directories (docs/watch.md), since there are millions of them.
//
// Directories stand in one open-addressed table by key, 16 bytes a place, which also chains the
// places of one subscription; a second table of 4 bytes a place leads to each chain's head. Places
// move only when the tables are rebuilt.

#include <cstdint>
#include <span>
#include <vector>

#include "io/result.h"

namespace dormouse::hibernate {

// 48 bits that stand for a directory, never 0. Two directories with one key would both be told of
// either's changes, which costs a needless look at a mailbox: at a million directories and 46 bits
// of a hash (change_source.h) half of 10^12 pairs share 2^46 keys, so one server in 140 has such a
// pair.
using DirectoryKey = uint64_t;
inline constexpr DirectoryKey kKeyMask = (uint64_t(1) << 48) - 1;

class WatchTable {
 public:
  // 256 MB of places. Beyond, subscribe() refuses.
  static constexpr size_t kDirectoriesMax = 16 << 20;

  explicit WatchTable(size_t directories_max = kDirectoriesMax);

  // The greatest number of a watch: one bit of it is ours.
  static constexpr uint32_t kWatchMax = 0x7fffffff;

  // The subscription `watch` of `den` is for these directories from now on (each named once), the
  // first of which is remembered to be the first. Keys that nobody wants any more are appended to
  // `unused`. kLimit: the table is full; then nothing has changed.
  Result<> subscribe(uint16_t den, uint32_t watch, std::span<const DirectoryKey> keys,
                     std::vector<DirectoryKey>& unused);
  // False: there was no such subscription.
  bool unsubscribe(uint16_t den, uint32_t watch, std::vector<DirectoryKey>& unused);
  void drop_den(uint16_t den, std::vector<DirectoryKey>& unused);

  // A directory in a subscription. Places are good until the next call that changes the table.
  struct Wanted {
    uint16_t den = 0;
    uint32_t watch = 0;
    bool first = false;
    uint32_t place = 0;
    uint32_t before = 0;  // the place of the directory named before it; for the first, none's

    // Named right behind `other` in the same subscription, as cur/ is behind new/.
    bool follows(const Wanted& other) const {
      return den == other.den && watch == other.watch && before == other.place;
    }
  };
  // wants(Wanted) for every subscription of the directory.
  template <class Wants>
  void for_each(DirectoryKey key, Wants&& wants) const {
    for (size_t i = home(key); slots_[i].key_den != kFree; i = next(i)) {
      const Slot& slot = slots_[i];
      if (slot.key() != key) continue;
      wants(Wanted{slot.den(), slot.watch(), slot.first(), uint32_t(i), slot.next});
    }
  }
  bool wanted(DirectoryKey key) const;

  size_t directories() const { return live_; }
  size_t subscriptions() const { return heads_live_; }
  size_t bytes() const {
    return slots_.capacity() * sizeof(Slot) + heads_.capacity() * sizeof(uint32_t);
  }

 private:
  static constexpr uint64_t kFree = 0;
  static constexpr uint64_t kGone = 1;  // key 0, which no directory has
  static constexpr uint32_t kNone = 0xffffffff;
  static constexpr uint32_t kHeadGone = 0xfffffffe;

  struct Slot {
    uint64_t key_den = kFree;  // key << 16 | den
    uint32_t watch_first = 0;  // first << 31 | watch
    uint32_t next = kNone;     // of the same subscription: the one named before
    DirectoryKey key() const { return key_den >> 16; }
    uint16_t den() const { return uint16_t(key_den); }
    uint32_t watch() const { return watch_first & kWatchMax; }
    bool first() const { return watch_first > kWatchMax; }
  };
  static_assert(sizeof(Slot) == 16, "16 bytes a place are the point of it");

  size_t home(DirectoryKey key) const;
  size_t next(size_t i) const { return i + 1 == slots_.size() ? 0 : i + 1; }
  size_t head_home(uint16_t den, uint32_t watch) const;
  size_t find_head(uint16_t den, uint32_t watch) const;
  uint32_t put(DirectoryKey key, uint16_t den, uint32_t watch_first, uint32_t chained);
  void put_head(uint32_t slot);
  void drop_chain(uint32_t slot, std::vector<DirectoryKey>& unused);
  void make_room(size_t more_slots);
  void rebuild(size_t slots, size_t heads);

  std::vector<Slot> slots_;
  std::vector<uint32_t> heads_;
  size_t directories_max_;
  size_t live_ = 0;
  size_t taken_ = 0;  // live and gone
  size_t heads_live_ = 0;
  size_t heads_taken_ = 0;
};

}  // namespace dormouse::hibernate
