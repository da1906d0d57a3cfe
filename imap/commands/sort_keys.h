#pragma once
// What SORT compares (RFC 5256 3, RFC 5957): for each message the value of each criterion. A
// message never changes, so neither does its key: an order, once found, holds for as long as its
// messages exist, and a new message finds its place by comparing.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "imap/commands/message_source.h"
#include "imap/syntax/command.h"

namespace dormouse::imap {

// Octets of a text that are compared. A header line is 998 at most (RFC 5322 2.1.1).
inline constexpr size_t kSortTextBytesMax = 1000;

struct SortValues {
  uint32_t uid = 0;
  std::vector<int64_t> numbers;    // of the criteria that are numbers, in their order
  std::vector<std::string> texts;  // of the others, under i;unicode-casemap
  size_t bytes() const;            // of memory, about
};

class SortOrder {
 public:
  explicit SortOrder(std::span<const SortCriterion> criteria)
      : criteria_(criteria.begin(), criteria.end()) {}

  // Whether the index row alone tells the values.
  bool needs_structure() const;
  bool needs_size() const;
  // `source` has what needs_...() asked for, unless the message cannot be read: then it is as one
  // with no header and no octets.
  SortValues values_of(const MessageSource& source, bool readable) const;
  // Strictly before: equal ones go by UID, which REVERSE does not turn around.
  bool before(const SortValues& a, const SortValues& b) const;

 private:
  std::vector<SortCriterion> criteria_;
};

// The values of messages, ascending by UID; those that are gone are left out. Reads what the index
// does not know, and keeps what it found.
io::Task<Result<std::vector<SortValues>>> sort_values(io::Loop* loop, store::Mailbox mailbox,
                                                      const SortOrder* order,
                                                      std::vector<uint32_t> uids);

}  // namespace dormouse::imap
