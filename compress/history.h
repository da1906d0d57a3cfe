#pragma once
// An input history (the last 32 KiB that an inflater gave out), packed to be kept: counting numbers
// shortened (counters.h), then raw deflate with the preset dictionary (dictionary.h).
//
//   packed = form[1] dictionary[1] deflate-stream
//   form   = 0: the history as it is, 1: in the form of counters.h
//
// An empty history is packed as nothing.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "compress/zlib_streams.h"
#include "io/result.h"

namespace dormouse::compress {

inline constexpr size_t kWindowBytes = 32 * 1024;  // RFC 1951 section 2
// What does not shrink goes into stored blocks, with 5 bytes each; zlib ends a block after 4,095
// symbols at the soonest (memLevel 6), which makes 45 bytes; form and dictionary, 2; rounded up.
inline constexpr size_t kPackedBytesMax = kWindowBytes + 256;

// `history` is at most kWindowBytes. kUnavailable: no memory.
Result<Bytes> pack_history(std::string_view history);
// kInvalid: not what pack_history() writes, or more than kWindowBytes. kUnsupported: a dictionary
// that this release does not have.
Result<std::string> unpack_history(std::span<const std::byte> packed);

}  // namespace dormouse::compress
