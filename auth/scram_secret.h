#pragma once
// ScramSecret: what a server keeps of a password for SCRAM-SHA-256 (RFC 5802 3, RFC 7677), in
// Dovecot's stored form:
//
//   data = iterations "," salt "," stored-key "," server-key     ; base64, iterations decimal
//
// Deriving one from a password costs `iterations` HMACs: not on an event loop.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace dormouse::auth {

inline constexpr size_t kScramKeyBytes = 32;  // SHA-256

struct ScramSecret {
  uint32_t iterations = 0;
  std::string salt;
  std::array<unsigned char, kScramKeyBytes> stored_key{};
  std::array<unsigned char, kScramKeyBytes> server_key{};

  ScramSecret() = default;
  ScramSecret(const ScramSecret&) = default;
  ScramSecret& operator=(const ScramSecret&) = default;
  ~ScramSecret();

  // nullopt: not of the form above, or a number out of the bounds of limits.h.
  static std::optional<ScramSecret> parse(std::string_view data);
  // nullopt: a password that SASLprep (RFC 4013) forbids.
  static std::optional<ScramSecret> derive(std::string_view password, std::string_view salt,
                                           uint32_t iterations);
  std::string format() const;
  // Whether this is `password`'s secret; the comparison takes the same time either way.
  bool matches(std::string_view password) const;
};

}  // namespace dormouse::auth
