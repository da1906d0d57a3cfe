#pragma once
// Password schemes of a passwd-file: "{SCHEME}data", or data alone, which is of the default scheme.
//
//   PLAIN, CLEARTEXT           the password itself
//   CRYPT                      whatever crypt(3) knows, yescrypt ("$y$") among it
//   SHA512-CRYPT, SHA256-CRYPT, MD5-CRYPT, BLF-CRYPT, YESCRYPT
//                              crypt(3) with the prefix that the name says
//   ARGON2ID, ARGON2I          "$argon2id$v=19$m=...$..."
//   SCRAM-SHA-256              scram_secret.h
//
// Checking is what a hash is made for: slow. Never on an event loop.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace dormouse::auth {

enum class Scheme : uint8_t {
  kPlain,
  kCrypt,
  kSha512Crypt,
  kSha256Crypt,
  kMd5Crypt,
  kBlfCrypt,
  kYescrypt,
  kArgon2id,
  kArgon2i,
  kScramSha256,
};

inline constexpr size_t kSchemeCount = size_t(Scheme::kScramSha256) + 1;

// By name, without regard to case; nullopt: unknown.
std::optional<Scheme> find_scheme(std::string_view name);

struct StoredPassword {
  Scheme scheme = Scheme::kPlain;
  std::string_view data;
};

// nullopt: names an unknown scheme.
std::optional<StoredPassword> split_stored(std::string_view stored, Scheme default_scheme);
// Whether split_stored() would know the scheme.
bool scheme_is_known(std::string_view stored);

enum class PasswordCheck : uint8_t {
  kMatch,
  kMismatch,
  kUnusable,  // the stored data is broken, or the hash could not be computed (memory)
};

// Compares without telling by its time how much was right. A stored form without data fits nothing.
PasswordCheck check_password(const StoredPassword& stored, std::string_view password);

}  // namespace dormouse::auth
