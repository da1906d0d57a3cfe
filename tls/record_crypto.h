#pragma once
// RecordCrypto: the OpenSSL objects that all record engines of one thread share: the algorithms,
// fetched once, and one cipher context for each AEAD and direction, which is given a new key when
// another session's turn comes. So an engine holds no OpenSSL object of its own.
//
// A role creates one per event loop and hands it to every engine, which borrows it: it must outlive
// them. Not for use by two threads at once.

#include <openssl/evp.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "io/result.h"
#include "tls/session_keys.h"

namespace dormouse::tls {

inline constexpr size_t kAeadTagBytes = 16;    // all our AEADs (RFC 5116, RFC 8439)
inline constexpr size_t kAeadNonceBytes = 12;  // all our AEADs
inline constexpr size_t kAeadKeyBytesMax = 32;

// Key and nonce mask of one direction, as the AEAD takes them. `id` is unique in its RecordCrypto
// and tells which key a context holds; 0 is none. Wiped when destroyed.
struct AeadKey {
  uint64_t id = 0;
  std::array<std::byte, kAeadKeyBytesMax> key{};
  std::array<std::byte, kAeadNonceBytes> iv{};

  AeadKey() = default;
  AeadKey(AeadKey&& other) noexcept;
  AeadKey& operator=(AeadKey&& other) noexcept;
  AeadKey(const AeadKey&) = delete;
  AeadKey& operator=(const AeadKey&) = delete;
  ~AeadKey();
};

class RecordCrypto {
 public:
  // kUnsupported when this libcrypto lacks an algorithm.
  static Result<RecordCrypto> create();
  RecordCrypto(RecordCrypto&&) noexcept = default;
  RecordCrypto& operator=(RecordCrypto&&) noexcept = default;

  // Key and nonce mask out of one direction's material (RFC 8446 7.3; RFC 5288, RFC 7905).
  AeadKey derive(const SuiteInfo& suite, const DirectionKeys& direction);
  // The next generation of a TLS 1.3 traffic secret (RFC 8446 7.2), in place; the counter restarts.
  void update_secret(const SuiteInfo& suite, DirectionKeys& direction);

  // Encrypts plain || tail (tail: the TLS 1.3 content type, or nothing) to `to`, which has room for
  // both and the tag.
  void seal(Aead aead, const AeadKey& key, ByteView nonce, ByteView aad, ByteView plain,
            ByteView tail, std::byte* to);
  // Decrypts `body` (ciphertext then tag) in place. False when the tag does not fit; the body is
  // wiped then.
  [[nodiscard]] bool open(Aead aead, const AeadKey& key, ByteView nonce, ByteView aad,
                          ByteSpan body);

 private:
  struct FreeCipher {
    void operator()(EVP_CIPHER* cipher) const { EVP_CIPHER_free(cipher); }
  };
  struct FreeCipherCtx {
    void operator()(EVP_CIPHER_CTX* ctx) const { EVP_CIPHER_CTX_free(ctx); }
  };
  struct FreeMd {
    void operator()(EVP_MD* md) const { EVP_MD_free(md); }
  };
  struct FreeMdCtx {
    void operator()(EVP_MD_CTX* ctx) const { EVP_MD_CTX_free(ctx); }
  };
  // A cipher context and the id of the key that it was last given.
  struct Keyed {
    std::unique_ptr<EVP_CIPHER_CTX, FreeCipherCtx> ctx;
    uint64_t key_id = 0;
  };
  struct AeadObjects {
    std::unique_ptr<EVP_CIPHER, FreeCipher> cipher;
    Keyed sealing;
    Keyed opening;
  };
  struct DigestObjects {
    std::unique_ptr<EVP_MD, FreeMd> md;
    std::unique_ptr<EVP_MD_CTX, FreeMdCtx> ctx;
    size_t digest_bytes = 0;
    size_t block_bytes = 0;
  };

  RecordCrypto() = default;
  // HKDF-Expand-Label(secret, label, "", to.size()) of RFC 8446 7.1; `to` is one digest at most.
  void expand_label(Digest digest, ByteView secret, std::string_view label, ByteSpan to);

  std::array<AeadObjects, 3> aeads_;      // by enum Aead
  std::array<DigestObjects, 2> digests_;  // by enum Digest
  uint64_t last_key_id_ = 0;
};

}  // namespace dormouse::tls
