#pragma once
// Counting numbers in command text, written shorter: what a client sends is full of numbers that
// follow each other (tags, UIDs), and an LZ77 match ends at each of them. Where a number is the one
// before in its place plus one, a single byte says so, and lines become equal that differed only
// there.
//
//   text    = (literal | escaped | follows)*
//   literal = any byte above 3
//   escaped = 3 byte          the byte itself; for bytes 0 to 3
//   follows = 1 | 2           the last number of this place plus one, minus one
//
// A number is a maximal run of at most kDigitsMax digits; its place is its index in the line, of
// which kPlaces are remembered. Plus one keeps the width of what it follows (09 -> 10, 9 -> 10);
// minus one keeps it only where there is a leading zero (10 -> 9, 010 -> 009).

#include <cstddef>
#include <string>
#include <string_view>

#include "io/result.h"

namespace dormouse::compress {

inline constexpr size_t kDigitsMax = 18;  // fits 64 bits with room for plus one
inline constexpr size_t kPlaces = 8;      // a tag, a UID or two, the numbers in item names

std::string shorten_counters(std::string_view text);
// kInvalid: a number that follows none, an escape without its byte, or a result above `bytes_max`.
Result<std::string> restore_counters(std::string_view shortened, size_t bytes_max);

}  // namespace dormouse::compress
