#include "auth/password_scheme.h"

#include <argon2.h>
#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>
#include <strings.h>

#include <array>
#include <memory>
#include <string>

#include "auth/limits.h"
#include "auth/scram_secret.h"
#include "io/secret.h"

namespace dormouse::auth {
namespace {

struct SchemeName {
  std::string_view name;
  Scheme scheme;
  std::string_view prefix;  // what its data begins with, for those of crypt(3)
};

constexpr std::array<SchemeName, 11> kSchemes = {{
    {"PLAIN", Scheme::kPlain, ""},
    {"CLEARTEXT", Scheme::kPlain, ""},
    {"CRYPT", Scheme::kCrypt, ""},
    {"SHA512-CRYPT", Scheme::kSha512Crypt, "$6$"},
    {"SHA256-CRYPT", Scheme::kSha256Crypt, "$5$"},
    {"MD5-CRYPT", Scheme::kMd5Crypt, "$1$"},
    {"BLF-CRYPT", Scheme::kBlfCrypt, "$2"},
    {"YESCRYPT", Scheme::kYescrypt, "$y$"},
    {"ARGON2ID", Scheme::kArgon2id, ""},
    {"ARGON2I", Scheme::kArgon2i, ""},
    {"SCRAM-SHA-256", Scheme::kScramSha256, ""},
}};

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

PasswordCheck check_plain(std::string_view stored, std::string_view password) {
  // Digests, so that neither the length nor the place of a difference shows.
  std::array<unsigned char, SHA256_DIGEST_LENGTH> a{}, b{};
  SHA256(reinterpret_cast<const unsigned char*>(stored.data()), stored.size(), a.data());
  SHA256(reinterpret_cast<const unsigned char*>(password.data()), password.size(), b.data());
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0 ? PasswordCheck::kMatch
                                                          : PasswordCheck::kMismatch;
}

PasswordCheck check_crypt(const SchemeName& scheme, std::string_view stored,
                          std::string_view password) {
  if (!stored.starts_with(scheme.prefix)) return PasswordCheck::kUnusable;
  if (password.size() >= CRYPT_MAX_PASSPHRASE_SIZE) return PasswordCheck::kMismatch;
  io::Secret phrase(password);
  io::Secret setting(stored);
  auto data = std::make_unique<crypt_data>();  // 32 KiB: too much for a thread's stack
  const char* hash =
      crypt_rn(phrase.text().c_str(), setting.text().c_str(), data.get(), int(sizeof(crypt_data)));
  PasswordCheck result = PasswordCheck::kUnusable;
  if (hash != nullptr) {
    const std::string_view computed(hash);
    result = computed.size() == stored.size() &&
                     CRYPTO_memcmp(computed.data(), stored.data(), stored.size()) == 0
                 ? PasswordCheck::kMatch
                 : PasswordCheck::kMismatch;
  }
  ::explicit_bzero(data.get(), sizeof(crypt_data));
  return result;
}

PasswordCheck check_argon2(argon2_type type, std::string_view stored, std::string_view password) {
  io::Secret encoded(stored);
  const int result = argon2_verify(encoded.text().c_str(), password.data(), password.size(), type);
  if (result == ARGON2_OK) return PasswordCheck::kMatch;
  return result == ARGON2_VERIFY_MISMATCH ? PasswordCheck::kMismatch : PasswordCheck::kUnusable;
}

PasswordCheck check_scram(std::string_view stored, std::string_view password) {
  auto secret = ScramSecret::parse(stored);
  if (!secret) return PasswordCheck::kUnusable;
  return secret->matches(password) ? PasswordCheck::kMatch : PasswordCheck::kMismatch;
}

const SchemeName& name_of(Scheme scheme) {
  for (const SchemeName& known : kSchemes) {
    if (known.scheme == scheme) return known;
  }
  return kSchemes.front();
}

}  // namespace

std::optional<Scheme> find_scheme(std::string_view name) {
  for (const SchemeName& known : kSchemes) {
    if (same_name(known.name, name)) return known.scheme;
  }
  return std::nullopt;
}

std::optional<StoredPassword> split_stored(std::string_view stored, Scheme default_scheme) {
  if (!stored.starts_with('{')) return StoredPassword{default_scheme, stored};
  const size_t end = stored.find('}');
  if (end == std::string_view::npos) return std::nullopt;
  auto scheme = find_scheme(stored.substr(1, end - 1));
  if (!scheme) return std::nullopt;
  return StoredPassword{*scheme, stored.substr(end + 1)};
}

bool scheme_is_known(std::string_view stored) {
  return split_stored(stored, Scheme::kPlain).has_value();
}

PasswordCheck check_password(const StoredPassword& stored, std::string_view password) {
  if (password.size() > kPasswordBytesMax || password.find('\0') != std::string_view::npos) {
    return PasswordCheck::kMismatch;
  }
  if (stored.data.empty()) return PasswordCheck::kMismatch;
  switch (stored.scheme) {
    case Scheme::kPlain:
      return check_plain(stored.data, password);
    case Scheme::kCrypt:
    case Scheme::kSha512Crypt:
    case Scheme::kSha256Crypt:
    case Scheme::kMd5Crypt:
    case Scheme::kBlfCrypt:
    case Scheme::kYescrypt:
      return check_crypt(name_of(stored.scheme), stored.data, password);
    case Scheme::kArgon2id:
      return check_argon2(Argon2_id, stored.data, password);
    case Scheme::kArgon2i:
      return check_argon2(Argon2_i, stored.data, password);
    case Scheme::kScramSha256:
      return check_scram(stored.data, password);
  }
  return PasswordCheck::kUnusable;
}

}  // namespace dormouse::auth
