#pragma once
// SuccessCache: passwords that were right a short while ago, so that a client that comes back does
// not cost a hash again. It keeps no password: an entry is 16 bytes of HMAC-SHA-256 over user and
// password under a key that never leaves the process. Failures are never kept.
//
// Entries leave in the order they came: after ttl_ms, or when the bound is reached. An engine of
// one thread.

#include <openssl/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "io/result.h"

namespace dormouse::auth {

class SuccessCache {
 public:
  using Digest = std::array<unsigned char, 16>;

  // `entries_max` 0: nothing is ever kept. kSystem when there are no random bytes.
  static Result<SuccessCache> create(size_t entries_max, uint64_t ttl_ms);
  SuccessCache(SuccessCache&&) noexcept = default;
  SuccessCache& operator=(SuccessCache&&) noexcept = default;

  Digest digest(std::string_view user, std::string_view password) const;
  bool contains(const Digest& digest, uint64_t now_ms) const;
  void insert(const Digest& digest, uint64_t now_ms);
  void clear();
  // Other bounds; clears.
  void resize(size_t entries_max, uint64_t ttl_ms);
  size_t size() const { return due_ms_.size(); }

 private:
  struct Hash {
    size_t operator()(const Digest& digest) const {
      size_t value = 0;
      std::memcpy(&value, digest.data(), sizeof value);
      return value;
    }
  };
  struct FreeMac {
    void operator()(EVP_MAC_CTX* mac) const;
  };
  SuccessCache() = default;

  std::unique_ptr<EVP_MAC_CTX, FreeMac> mac_;  // keyed; duplicated for each digest
  size_t entries_max_ = 0;
  uint64_t ttl_ms_ = 0;
  std::unordered_map<Digest, uint64_t, Hash> due_ms_;
  std::vector<Digest> order_;  // a ring of entries_max_, the oldest at head_
  size_t head_ = 0;
};

}  // namespace dormouse::auth
