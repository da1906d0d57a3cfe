#pragma once
// SipHash-2-4 (Aumasson, Bernstein 2012): a keyed hash, so that nobody who may create directories
// can choose ones that fall on the same place of a table.

#include <cstdint>
#include <string_view>

namespace dormouse::hibernate {

struct SipKey {
  uint64_t low = 0;
  uint64_t high = 0;
  static SipKey random();
};

uint64_t siphash(const SipKey& key, std::string_view bytes);

}  // namespace dormouse::hibernate
