#include "tracker/grant_table.h"

#include "io/result.h"

namespace dormouse::tracker {

GrantTable::Key GrantTable::key_of(std::string_view grant) {
  DORMOUSE_CHECK(grant.size() == wire::kGrantBytes, "a grant's length is validated");
  Key key;
  std::memcpy(key.data(), grant.data(), key.size());
  return key;
}

// The oldest note; and its grant, if that is still the one noted.
void GrantTable::drop_oldest() {
  auto found = grants_.find(order_.front().key);
  if (found != grants_.end() && found->second.due_ms == order_.front().due_ms) grants_.erase(found);
  order_.pop_front();
}

void GrantTable::put(std::string_view grant, Grant what, uint64_t now_ms) {
  expire(now_ms);
  // Claimed grants leave their note in order_ until it expires, so it is the notes that are
  // bounded.
  while (order_.size() >= grants_max_) {
    size_t before = grants_.size();
    drop_oldest();
    displaced_ += before - grants_.size();
  }
  Key key = key_of(grant);
  grants_[key] = Entry{std::move(what), now_ms + kGrantMs};
  order_.push_back({now_ms + kGrantMs, key});
}

std::optional<Grant> GrantTable::claim(std::string_view grant, uint64_t now_ms) {
  auto found = grants_.find(key_of(grant));
  if (found == grants_.end()) return std::nullopt;
  bool good = now_ms < found->second.due_ms;
  std::optional<Grant> claimed;
  if (good) claimed = std::move(found->second.what);
  grants_.erase(found);
  return claimed;
}

void GrantTable::expire(uint64_t now_ms) {
  while (!order_.empty() && order_.front().due_ms <= now_ms) drop_oldest();
}

}  // namespace dormouse::tracker
