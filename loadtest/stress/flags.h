#pragma once
// The flags whose every change is followed, one bit each, and the rest of a FLAGS list.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "loadtest/stress/value.h"

namespace dormouse::loadtest::stress {

// System flags first; a mailbox need not allow keywords.
inline constexpr std::array<std::string_view, 6> kTrackedFlags = {
    "\\Answered", "\\Flagged", "\\Draft", "\\Seen", "$Forwarded", "dormouse-load"};
inline constexpr uint32_t kSeenFlag = 3;
inline constexpr uint32_t kSystemFlags = 4;  // the first of kTrackedFlags

struct FlagList {
  uint8_t tracked = 0;  // bit i: kTrackedFlags[i]
  bool deleted = false;
  std::vector<std::string> keywords = {};  // all of them, upper case
};

FlagList read_flags(const Value& list);

// "\Seen dormouse-load": the tracked flags of `bits`.
std::string write_flags(uint8_t bits);

}  // namespace dormouse::loadtest::stress
