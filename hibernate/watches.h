#pragma once
// Watches: which slots wait for which mailbox. A mailbox is a set of directories, known here only
// by a hash of it (a collision costs a needless refresh); the directories themselves lie in the
// slots' records, from which they are subscribed again when the watch process was restarted.
// An engine: the den sends what join() and leave() ask for.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace dormouse::hibernate {

using WatchId = uint32_t;
inline constexpr WatchId kNoWatch = 0xffffffff;

uint64_t watch_key(std::span<const std::string> directories);

class Watches {
 public:
  explicit Watches(uint32_t slots);

  enum class State : uint8_t {
    kAsked,    // Subscribe was sent, or is to be sent
    kActive,   // every change since is told
    kRefused,  // cannot be watched
  };
  struct Joined {
    WatchId watch = kNoWatch;
    bool subscribe = false;  // the first slot of its mailbox: send Subscribe
  };
  // A slot waits for one mailbox at most: it must have left its former one.
  Joined join(uint32_t slot, uint64_t key);
  // The watch that nobody waits for any more, to be unsubscribed; else kNoWatch.
  WatchId leave(uint32_t slot);

  WatchId watch_of(uint32_t slot) const { return watch_of_[slot]; }
  State state(WatchId watch) const { return entries_[watch].state; }
  bool exists(WatchId watch) const {
    return watch < entries_.size() && entries_[watch].head != kNoSlot;
  }
  void set_state(WatchId watch, State state) { entries_[watch].state = state; }
  // Its changes are told late: it is only looked at now and then.
  bool polled(WatchId watch) const { return entries_[watch].polled; }
  void set_polled(WatchId watch, bool polled) { entries_[watch].polled = polled; }

  // fn(slot) for every slot of the watch; fn may make that very slot leave.
  template <class Fn>
  void for_each(WatchId watch, Fn&& fn) const {
    for (uint32_t slot = entries_[watch].head; slot != kNoSlot;) {
      uint32_t next = next_[slot];
      fn(slot);
      slot = next;
    }
  }
  // fn(watch, one of its slots) for every watch in use.
  template <class Fn>
  void for_all(Fn&& fn) {
    for (WatchId watch = 0; watch < entries_.size(); ++watch) {
      if (entries_[watch].head != kNoSlot) fn(watch, entries_[watch].head);
    }
  }
  uint32_t count() const { return in_use_; }

 private:
  static constexpr uint32_t kNoSlot = 0xffffffff;
  struct Entry {
    uint64_t key = 0;
    uint32_t head = kNoSlot;  // kNoSlot: free
    State state = State::kAsked;
    bool polled = false;
  };

  uint32_t place_of(uint64_t key) const;  // in index_: where it is, or where it would go
  void grow();

  std::vector<uint32_t> watch_of_;
  std::vector<uint32_t> next_;
  std::vector<uint32_t> previous_;
  std::vector<Entry> entries_;
  std::vector<WatchId> free_;
  std::vector<uint32_t> index_;  // open addressing over entries_: watch + 1; 0 free
  uint32_t in_use_ = 0;
};

}  // namespace dormouse::hibernate
