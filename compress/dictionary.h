#pragma once
// What IMAP clients say, as a preset dictionary for frozen input histories (history.h).

#include <cstdint>
#include <string_view>

namespace dormouse::compress {

inline constexpr uint8_t kDictionaryNow = 1;

// Text of one version, in the form of counters.h; empty: unknown. A version never changes once
// released: records that were frozen with it would be lost. A better text is a new version.
std::string_view dictionary(uint8_t version);

}  // namespace dormouse::compress
