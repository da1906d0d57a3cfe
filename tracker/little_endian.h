#pragma once
// Fixed-width numbers in formats of ours, least significant byte first.

#include <cstdint>
#include <string>

namespace dormouse::tracker {

inline void append_u32(std::string& out, uint32_t value) {
  for (int i = 0; i < 4; ++i) out.push_back(char(value >> (8 * i)));
}

inline void append_u64(std::string& out, uint64_t value) {
  for (int i = 0; i < 8; ++i) out.push_back(char(value >> (8 * i)));
}

inline uint64_t read_le(const char* bytes, int count) {
  uint64_t value = 0;
  for (int i = count - 1; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

}  // namespace dormouse::tracker
