#include "auth/success_cache.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <algorithm>

namespace dormouse::auth {

void SuccessCache::FreeMac::operator()(EVP_MAC_CTX* mac) const { EVP_MAC_CTX_free(mac); }

Result<SuccessCache> SuccessCache::create(size_t entries_max, uint64_t ttl_ms) {
  std::array<unsigned char, 32> key{};
  if (RAND_bytes(key.data(), int(key.size())) != 1) {
    return fail(ErrorKind::kSystem, "no random bytes for the cache's key");
  }
  EVP_MAC* algorithm = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  if (algorithm == nullptr) return fail(ErrorKind::kUnsupported, "libcrypto without HMAC");
  SuccessCache cache;
  cache.mac_.reset(EVP_MAC_CTX_new(algorithm));
  EVP_MAC_free(algorithm);
  char name[] = "SHA256";
  const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
                                   OSSL_PARAM_construct_end()};
  const int keyed = EVP_MAC_init(cache.mac_.get(), key.data(), key.size(), parameters);
  OPENSSL_cleanse(key.data(), key.size());
  if (keyed != 1) return fail(ErrorKind::kUnsupported, "libcrypto without HMAC-SHA-256");
  cache.resize(entries_max, ttl_ms);
  return cache;
}

SuccessCache::Digest SuccessCache::digest(std::string_view user, std::string_view password) const {
  std::unique_ptr<EVP_MAC_CTX, FreeMac> mac(EVP_MAC_CTX_dup(mac_.get()));
  std::array<unsigned char, 32> full{};
  size_t length = 0;
  const uint64_t user_bytes = user.size();  // so that no two pairs give the same text
  const auto octets = [](const void* at) { return static_cast<const unsigned char*>(at); };
  const bool done = mac && EVP_MAC_update(mac.get(), octets(&user_bytes), sizeof user_bytes) == 1 &&
                    EVP_MAC_update(mac.get(), octets(user.data()), user.size()) == 1 &&
                    EVP_MAC_update(mac.get(), octets(password.data()), password.size()) == 1 &&
                    EVP_MAC_final(mac.get(), full.data(), &length, full.size()) == 1;
  DORMOUSE_CHECK(done && length == full.size(), "HMAC-SHA-256 works");
  Digest digest;
  std::copy_n(full.begin(), digest.size(), digest.begin());
  return digest;
}

bool SuccessCache::contains(const Digest& digest, uint64_t now_ms) const {
  auto found = due_ms_.find(digest);
  return found != due_ms_.end() && now_ms < found->second;
}

void SuccessCache::insert(const Digest& digest, uint64_t now_ms) {
  if (entries_max_ == 0) return;
  // What is there keeps its time and its place: order_ and due_ms_ hold the same entries.
  if (auto found = due_ms_.find(digest); found != due_ms_.end()) {
    if (now_ms >= found->second) found->second = now_ms + ttl_ms_;
    return;
  }
  if (order_.size() < entries_max_) {
    order_.push_back(digest);
  } else {
    due_ms_.erase(order_[head_]);
    order_[head_] = digest;
    head_ = (head_ + 1) % order_.size();
  }
  due_ms_.emplace(digest, now_ms + ttl_ms_);
}

void SuccessCache::clear() {
  due_ms_.clear();
  order_.clear();
  head_ = 0;
}

void SuccessCache::resize(size_t entries_max, uint64_t ttl_ms) {
  clear();
  entries_max_ = entries_max;
  ttl_ms_ = ttl_ms;
}

}  // namespace dormouse::auth
