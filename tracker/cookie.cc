#include "tracker/cookie.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstring>
#include <string>

#include "tracker/little_endian.h"

namespace dormouse::tracker {

Result<CookieKey> CookieKey::create(std::string_view secret) {
  if (secret.size() != kKeyBytes) {
    return fail(ErrorKind::kInvalid, fmt::format("the tracker's secret has {} bytes, expected {}",
                                                 secret.size(), kKeyBytes));
  }
  auto key = std::make_unique<Key>();
  std::memcpy(key->bytes.data(), secret.data(), kKeyBytes);
  CookieKey made(std::move(key));
  // OpenSSL reads its configuration at its first use, which must be before the sandbox.
  made.make("", 0, 0);
  return made;
}

CookieKey::Key::~Key() { OPENSSL_cleanse(bytes.data(), bytes.size()); }

Cookie CookieKey::make(std::string_view user, uint64_t session, uint32_t epoch) const {
  static constexpr std::string_view kLabel("dormouse cookie 1\0", 18);
  std::string input(kLabel);
  append_u64(input, session);
  append_u32(input, epoch);
  input.append(user);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned length = 0;
  const unsigned char* made = HMAC(EVP_sha256(), key_->bytes.data(), int(key_->bytes.size()),
                                   reinterpret_cast<const unsigned char*>(input.data()),
                                   input.size(), digest.data(), &length);
  DORMOUSE_CHECK(made != nullptr && length >= wire::kCookieBytes, "HMAC-SHA256 never fails");
  Cookie cookie;
  std::memcpy(cookie.data(), digest.data(), cookie.size());
  return cookie;
}

bool CookieKey::verify(std::string_view cookie, std::string_view user, uint64_t session,
                       uint32_t epoch) const {
  Cookie expected = make(user, session, epoch);
  return cookie.size() == expected.size() &&
         CRYPTO_memcmp(cookie.data(), expected.data(), expected.size()) == 0;
}

}  // namespace dormouse::tracker
