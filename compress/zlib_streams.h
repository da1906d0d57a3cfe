#pragma once
// Owners of zlib's two stream kinds. zlib's state points back at its z_stream, so that one lies on
// the heap and never moves; null: no state, no memory.

#include <zlib.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace dormouse::compress {

using Bytes = std::vector<std::byte>;

struct DeflateEnd {
  void operator()(z_stream* stream) const;
};
struct InflateEnd {
  void operator()(z_stream* stream) const;
};
using DeflateState = std::unique_ptr<z_stream, DeflateEnd>;
using InflateState = std::unique_ptr<z_stream, InflateEnd>;

// Raw deflate (no zlib header: RFC 4978 section 4). Null: no memory.
DeflateState make_deflate(int level, int window_bits, int mem_level);
// Raw, window of 32 KiB. Null: no memory.
InflateState make_inflate();

// What zlib calls a byte. It writes through none of its inputs.
inline Bytef* octets(std::span<const std::byte> bytes) {
  return reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data()));
}
inline Bytef* octets(std::string_view text) { return octets(std::as_bytes(std::span(text))); }

}  // namespace dormouse::compress
