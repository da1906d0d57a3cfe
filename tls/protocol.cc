#include "tls/protocol.h"

#include <openssl/ssl.h>

#include <string>

#include "tls/openssl_util.h"

namespace dormouse::tls {
namespace {

struct SuiteNames {
  Suite suite;
  const char* names;  // OpenSSL's
};

// In the order of our preference, which is the server's choice: AES-128 before AES-256, for it is
// faster and a parked session's keys are smaller. OpenSSL moves ChaCha20 to the front for clients
// that put it first themselves (they have no AES instructions).
constexpr SuiteNames kTls13Names[] = {
    {Suite::kTls13Aes128Gcm, "TLS_AES_128_GCM_SHA256"},
    {Suite::kTls13Chacha20Poly1305, "TLS_CHACHA20_POLY1305_SHA256"},
    {Suite::kTls13Aes256Gcm, "TLS_AES_256_GCM_SHA384"},
};
constexpr SuiteNames kTls12Names[] = {
    {Suite::kTls12Aes128Gcm, "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"},
    {Suite::kTls12Chacha20Poly1305, "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"},
    {Suite::kTls12Aes256Gcm, "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"},
};

template <size_t kCount>
std::string join(const SuiteNames (&suites)[kCount], std::optional<Suite> only) {
  std::string joined;
  for (const SuiteNames& entry : suites) {
    if (only && *only != entry.suite) continue;
    if (!joined.empty()) joined += ':';
    joined += entry.names;
  }
  return joined;
}

int openssl_version(Version version) {
  return version == Version::kTls12 ? TLS1_2_VERSION : TLS1_3_VERSION;
}

}  // namespace

Result<> set_protocol(SSL_CTX* ctx, Version version_min, Version version_max,
                      std::optional<Suite> only) {
  if (version_min > version_max) {
    return fail(ErrorKind::kInvalid, "TLS version minimum is above the maximum");
  }
  SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(ctx, 0);  // what comes behind the handshake must stay ciphertext
  const std::string tls13 = join(kTls13Names, only);
  const std::string tls12 = join(kTls12Names, only);
  if (SSL_CTX_set_min_proto_version(ctx, openssl_version(version_min)) != 1 ||
      SSL_CTX_set_max_proto_version(ctx, openssl_version(version_max)) != 1 ||
      (!tls13.empty() && SSL_CTX_set_ciphersuites(ctx, tls13.c_str()) != 1) ||
      (!tls12.empty() && SSL_CTX_set_cipher_list(ctx, tls12.c_str()) != 1)) {
    return fail(ErrorKind::kUnsupported, take_openssl_error("TLS settings refused"));
  }
  return {};
}

}  // namespace dormouse::tls
