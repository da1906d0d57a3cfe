#include "imap/syntax/uid_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace dormouse::imap {
namespace {

// nz-number: no sign, no leading zero, 1 to 2^32-1. Takes its digits off `text`; 0 on failure.
std::uint32_t take_number(std::string_view& text) {
  std::uint64_t number = 0;
  std::size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') {
    number = number * 10 + static_cast<std::uint64_t>(text[digits] - '0');
    if (number == 0 || number > UINT32_MAX) return 0;
    ++digits;
  }
  text.remove_prefix(digits);
  return static_cast<std::uint32_t>(number);
}

bool take(std::string_view& text, char wanted) {
  if (text.empty() || text.front() != wanted) return false;
  text.remove_prefix(1);
  return true;
}

// One end of a range; '*' only where `star_allowed`. False when there is none.
bool take_end(std::string_view& text, bool star_allowed, std::uint32_t& number) {
  if (star_allowed && take(text, '*')) {
    number = SequenceSet::kStar;
    return true;
  }
  number = take_number(text);
  return number != 0;
}

// Calls add(first, last) for each item of a comma-separated list.
template <class Add>
Result<> parse_items(std::string_view text, bool star_allowed, std::size_t ranges_max, Add add) {
  std::size_t ranges = 0;
  do {
    std::uint32_t first = 0;
    if (!take_end(text, star_allowed, first)) {
      return fail(ErrorKind::kInvalid, "a sequence set needs numbers from 1 to 4294967295");
    }
    std::uint32_t last = first;
    if (take(text, ':') && !take_end(text, star_allowed, last)) {
      return fail(ErrorKind::kInvalid, "a sequence range needs a number on both sides");
    }
    if (++ranges > ranges_max) return fail(ErrorKind::kLimit, "too many ranges in a sequence set");
    add(first, last);
  } while (take(text, ','));
  if (!text.empty()) return fail(ErrorKind::kInvalid, "a sequence set holds something else");
  return {};
}

// Sorts and joins ranges that overlap or touch.
void normalize(std::vector<UidRange>& ranges) {
  auto by_first = [](const UidRange& a, const UidRange& b) { return a.first < b.first; };
  if (!std::ranges::is_sorted(ranges, by_first)) std::ranges::sort(ranges, by_first);
  std::size_t kept = 0;
  for (const UidRange& range : ranges) {
    if (kept > 0 && range.first <= std::uint64_t{ranges[kept - 1].last} + 1) {
      ranges[kept - 1].last = std::max(ranges[kept - 1].last, range.last);
    } else {
      ranges[kept++] = range;
    }
  }
  ranges.resize(kept);
}

}  // namespace

Result<UidSet> UidSet::parse(std::string_view text, std::size_t ranges_max) {
  UidSet set;
  auto parsed = parse_items(text, false, ranges_max, [&](std::uint32_t a, std::uint32_t b) {
    set.ranges_.push_back({std::min(a, b), std::max(a, b)});
  });
  if (!parsed) return std::unexpected(parsed.error());
  normalize(set.ranges_);
  return set;
}

void UidSet::add(UidRange range) {
  DORMOUSE_CHECK(range.first != 0 && range.first <= range.last, "a range of numbers from 1 up");
  // The usual case: upwards.
  if (ranges_.empty() || range.first > std::uint64_t{ranges_.back().last} + 1) {
    ranges_.push_back(range);
    return;
  }
  // The first range that the new one reaches or touches.
  auto begin = std::ranges::partition_point(
      ranges_, [&](const UidRange& r) { return std::uint64_t{r.last} + 1 < range.first; });
  auto end = begin;
  while (end != ranges_.end() && end->first <= std::uint64_t{range.last} + 1) {
    range.first = std::min(range.first, end->first);
    range.last = std::max(range.last, end->last);
    ++end;
  }
  if (begin == end) {
    ranges_.insert(begin, range);
  } else {
    *begin = range;
    ranges_.erase(begin + 1, end);
  }
}

void UidSet::add(const UidSet& other) {
  if (other.empty()) return;
  if (empty() || other.min() > max()) {
    for (const UidRange& range : other.ranges_) add(range);
    return;
  }
  std::vector<UidRange> both;
  both.reserve(ranges_.size() + other.ranges_.size());
  std::ranges::merge(ranges_, other.ranges_, std::back_inserter(both),
                     [](const UidRange& a, const UidRange& b) { return a.first < b.first; });
  normalize(both);
  ranges_ = std::move(both);
}

void UidSet::remove(UidRange range) {
  DORMOUSE_CHECK(range.first != 0 && range.first <= range.last, "a range of numbers from 1 up");
  UidSet one;
  one.ranges_.push_back(range);
  remove(one);
}

void UidSet::remove(const UidSet& other) {
  if (empty() || other.empty()) return;
  std::vector<UidRange> left;
  left.reserve(ranges_.size());
  auto cut = other.ranges_.begin();
  for (UidRange range : ranges_) {
    while (cut != other.ranges_.end() && cut->last < range.first) ++cut;
    bool any_left = true;
    for (auto c = cut; c != other.ranges_.end() && c->first <= range.last; ++c) {
      if (c->first > range.first) left.push_back({range.first, c->first - 1});
      if (c->last >= range.last) {
        any_left = false;
        break;
      }
      range.first = c->last + 1;
    }
    if (any_left) left.push_back(range);
  }
  ranges_ = std::move(left);
}

UidSet UidSet::intersect(const UidSet& other) const {
  UidSet both;
  auto a = ranges_.begin();
  auto b = other.ranges_.begin();
  while (a != ranges_.end() && b != other.ranges_.end()) {
    std::uint32_t first = std::max(a->first, b->first);
    std::uint32_t last = std::min(a->last, b->last);
    if (first <= last) both.ranges_.push_back({first, last});
    if (a->last < b->last) {
      ++a;
    } else {
      ++b;
    }
  }
  // Ranges of one side that do not touch may meet through the other: they cannot, as both sides
  // keep a gap between their ranges and an intersection only widens gaps.
  return both;
}

UidSet UidSet::slice(std::uint64_t begin, std::uint64_t end) const {
  UidSet part;
  std::uint64_t before = 0;  // numbers in the ranges passed
  for (const UidRange& range : ranges_) {
    if (before >= end) break;
    const std::uint64_t after = before + range.count();
    if (after > begin && begin < end) {
      const std::uint64_t from = std::max(begin, before) - before;
      const std::uint64_t to = std::min(end, after) - before;
      part.ranges_.push_back({static_cast<std::uint32_t>(range.first + from),
                              static_cast<std::uint32_t>(range.first + to - 1)});
    }
    before = after;
  }
  return part;
}

bool UidSet::contains(std::uint32_t number) const {
  auto range =
      std::ranges::partition_point(ranges_, [&](const UidRange& r) { return r.last < number; });
  return range != ranges_.end() && range->first <= number;
}

std::uint64_t UidSet::count() const {
  std::uint64_t count = 0;
  for (const UidRange& range : ranges_) count += range.count();
  return count;
}

void UidSet::format(std::string& out) const {
  bool first = true;
  for (const UidRange& range : ranges_) {
    if (!first) out.push_back(',');
    first = false;
    fmt::format_to(std::back_inserter(out), "{}", range.first);
    if (range.last != range.first) fmt::format_to(std::back_inserter(out), ":{}", range.last);
  }
}

Result<SequenceSet> SequenceSet::parse(std::string_view text, std::size_t ranges_max) {
  SequenceSet set;
  if (text == "$") {
    set.saved_result = true;
    return set;
  }
  auto parsed = parse_items(text, true, ranges_max,
                            [&](std::uint32_t a, std::uint32_t b) { set.items.push_back({a, b}); });
  if (!parsed) return std::unexpected(parsed.error());
  return set;
}

UidSet SequenceSet::resolve(std::uint32_t star, const UidSet* saved) const {
  if (saved_result) return saved != nullptr ? *saved : UidSet{};
  std::vector<UidRange> ranges;
  ranges.reserve(items.size());
  for (const Item& item : items) {
    std::uint32_t first = item.first == kStar ? star : item.first;
    std::uint32_t last = item.last == kStar ? star : item.last;
    if (first == 0 || last == 0) continue;
    ranges.push_back({std::min(first, last), std::max(first, last)});
  }
  normalize(ranges);
  UidSet set;
  for (const UidRange& range : ranges) set.add(range);
  return set;
}

bool SequenceSet::has_star() const {
  return std::ranges::any_of(
      items, [](const Item& item) { return item.first == kStar || item.last == kStar; });
}

}  // namespace dormouse::imap
