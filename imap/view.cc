#include "imap/view.h"

#include <algorithm>

namespace dormouse::imap {

View::View(std::span<const uint32_t> uids) {
  for (uint32_t uid : uids) append(uid);
  runs_.shrink_to_fit();
}

uint32_t View::exists() const {
  return runs_.empty() ? 0 : runs_.back().sequence + runs_.back().count - 1;
}

uint32_t View::last_uid() const {
  return runs_.empty() ? 0 : runs_.back().uid + runs_.back().count - 1;
}

std::vector<View::Run>::const_iterator View::run_from(uint32_t uid) const {
  return std::ranges::lower_bound(runs_, uid, {},
                                  [](const Run& run) { return run.uid + run.count - 1; });
}

std::optional<uint32_t> View::uid_of(uint32_t sequence_number) const {
  if (sequence_number == 0 || sequence_number > exists()) return std::nullopt;
  auto run = std::ranges::lower_bound(runs_, sequence_number, {}, [](const Run& candidate) {
    return candidate.sequence + candidate.count - 1;
  });
  return run->uid + (sequence_number - run->sequence);
}

std::optional<uint32_t> View::sequence_of(uint32_t uid) const {
  auto run = run_from(uid);
  if (run == runs_.end() || uid < run->uid) return std::nullopt;
  return run->sequence + (uid - run->uid);
}

void View::append(uint32_t uid) {
  DORMOUSE_CHECK(uid > last_uid(), "new messages have higher UIDs");
  if (!runs_.empty() && uid == last_uid() + 1) {
    ++runs_.back().count;
  } else {
    runs_.push_back(Run{uid, exists() + 1, 1});
  }
}

void View::mark_expunged(uint32_t uid) {
  if (contains(uid)) unreported_.add(uid);
}

std::vector<View::Gone> View::take_unreported() {
  std::vector<Gone> gone;
  if (unreported_.empty()) return gone;
  gone.reserve(unreported_.count());
  unreported_.each([&](uint32_t uid) {
    gone.push_back(Gone{uid, *sequence_of(uid)});
    return true;
  });
  std::vector<Run> left;
  left.reserve(runs_.size() + unreported_.ranges().size());
  uint32_t sequence = 1;
  auto keep = [&](uint32_t first, uint32_t count) {
    if (count == 0) return;
    if (!left.empty() && left.back().uid + left.back().count == first) {
      left.back().count += count;
    } else {
      left.push_back(Run{first, sequence, count});
    }
    sequence += count;
  };
  auto range = unreported_.ranges().begin();
  auto ranges_end = unreported_.ranges().end();
  for (const Run& run : runs_) {
    uint32_t at = run.uid;
    uint32_t last = run.uid + run.count - 1;
    bool done = false;
    while (!done) {
      while (range != ranges_end && range->last < at) ++range;
      if (range == ranges_end || range->first > last) {
        keep(at, last - at + 1);
        done = true;
      } else {
        if (range->first > at) keep(at, range->first - at);
        done = range->last >= last;
        if (!done) at = range->last + 1;
      }
    }
  }
  runs_ = std::move(left);
  unreported_.clear();
  return gone;
}

UidSet View::resolve(const SequenceSet& set, bool by_uid, const UidSet& saved) const {
  // "$" stands for messages, whichever numbers the command speaks in (RFC 5182 2.1).
  if (set.saved_result) return intersect(saved);
  if (by_uid) return intersect(set.resolve(last_uid()));
  UidSet uids;
  for (const UidRange& range : set.resolve(exists()).ranges()) {
    if (range.first > exists()) break;
    uint32_t last = std::min(range.last, exists());
    uids.add(intersect([&] {
      UidSet between;
      between.add(UidRange{*uid_of(range.first), *uid_of(last)});
      return between;
    }()));
  }
  return uids;
}

UidSet View::intersect(const UidSet& uids) const {
  UidSet common;
  for (const UidRange& range : uids.ranges()) {
    for (auto run = run_from(range.first); run != runs_.end() && run->uid <= range.last; ++run) {
      uint32_t first = std::max(run->uid, range.first);
      uint32_t last = std::min(run->uid + run->count - 1, range.last);
      common.add(UidRange{first, last});
    }
  }
  return common;
}

UidSet View::sequences(const UidSet& uids) const {
  UidSet numbers;
  for (const UidRange& range : intersect(uids).ranges()) {
    // Within one range of existing UIDs the sequence numbers run along.
    numbers.add(UidRange{*sequence_of(range.first), *sequence_of(range.last)});
  }
  return numbers;
}

UidSet View::coarsen(const UidSet& uids) const {
  UidSet coarse;
  uint32_t last_sequence = 0;
  uint32_t last = 0;
  for (const UidRange& range : intersect(uids).ranges()) {
    uint32_t sequence = *sequence_of(range.first);
    bool adjacent = last != 0 && sequence == last_sequence + 1;
    coarse.add(UidRange{adjacent ? last : range.first, range.last});
    last = range.last;
    last_sequence = *sequence_of(range.last);
  }
  return coarse;
}

std::vector<uint32_t> View::next(const UidSet& uids, uint32_t after, size_t max) const {
  std::vector<uint32_t> found;
  auto ranges = uids.ranges();
  auto range = std::ranges::upper_bound(ranges, after, {}, &UidRange::last);
  for (; range != ranges.end() && found.size() < max; ++range) {
    uint32_t from = std::max(range->first, after + 1);
    for (auto run = run_from(from); run != runs_.end() && run->uid <= range->last; ++run) {
      uint32_t last = std::min(run->uid + run->count - 1, range->last);
      for (uint64_t uid = std::max(run->uid, from); uid <= last; ++uid) {
        if (found.size() == max) return found;
        if (!unreported_.contains(uint32_t(uid))) found.push_back(uint32_t(uid));
      }
    }
  }
  return found;
}

}  // namespace dormouse::imap
