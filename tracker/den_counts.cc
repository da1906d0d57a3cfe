#include "tracker/den_counts.h"

#include <algorithm>
#include <limits>

namespace dormouse::tracker {
namespace {

uint32_t saturating_add(uint32_t a, uint32_t b) {
  uint32_t sum = a + b;
  return sum < a ? std::numeric_limits<uint32_t>::max() : sum;
}

}  // namespace

void DenCounts::add(Slot slot, uint32_t sessions) {
  if (sessions == 0) return;
  if (word_ == kEmpty) {
    set_inline({sessions, slot});
    return;
  }
  if (is_inline()) {
    Entry only = inline_entry();
    if (only.slot == slot) {
      set_inline({saturating_add(only.sessions, sessions), slot});
      return;
    }
    word_ = reinterpret_cast<uint64_t>(new List{only, Entry{sessions, slot}});
    return;
  }
  auto entry = std::ranges::find(*list(), slot, &Entry::slot);
  if (entry != list()->end()) {
    entry->sessions = saturating_add(entry->sessions, sessions);
  } else {
    list()->push_back({sessions, slot});
  }
}

bool DenCounts::subtract(Slot slot) {
  if (word_ == kEmpty) return false;
  if (is_inline()) {
    Entry only = inline_entry();
    if (only.slot != slot) return false;
    if (--only.sessions == 0) {
      word_ = kEmpty;
    } else {
      set_inline(only);
    }
    return true;
  }
  auto entry = std::ranges::find(*list(), slot, &Entry::slot);
  if (entry == list()->end()) return false;
  if (--entry->sessions == 0) list()->erase(entry);
  shrink();
  return true;
}

void DenCounts::shrink() {
  if (list()->size() > 1) return;
  std::unique_ptr<List> old(list());
  word_ = kEmpty;
  if (!old->empty()) set_inline(old->front());
}

}  // namespace dormouse::tracker
