#pragma once
// Keys and forged records for tests, fuzz targets and benchmarks.

#include <algorithm>
#include <utility>

#include "tls/record.h"
#include "tls/record_format.h"

namespace dormouse::tls::test {

inline RecordCrypto make_crypto() {
  Result<RecordCrypto> crypto = RecordCrypto::create();
  DORMOUSE_CHECK(crypto, "libcrypto has our algorithms");
  return std::move(*crypto);
}

// Keys of a suite; those of the client and of the server fit each other.
inline SessionKeys make_keys(Suite suite, bool client) {
  SessionKeys keys;
  keys.suite = suite;
  keys.client = client;
  for (size_t i = 0; i < keys.info().material_bytes; ++i) {
    keys.send.material[i] = static_cast<std::byte>(i + (client ? 1 : 101));
    keys.receive.material[i] = static_cast<std::byte>(i + (client ? 101 : 1));
  }
  return keys;
}

// Seals records of any type and contents as a hostile peer with the right keys would. It writes the
// formats of RFC 8446 5.2 and RFC 5246 6.2.3.3 a second time, so that the engine's is not its own
// judge.
class Forger {
 public:
  explicit Forger(SessionKeys keys) : crypto_(make_crypto()), keys_(std::move(keys)) {}

  Bytes record(uint8_t type, ByteView plain, size_t padding_bytes = 0) {
    const SuiteInfo& suite = keys_.info();
    const AeadKey key = crypto_.derive(suite, keys_.send);
    const bool tls13 = suite.version == Version::kTls13;
    const bool gcm12 = !tls13 && suite.aead != Aead::kChacha20Poly1305;
    const uint64_t number = keys_.send.count++;
    Bytes nonce(key.iv.begin(), key.iv.end());
    Bytes count(8);
    store_be(count.data(), number, 8);
    for (size_t i = 0; i < 8; ++i) nonce[4 + i] = gcm12 ? count[i] : nonce[4 + i] ^ count[i];
    Bytes inner(plain.begin(), plain.end());
    if (tls13) {
      inner.push_back(std::byte{type});
      inner.resize(inner.size() + padding_bytes);
    }
    const size_t prefix = gcm12 ? 8 : 0;
    Bytes record(5 + prefix + inner.size() + kAeadTagBytes);
    record[0] = std::byte{tls13 ? kRecordApplicationData : type};
    store_be(&record[1], 0x0303, 2);
    store_be(&record[3], record.size() - 5, 2);
    Bytes aad(record.begin(), record.begin() + 5);
    if (!tls13) {
      aad = count;
      append(aad, ByteView(record).first(3));
      aad.resize(13);
      store_be(&aad[11], inner.size(), 2);
    }
    std::copy_n(count.begin(), prefix, record.begin() + 5);
    crypto_.seal(suite.aead, key, nonce, aad, inner, {}, &record[5 + prefix]);
    return record;
  }
  void update_keys() { crypto_.update_secret(keys_.info(), keys_.send); }

 private:
  RecordCrypto crypto_;
  SessionKeys keys_;
};

}  // namespace dormouse::tls::test
