#include "wire/topic.h"

#include <algorithm>

namespace dormouse::wire {
namespace {

// FNV-1a, whose low bits are weak: topic_of() stirs them at the end.
constexpr uint64_t kBasis = 14695981039346656037u;
constexpr uint64_t kPrime = 1099511628211u;

uint64_t mix(uint64_t hash, std::string_view text) {
  for (char c : text) hash = (hash ^ uint8_t(c)) * kPrime;
  return (hash ^ 0xff) * kPrime;  // an end that no UTF-8 text has
}

bool is_inbox(std::string_view mailbox) {
  constexpr std::string_view kInbox = "INBOX";
  return std::ranges::equal(mailbox, kInbox, [](char a, char b) {
    return (a >= 'a' && a <= 'z' ? char(a - 32) : a) == b;
  });
}

}  // namespace

uint64_t topic_of(std::string_view user, std::string_view mailbox) {
  uint64_t hash = mix(mix(kBasis, user), is_inbox(mailbox) ? "INBOX" : mailbox);
  hash ^= hash >> 32;
  hash *= 0x9e3779b97f4a7c15u;  // 2^64 / golden ratio
  hash ^= hash >> 29;
  return hash == 0 ? 1 : hash;
}

}  // namespace dormouse::wire
