#pragma once
// Sets of UIDs (or message sequence numbers), and the sequence-set of a command (RFC 3501 9).
//
// UidSet is resolved: sorted, disjoint, non-touching ranges of numbers from 1 to 2^32-1.
// SequenceSet is what a client wrote: it may hold '*' and '$', which mean something only beside a
// mailbox; resolve() makes a UidSet of it.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "imap/syntax/limits.h"
#include "io/result.h"

namespace dormouse::imap {

// Both ends included; first <= last, never 0.
struct UidRange {
  std::uint32_t first = 0;
  std::uint32_t last = 0;

  std::uint64_t count() const { return std::uint64_t{last} - first + 1; }
  bool operator==(const UidRange&) const = default;
};

class UidSet {
 public:
  UidSet() = default;
  UidSet(std::initializer_list<std::uint32_t> numbers) {
    for (std::uint32_t number : numbers) add(number);
  }

  // "1:3,7": as format() writes it, in any order and overlapping, but without '*' or '$'. At most
  // `ranges_max` ranges (kLimit beyond). Empty text is refused, as the grammar has no empty set.
  static Result<UidSet> parse(std::string_view text, std::size_t ranges_max = kSequenceRangesMax);

  // Appending upwards costs O(1); anywhere else O(ranges). Zero is our own bug.
  void add(std::uint32_t number) { add(UidRange{number, number}); }
  void add(UidRange range);
  void add(const UidSet& other);
  void remove(std::uint32_t number) { remove(UidRange{number, number}); }
  void remove(UidRange range);
  void remove(const UidSet& other);
  // What is in both.
  UidSet intersect(const UidSet& other) const;

  // The numbers from the begin-th up to before the end-th, counted from 0.
  UidSet slice(std::uint64_t begin, std::uint64_t end) const;

  bool contains(std::uint32_t number) const;  // O(log ranges)
  bool empty() const { return ranges_.empty(); }
  std::uint64_t count() const;  // numbers, not ranges
  std::uint32_t min() const { return ranges_.empty() ? 0 : ranges_.front().first; }
  std::uint32_t max() const { return ranges_.empty() ? 0 : ranges_.back().last; }
  void clear() { ranges_.clear(); }

  // The ranges, ascending. Iterate these rather than single numbers: a range may hold 2^32.
  std::span<const UidRange> ranges() const { return ranges_; }

  // Calls visit(number) for each number, ascending, until it returns false.
  template <class Visit>
  void each(Visit visit) const {
    for (const UidRange& range : ranges_) {
      for (std::uint64_t number = range.first; number <= range.last; ++number) {
        if (!visit(static_cast<std::uint32_t>(number))) return;
      }
    }
  }

  // Appends "1:3,7" (uid-set of RFC 4315: never '*'). Nothing for an empty set.
  void format(std::string& out) const;
  std::string format() const {
    std::string out;
    format(out);
    return out;
  }

  bool operator==(const UidSet&) const = default;

 private:
  std::vector<UidRange> ranges_;
};

// A sequence-set as the client wrote it.
struct SequenceSet {
  // An end of a range: kStar is '*', the highest number in use.
  static constexpr std::uint32_t kStar = 0;
  struct Item {
    std::uint32_t first = kStar;
    std::uint32_t last = kStar;

    bool operator==(const Item&) const = default;
  };
  std::vector<Item> items;
  bool saved_result = false;  // "$" (RFC 5182): the result of the last SEARCH RETURN (SAVE)

  static Result<SequenceSet> parse(std::string_view text,
                                   std::size_t ranges_max = kSequenceRangesMax);

  // '*' becomes `star`, the highest UID (or the message count for sequence numbers). "9:*" holds
  // star even when it is below 9 (RFC 3501 9, seq-range). With star 0, in an empty mailbox, items
  // that name '*' vanish. `saved` is what '$' stands for.
  UidSet resolve(std::uint32_t star, const UidSet* saved = nullptr) const;
  bool has_star() const;

  bool operator==(const SequenceSet&) const = default;
};

}  // namespace dormouse::imap
