#pragma once
// CookieKey: proves that a session was authenticated, without the tracker keeping anything for it.
// cookie = the first 128 bits of HMAC-SHA256(key, "dormouse cookie 1" . 0 . session (8, little
// endian) . epoch (4, little endian) . user). The user's name comes last, so that no two inputs
// share an encoding. Raising the user's epoch (epoch_log.h) makes all former cookies worthless.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "io/result.h"
#include "wire/validate.h"

namespace dormouse::tracker {

using Cookie = std::array<char, wire::kCookieBytes>;

class CookieKey {
 public:
  static constexpr size_t kKeyBytes = 32;  // SHA-256's own strength; more would be hashed down

  // `secret` is copied; kInvalid when it is not kKeyBytes long.
  static Result<CookieKey> create(std::string_view secret);
  CookieKey(CookieKey&&) noexcept = default;
  CookieKey& operator=(CookieKey&&) noexcept = default;

  Cookie make(std::string_view user, uint64_t session, uint32_t epoch) const;
  // In time that does not depend on where the two differ.
  bool verify(std::string_view cookie, std::string_view user, uint64_t session,
              uint32_t epoch) const;

 private:
  struct Key {
    std::array<unsigned char, kKeyBytes> bytes;
    ~Key();  // wipes
  };
  explicit CookieKey(std::unique_ptr<Key> key) : key_(std::move(key)) {}
  std::unique_ptr<Key> key_;
};

}  // namespace dormouse::tracker
