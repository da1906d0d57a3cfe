#include "hibernate/watch/siphash.h"

#include <endian.h>
#include <sys/random.h>

#include <bit>
#include <cstring>

#include "io/result.h"

namespace dormouse::hibernate {
namespace {

struct State {
  uint64_t v0, v1, v2, v3;
  void round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }
  void absorb(uint64_t word) {
    v3 ^= word;
    round();
    round();
    v0 ^= word;
  }
};

}  // namespace

SipKey SipKey::random() {
  SipKey key;
  ssize_t got = getrandom(&key, sizeof key, 0);
  DORMOUSE_CHECK(got == ssize_t(sizeof key), "getrandom gives 16 bytes at once");
  return key;
}

uint64_t siphash(const SipKey& key, std::string_view bytes) {
  State state{key.low ^ 0x736f6d6570736575, key.high ^ 0x646f72616e646f6d,
              key.low ^ 0x6c7967656e657261, key.high ^ 0x7465646279746573};
  uint64_t last = uint64_t(bytes.size()) << 56;
  for (; bytes.size() >= 8; bytes.remove_prefix(8)) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data(), sizeof word);
    state.absorb(le64toh(word));
  }
  for (size_t i = 0; i < bytes.size(); ++i) {
    last |= uint64_t(static_cast<unsigned char>(bytes[i])) << (8 * i);
  }
  state.absorb(last);
  state.v2 ^= 0xff;
  for (int i = 0; i < 4; ++i) state.round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

}  // namespace dormouse::hibernate
