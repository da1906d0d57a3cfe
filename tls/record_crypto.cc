#include "tls/record_crypto.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#include <algorithm>
#include <cstring>

namespace dormouse::tls {
namespace {

constexpr std::array<const char*, 3> kCipherNames = {"AES-128-GCM", "AES-256-GCM",
                                                     "ChaCha20-Poly1305"};
constexpr std::array<const char*, 2> kDigestNames = {"SHA2-256", "SHA2-384"};
constexpr size_t kDigestBytesMax = 48;  // SHA-384
constexpr size_t kBlockBytesMax = 128;  // SHA-384

// OpenSSL's sizes are ints; what we give it is a record at most.
int to_int(size_t size) {
  DORMOUSE_CHECK(size <= size_t{1} << 20, "a record fits an int");
  return static_cast<int>(size);
}

void require(bool ok) { DORMOUSE_CHECK(ok, "libcrypto does what it could do at the start"); }

constexpr size_t index_of(Aead aead) { return static_cast<size_t>(aead); }
constexpr size_t index_of(Digest digest) { return static_cast<size_t>(digest); }

}  // namespace

AeadKey::AeadKey(AeadKey&& other) noexcept : id(other.id), key(other.key), iv(other.iv) {
  other.id = 0;
  OPENSSL_cleanse(other.key.data(), other.key.size());
}

AeadKey& AeadKey::operator=(AeadKey&& other) noexcept {
  if (this != &other) {
    id = other.id;
    key = other.key;
    iv = other.iv;
    other.id = 0;
    OPENSSL_cleanse(other.key.data(), other.key.size());
  }
  return *this;
}

AeadKey::~AeadKey() { OPENSSL_cleanse(key.data(), key.size()); }

Result<RecordCrypto> RecordCrypto::create() {
  RecordCrypto crypto;
  for (size_t i = 0; i < kCipherNames.size(); ++i) {
    AeadObjects& objects = crypto.aeads_[i];
    objects.cipher.reset(EVP_CIPHER_fetch(nullptr, kCipherNames[i], nullptr));
    objects.sealing.ctx.reset(EVP_CIPHER_CTX_new());
    objects.opening.ctx.reset(EVP_CIPHER_CTX_new());
    // The algorithm is set once: with a null cipher later calls only exchange key and nonce.
    if (!objects.cipher || !objects.sealing.ctx || !objects.opening.ctx ||
        EVP_EncryptInit_ex2(objects.sealing.ctx.get(), objects.cipher.get(), nullptr, nullptr,
                            nullptr) != 1 ||
        EVP_DecryptInit_ex2(objects.opening.ctx.get(), objects.cipher.get(), nullptr, nullptr,
                            nullptr) != 1) {
      return fail(ErrorKind::kUnsupported,
                  std::string("libcrypto has no ").append(kCipherNames[i]));
    }
  }
  for (size_t i = 0; i < kDigestNames.size(); ++i) {
    DigestObjects& objects = crypto.digests_[i];
    objects.md.reset(EVP_MD_fetch(nullptr, kDigestNames[i], nullptr));
    objects.ctx.reset(EVP_MD_CTX_new());
    if (!objects.md || !objects.ctx) {
      return fail(ErrorKind::kUnsupported,
                  std::string("libcrypto has no ").append(kDigestNames[i]));
    }
    objects.digest_bytes = static_cast<size_t>(EVP_MD_get_size(objects.md.get()));
    objects.block_bytes = static_cast<size_t>(EVP_MD_get_block_size(objects.md.get()));
    require(objects.digest_bytes <= kDigestBytesMax && objects.block_bytes <= kBlockBytesMax);
  }
  return crypto;
}

// HKDF-Expand of one block is one HMAC, T(1) = HMAC(secret, info || 0x01) (RFC 5869 2.3), and HMAC
// is two digests; written out because an EVP_KDF or EVP_MAC costs several times as much to set up.
void RecordCrypto::expand_label(Digest digest, ByteView secret, std::string_view label,
                                ByteSpan to) {
  constexpr std::string_view kPrefix = "tls13 ";
  DigestObjects& objects = digests_[index_of(digest)];
  require(to.size() <= objects.digest_bytes && secret.size() <= objects.block_bytes);

  // struct { uint16 length; opaque label<7..255>; opaque context<0..255>; } HkdfLabel, then 0x01.
  std::array<std::byte, 32> info{};
  require(label.size() + kPrefix.size() + 5 <= info.size());
  size_t used = 0;
  store_be(&info[used], to.size(), 2);
  used += 2;
  store_be(&info[used++], kPrefix.size() + label.size(), 1);
  for (const std::string_view part : {kPrefix, label}) {
    std::ranges::copy(as_bytes(part), &info[used]);
    used += part.size();
  }
  info[used++] = std::byte{0};  // no context
  info[used++] = std::byte{1};

  std::array<std::byte, kBlockBytesMax> pad{};
  std::array<unsigned char, kDigestBytesMax> mac{};
  EVP_MD_CTX* ctx = objects.ctx.get();
  std::ranges::copy(secret, pad.begin());
  for (std::byte& byte : pad) byte ^= std::byte{0x36};
  require(EVP_DigestInit_ex2(ctx, objects.md.get(), nullptr) == 1 &&
          EVP_DigestUpdate(ctx, pad.data(), objects.block_bytes) == 1 &&
          EVP_DigestUpdate(ctx, info.data(), used) == 1 &&
          EVP_DigestFinal_ex(ctx, mac.data(), nullptr) == 1);
  for (std::byte& byte : pad) byte ^= std::byte{0x36 ^ 0x5c};
  require(EVP_DigestInit_ex2(ctx, objects.md.get(), nullptr) == 1 &&
          EVP_DigestUpdate(ctx, pad.data(), objects.block_bytes) == 1 &&
          EVP_DigestUpdate(ctx, mac.data(), objects.digest_bytes) == 1 &&
          EVP_DigestFinal_ex(ctx, mac.data(), nullptr) == 1);
  std::memcpy(to.data(), mac.data(), to.size());
  OPENSSL_cleanse(pad.data(), pad.size());
  OPENSSL_cleanse(mac.data(), mac.size());
}

AeadKey RecordCrypto::derive(const SuiteInfo& suite, const DirectionKeys& direction) {
  AeadKey key;
  key.id = ++last_key_id_;
  const ByteView material = ByteView(direction.material).first(suite.material_bytes);
  if (suite.version == Version::kTls13) {
    expand_label(suite.digest, material, "key", ByteSpan(key.key).first(suite.key_bytes));
    expand_label(suite.digest, material, "iv", key.iv);
  } else {
    std::ranges::copy(material.first(suite.key_bytes), key.key.begin());
    std::ranges::copy(material.subspan(suite.key_bytes), key.iv.begin());
  }
  return key;
}

void RecordCrypto::update_secret(const SuiteInfo& suite, DirectionKeys& direction) {
  require(suite.version == Version::kTls13);
  std::array<std::byte, kMaterialBytesMax> next{};
  const ByteSpan secret = ByteSpan(next).first(suite.material_bytes);
  expand_label(suite.digest, ByteView(direction.material).first(suite.material_bytes),
               "traffic upd", secret);
  std::ranges::copy(secret, direction.material.begin());
  direction.count = 0;
  OPENSSL_cleanse(next.data(), next.size());
}

void RecordCrypto::seal(Aead aead, const AeadKey& key, ByteView nonce, ByteView aad, ByteView plain,
                        ByteView tail, std::byte* to) {
  Keyed& keyed = aeads_[index_of(aead)].sealing;
  EVP_CIPHER_CTX* ctx = keyed.ctx.get();
  require(key.id != 0 && nonce.size() == kAeadNonceBytes);
  const unsigned char* new_key = keyed.key_id == key.id ? nullptr : octets(ByteView(key.key));
  require(EVP_EncryptInit_ex2(ctx, nullptr, new_key, octets(nonce), nullptr) == 1);
  keyed.key_id = key.id;
  int written = 0;
  require(EVP_EncryptUpdate(ctx, nullptr, &written, octets(aad), to_int(aad.size())) == 1);
  for (const ByteView part : {plain, tail}) {
    if (part.empty()) continue;
    auto* out = reinterpret_cast<unsigned char*>(to);
    require(EVP_EncryptUpdate(ctx, out, &written, octets(part), to_int(part.size())) == 1 &&
            written == to_int(part.size()));
    to += part.size();
  }
  auto* tag = reinterpret_cast<unsigned char*>(to);
  require(EVP_EncryptFinal_ex(ctx, tag, &written) == 1 && written == 0 &&
          EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, kAeadTagBytes, tag) == 1);
}

bool RecordCrypto::open(Aead aead, const AeadKey& key, ByteView nonce, ByteView aad,
                        ByteSpan body) {
  Keyed& keyed = aeads_[index_of(aead)].opening;
  EVP_CIPHER_CTX* ctx = keyed.ctx.get();
  require(key.id != 0 && nonce.size() == kAeadNonceBytes && body.size() >= kAeadTagBytes);
  const unsigned char* new_key = keyed.key_id == key.id ? nullptr : octets(ByteView(key.key));
  require(EVP_DecryptInit_ex2(ctx, nullptr, new_key, octets(nonce), nullptr) == 1);
  keyed.key_id = key.id;
  const ByteSpan text = body.first(body.size() - kAeadTagBytes);
  const ByteSpan tag = body.last(kAeadTagBytes);
  int written = 0;
  require(EVP_DecryptUpdate(ctx, nullptr, &written, octets(aad), to_int(aad.size())) == 1);
  if (!text.empty()) {
    require(EVP_DecryptUpdate(ctx, octets(text), &written, octets(ByteView(text)),
                              to_int(text.size())) == 1 &&
            written == to_int(text.size()));
  }
  std::array<unsigned char, kAeadTagBytes> unused{};
  if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, kAeadTagBytes, octets(tag)) == 1 &&
      EVP_DecryptFinal_ex(ctx, unused.data(), &written) == 1) {
    return true;
  }
  OPENSSL_cleanse(text.data(), text.size());
  return false;
}

}  // namespace dormouse::tls
