#include "hibernate/watch/notice_guard.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <vector>

namespace dormouse::hibernate {

NoticeGuard::Verdict NoticeGuard::judge(const Notice& notice, uint64_t now_ms) {
  uint64_t apart_ms = notice.time_ms > now_ms ? notice.time_ms - now_ms : now_ms - notice.time_ms;
  if (apart_ms > window_ms_) return Verdict::kStale;
  auto found = senders_.find(notice.sender);
  if (found == senders_.end()) {
    if (senders_.size() >= senders_max_) forget_silent(now_ms);
    if (senders_.size() >= senders_max_) return Verdict::kCrowded;
    found = senders_.emplace(notice.sender, Sender{.greatest = notice.number}).first;
    found->second.last_ms = now_ms;
    found->second.fresh = 1;
    return Verdict::kFresh;
  }
  Sender& sender = found->second;
  sender.last_ms = now_ms;
  bool fresh = true;
  if (notice.number > sender.greatest) {
    uint64_t step = notice.number - sender.greatest;
    sender.seen = step < kNumbersBelow ? sender.seen << step : 0;
    if (step <= kNumbersBelow) sender.seen |= uint64_t(1) << (step - 1);
    sender.greatest = notice.number;
  } else if (notice.number == sender.greatest) {
    fresh = false;
  } else {
    uint64_t below = sender.greatest - notice.number - 1;
    uint64_t bit = below < kNumbersBelow ? uint64_t(1) << below : 0;
    fresh = bit != 0 && (sender.seen & bit) == 0;
    sender.seen |= bit;
  }
  ++(fresh ? sender.fresh : sender.repeated);
  return fresh ? Verdict::kFresh : Verdict::kRepeated;
}

// Not more often than four times in a window: a flood of new senders must not walk the table each
// time.
void NoticeGuard::forget_silent(uint64_t now_ms) {
  if (now_ms >= swept_ms_ && now_ms - swept_ms_ < window_ms_ / 4) return;
  swept_ms_ = now_ms;
  std::erase_if(senders_,
                [&](const auto& one) { return one.second.last_ms + 2 * window_ms_ < now_ms; });
}

std::string NoticeGuard::view() const {
  std::vector<std::pair<uint64_t, const Sender*>> most;
  for (const auto& [id, sender] : senders_) most.emplace_back(id, &sender);
  size_t shown = std::min(most.size(), kSendersShown);
  std::ranges::partial_sort(most, most.begin() + ptrdiff_t(shown), std::ranges::greater(),
                            [](const auto& one) { return one.second->fresh; });
  most.resize(shown);
  std::string out;
  for (const auto& [id, sender] : most) {
    fmt::format_to(std::back_inserter(out), "notice_sender id={:016x} taken={} repeated={}\n", id,
                   sender->fresh, sender->repeated);
  }
  return out;
}

}  // namespace dormouse::hibernate
