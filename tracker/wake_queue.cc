#include "tracker/wake_queue.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "io/result.h"

namespace dormouse::tracker {

std::optional<uint64_t> WakeQueue::oldest_ms(Rank rank) const {
  std::optional<uint64_t> oldest;
  // A user's entries stand in the order in which they came.
  for (const Turn& turn : ranks_[size_t(rank)].users) {
    oldest = std::min(oldest.value_or(UINT64_MAX), turn.entries.front().since_ms);
  }
  return oldest;
}

bool WakeQueue::accepts(Rank rank) const {
  if (size_ < entries_max_) return true;
  for (size_t i = kRanks - 1; i > size_t(rank) && i >= size_t(Rank::kRefresh); --i) {
    if (ranks_[i].entries > 0) return true;
  }
  return false;
}

std::optional<Waiting> WakeQueue::push(Waiting entry) {
  DORMOUSE_CHECK(accepts(entry.rank), "a full queue is asked first");
  std::optional<Waiting> gave_way;
  for (size_t i = kRanks - 1; size_ >= entries_max_ && !gave_way; --i) {
    Turns& turns = ranks_[i];
    if (turns.entries == 0) continue;
    auto last = std::prev(turns.users.end());
    gave_way = std::move(last->entries.back());
    last->entries.pop_back();
    --turns.entries;
    --size_;
    if (last->entries.empty()) erase(turns, last);
  }
  Turns& turns = ranks_[size_t(entry.rank)];
  auto [place, fresh] = turns.by_user.try_emplace(entry.user);
  if (fresh) place->second = turns.users.insert(turns.users.end(), Turn{entry.user, {}});
  place->second->entries.push_back(std::move(entry));
  ++turns.entries;
  ++size_;
  return gave_way;
}

// The user's first entry is gone; its next one comes after everybody else's.
WakeQueue::TurnIterator WakeQueue::taken(Turns& turns, TurnIterator turn) {
  turn->entries.pop_front();
  --turns.entries;
  --size_;
  if (turn->entries.empty()) return erase(turns, turn);
  auto next = std::next(turn);
  turns.users.splice(turns.users.end(), turns.users, turn);
  // Where it was the last already it stays where it is, and is offered next.
  return next == turns.users.end() ? turn : next;
}

WakeQueue::TurnIterator WakeQueue::erase(Turns& turns, TurnIterator turn) {
  turns.by_user.erase(turn->user);
  return turns.users.erase(turn);
}

}  // namespace dormouse::tracker
