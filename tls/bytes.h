#pragma once
// The byte types of this room, and big-endian reads and writes as TLS has them on the wire.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace dormouse::tls {

using Bytes = std::vector<std::byte>;
using ByteSpan = std::span<std::byte>;
using ByteView = std::span<const std::byte>;

inline ByteView as_bytes(std::string_view text) { return std::as_bytes(std::span(text)); }
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
// What OpenSSL calls a byte.
inline const unsigned char* octets(ByteView bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
inline unsigned char* octets(ByteSpan bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}
inline void append(Bytes& to, ByteView bytes) { to.insert(to.end(), bytes.begin(), bytes.end()); }

// The `count` (1 to 8) bytes at `from` as a big-endian number.
inline uint64_t load_be(const std::byte* from, size_t count) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i) value = value << 8 | std::to_integer<uint64_t>(from[i]);
  return value;
}
inline void store_be(std::byte* to, uint64_t value, size_t count) {
  for (size_t i = count; i-- > 0; value >>= 8) to[i] = static_cast<std::byte>(value & 0xff);
}

}  // namespace dormouse::tls
