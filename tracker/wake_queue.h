#pragma once
// WakeQueue: sessions that wait for a worker. Most urgent rank first; within a rank users take
// turns, in the order in which they came, so that one user's hundred sessions do not keep another's
// one waiting. Each entry owns the session's relay channel: dropping an entry closes it.

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "io/fd.h"
#include "tracker/placement.h"

namespace dormouse::tracker {

enum class Rank : uint8_t { kInput, kOpen, kRefresh, kSweep };
inline constexpr size_t kRanks = 4;

struct Waiting {
  Rank rank = Rank::kInput;
  bool answered = false;  // Opened was sent already (a new session): it cannot be refused any more
  uint32_t attempt = 0;
  UserId user = kNoUser;
  WorkerId avoid = kNoWorker;
  uint64_t den = 0;  // the link it came on
  uint64_t request = 0;
  uint64_t session = 0;
  uint64_t since_ms = 0;
  uint64_t deadline_ms = 0;
  std::string remote_address;
  io::Fd relay;
};

class WakeQueue {
 public:
  explicit WakeQueue(size_t entries_max) : entries_max_(entries_max) {}

  size_t size() const { return size_; }
  size_t size(Rank rank) const { return ranks_[size_t(rank)].entries; }
  size_t entries_max() const { return entries_max_; }

  // Since when the longest waiting entry of a rank waits; nothing where none does.
  std::optional<uint64_t> oldest_ms(Rank rank) const;
  // Whether push() may be called: there is room, or a less urgent entry gives way.
  bool accepts(Rank rank) const;
  // The entry that gave way, if one had to: the newest of the least urgent, never a new session's.
  std::optional<Waiting> push(Waiting entry);

  enum class Verdict { kTaken, kLater, kStop };
  // Offers entries in order until attempt() says kStop or all that are left said kLater. attempt()
  // may move from the entry when it takes it, and must not touch the queue.
  template <class Attempt>
  void offer(Attempt&& attempt) {
    for (Turns& turns : ranks_) {
      for (auto turn = turns.users.begin(); turn != turns.users.end();) {
        Verdict verdict = attempt(turn->entries.front());
        if (verdict == Verdict::kStop) return;
        turn = verdict == Verdict::kTaken ? taken(turns, turn) : std::next(turn);
      }
    }
  }
  // Takes out every entry for which wanted(entry) is true.
  template <class Wanted>
  std::vector<Waiting> take_if(Wanted&& wanted) {
    std::vector<Waiting> out;
    for (Turns& turns : ranks_) {
      for (auto turn = turns.users.begin(); turn != turns.users.end();) {
        std::erase_if(turn->entries, [&](Waiting& entry) {
          if (!wanted(std::as_const(entry))) return false;
          out.push_back(std::move(entry));
          --turns.entries;
          --size_;
          return true;
        });
        turn = turn->entries.empty() ? erase(turns, turn) : std::next(turn);
      }
    }
    return out;
  }

 private:
  struct Turn {
    UserId user;
    std::deque<Waiting> entries;
  };
  using TurnIterator = std::list<Turn>::iterator;
  struct Turns {
    std::list<Turn> users;
    std::unordered_map<UserId, TurnIterator> by_user;
    size_t entries = 0;
  };

  TurnIterator taken(Turns& turns, TurnIterator turn);
  TurnIterator erase(Turns& turns, TurnIterator turn);

  std::array<Turns, kRanks> ranks_;
  size_t entries_max_;
  size_t size_ = 0;
};

}  // namespace dormouse::tracker
