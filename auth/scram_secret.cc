#include "auth/scram_secret.h"

#include <fmt/format.h>
#include <gsasl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <algorithm>
#include <charconv>

#include "auth/limits.h"
#include "imap/syntax/base64.h"
#include "io/result.h"
#include "io/secret.h"

namespace dormouse::auth {
namespace {

using Key = std::array<unsigned char, kScramKeyBytes>;

const unsigned char* octets(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
std::string_view text_of(const Key& key) {
  return {reinterpret_cast<const char*>(key.data()), key.size()};
}

std::optional<io::Secret> prepare(std::string_view password) {
  // SASLprep leaves printable ASCII as it is.
  if (std::all_of(password.begin(), password.end(), [](char c) { return c >= 0x20 && c < 0x7f; })) {
    return io::Secret(password);
  }
  if (password.find('\0') != std::string_view::npos) return std::nullopt;
  io::Secret raw(password);
  char* prepared = nullptr;
  if (gsasl_saslprep(raw.text().c_str(), GSASL_ALLOW_UNASSIGNED, &prepared, nullptr) != GSASL_OK) {
    return std::nullopt;
  }
  io::Secret result{std::string_view(prepared)};
  io::wipe_view(prepared);
  gsasl_free(prepared);
  return result;
}

Key keyed_hash(const Key& key, std::string_view text) {
  Key out{};
  unsigned length = 0;
  const unsigned char* done = HMAC(EVP_sha256(), key.data(), int(key.size()), octets(text),
                                   text.size(), out.data(), &length);
  DORMOUSE_CHECK(done != nullptr && length == out.size(), "HMAC-SHA-256 works");
  return out;
}

bool read_key(std::string_view text, Key& key) {
  auto bytes = imap::base64_decode(text);
  if (!bytes || bytes->size() != key.size()) return false;
  std::copy(bytes->begin(), bytes->end(), key.begin());
  io::wipe(*bytes);
  return true;
}

}  // namespace

ScramSecret::~ScramSecret() {
  OPENSSL_cleanse(stored_key.data(), stored_key.size());
  OPENSSL_cleanse(server_key.data(), server_key.size());
}

std::optional<ScramSecret> ScramSecret::parse(std::string_view data) {
  std::array<std::string_view, 4> fields;
  for (size_t i = 0; i < fields.size(); ++i) {
    const size_t end = data.find(',');
    if ((end == std::string_view::npos) != (i + 1 == fields.size())) return std::nullopt;
    fields[i] = data.substr(0, end);
    if (end != std::string_view::npos) data.remove_prefix(end + 1);
  }
  ScramSecret secret;
  const char* stop = fields[0].data() + fields[0].size();
  auto [end, error] = std::from_chars(fields[0].data(), stop, secret.iterations);
  if (error != std::errc() || end != stop || secret.iterations < kScramIterationsMin ||
      secret.iterations > kScramIterationsMax) {
    return std::nullopt;
  }
  auto salt = imap::base64_decode(fields[1]);
  if (!salt || salt->empty() || salt->size() > kScramSaltBytesMax) return std::nullopt;
  secret.salt = *std::move(salt);
  if (!read_key(fields[2], secret.stored_key)) return std::nullopt;
  if (!read_key(fields[3], secret.server_key)) return std::nullopt;
  return secret;
}

std::optional<ScramSecret> ScramSecret::derive(std::string_view password, std::string_view salt,
                                               uint32_t iterations) {
  auto prepared = prepare(password);
  if (!prepared) return std::nullopt;
  Key salted{};
  const int derived = PKCS5_PBKDF2_HMAC(prepared->text().data(), int(prepared->size()),
                                        octets(salt), int(salt.size()), int(iterations),
                                        EVP_sha256(), int(salted.size()), salted.data());
  DORMOUSE_CHECK(derived == 1, "PBKDF2 works");
  ScramSecret secret;
  secret.iterations = iterations;
  secret.salt = salt;
  Key client_key = keyed_hash(salted, "Client Key");
  SHA256(client_key.data(), client_key.size(), secret.stored_key.data());
  secret.server_key = keyed_hash(salted, "Server Key");
  OPENSSL_cleanse(client_key.data(), client_key.size());
  OPENSSL_cleanse(salted.data(), salted.size());
  return secret;
}

std::string ScramSecret::format() const {
  return fmt::format("{},{},{},{}", iterations, imap::base64_encode(salt),
                     imap::base64_encode(text_of(stored_key)),
                     imap::base64_encode(text_of(server_key)));
}

bool ScramSecret::matches(std::string_view password) const {
  auto other = derive(password, salt, iterations);
  return other && CRYPTO_memcmp(other->stored_key.data(), stored_key.data(), kScramKeyBytes) == 0;
}

}  // namespace dormouse::auth
