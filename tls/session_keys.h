#pragma once
// SessionKeys: everything that is left of a TLS session once its handshake is over, and its frozen
// form, the bytes that a parked session keeps. docs/tls-records.md shows the format.
//
// Frozen form (all of it is secret; numbers are in the machine's byte order, since the bytes never
// leave it except towards a process of the same build family):
//
//   frozen   = format suite flags limits partial[4] send_count[8] receive_count[8] send receive
//   format   = 0xD1                  one byte: this layout
//   suite    = one byte, enum Suite
//   flags    = one byte: bit 0 client, 1 nonce_high, 2 close_sent, 3 close_received,
//                        4-7 idle_records
//   limits   = one byte: bits 0-2 bytes in `partial` (0-4), bits 3-5 fragment_code (0-4), 6-7 zero
//   partial  = start of a post-handshake message whose rest has not come yet; unused bytes are zero
//   send, receive = TLS 1.3: traffic secret (32 or 48 bytes)
//                   TLS 1.2: key (16 or 32 bytes), then the implicit nonce (4 or 12 bytes)
//
// The two record counters stand at fixed offsets, so FrozenKeys can advance them in place.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "io/result.h"
#include "tls/bytes.h"

namespace dormouse::tls {

enum class Version : uint8_t { kTls12, kTls13 };
enum class Aead : uint8_t { kAes128Gcm, kAes256Gcm, kChacha20Poly1305 };
enum class Digest : uint8_t { kSha256, kSha384 };

// The suites whose records we can carry on. Of the TLS 1.2 suites only the AEAD matters by now:
// ECDHE-ECDSA and ECDHE-RSA have the same records. The numbers are part of the frozen format.
enum class Suite : uint8_t {
  kTls13Aes128Gcm = 1,         // TLS_AES_128_GCM_SHA256
  kTls13Aes256Gcm = 2,         // TLS_AES_256_GCM_SHA384
  kTls13Chacha20Poly1305 = 3,  // TLS_CHACHA20_POLY1305_SHA256
  kTls12Aes128Gcm = 4,         // TLS_ECDHE_*_WITH_AES_128_GCM_SHA256 (RFC 5289)
  kTls12Aes256Gcm = 5,         // TLS_ECDHE_*_WITH_AES_256_GCM_SHA384 (RFC 5289)
  kTls12Chacha20Poly1305 = 6,  // TLS_ECDHE_*_WITH_CHACHA20_POLY1305_SHA256 (RFC 7905)
};

// What a suite fixes. `material_bytes` is what one direction keeps: see `send` above.
struct SuiteInfo {
  Suite suite;
  Version version;
  Aead aead;
  Digest digest;
  uint8_t key_bytes;
  uint8_t fixed_iv_bytes;  // 1.3: the whole nonce mask, derived; 1.2: the implicit part, kept
  uint8_t material_bytes;
  std::string_view name;
};

inline constexpr std::array<SuiteInfo, 6> kSuites = {{
    {Suite::kTls13Aes128Gcm, Version::kTls13, Aead::kAes128Gcm, Digest::kSha256, 16, 12, 32,
     "TLSv1.3 AES-128-GCM"},
    {Suite::kTls13Aes256Gcm, Version::kTls13, Aead::kAes256Gcm, Digest::kSha384, 32, 12, 48,
     "TLSv1.3 AES-256-GCM"},
    {Suite::kTls13Chacha20Poly1305, Version::kTls13, Aead::kChacha20Poly1305, Digest::kSha256, 32,
     12, 32, "TLSv1.3 CHACHA20-POLY1305"},
    {Suite::kTls12Aes128Gcm, Version::kTls12, Aead::kAes128Gcm, Digest::kSha256, 16, 4, 20,
     "TLSv1.2 AES-128-GCM"},
    {Suite::kTls12Aes256Gcm, Version::kTls12, Aead::kAes256Gcm, Digest::kSha384, 32, 4, 36,
     "TLSv1.2 AES-256-GCM"},
    {Suite::kTls12Chacha20Poly1305, Version::kTls12, Aead::kChacha20Poly1305, Digest::kSha256, 32,
     12, 44, "TLSv1.2 CHACHA20-POLY1305"},
}};

// The entry of `suite`, or null when the number names none.
constexpr const SuiteInfo* find_suite(uint8_t suite) {
  for (const SuiteInfo& info : kSuites) {
    if (static_cast<uint8_t>(info.suite) == suite) return &info;
  }
  return nullptr;
}

inline constexpr size_t kFrozenHeaderBytes = 8;
inline constexpr size_t kSendCountOffset = kFrozenHeaderBytes;
inline constexpr size_t kReceiveCountOffset = kSendCountOffset + sizeof(uint64_t);
inline constexpr size_t kMaterialOffset = kReceiveCountOffset + sizeof(uint64_t);
inline constexpr size_t kMaterialBytesMax = 48;  // SHA-384 secret: the longest in kSuites
inline constexpr size_t kFrozenBytesMax = kMaterialOffset + 2 * kMaterialBytesMax;

constexpr size_t frozen_bytes(const SuiteInfo& suite) {
  return kMaterialOffset + size_t{2} * suite.material_bytes;
}
static_assert(frozen_bytes(*find_suite(1)) == 88, "the parked record counts on it");
static_assert(frozen_bytes(*find_suite(2)) == 120 && kFrozenBytesMax == 120);
static_assert(frozen_bytes(*find_suite(3)) == 88);
static_assert(frozen_bytes(*find_suite(4)) == 64);
static_assert(frozen_bytes(*find_suite(5)) == 96);
static_assert(frozen_bytes(*find_suite(6)) == 112);

// No counter ever passes this: at 10^9 records a second it takes 36 years, and adding a 32-bit
// number to it cannot wrap. A frozen counter above it is a broken record.
inline constexpr uint64_t kRecordCountMax = uint64_t{1} << 60;

// TLS 1.3 sends its own KeyUpdate after this many records. RFC 8446 5.5 lets AES-GCM protect
// 2^24.5 full-sized records; ChaCha20 has no such limit, but one rule is enough.
inline constexpr uint64_t kKeyUpdateAfterRecords = uint64_t{1} << 24;
// A parked session only counts in place, which cannot change keys. It may go on to here, still
// below 2^24.5 = 23,726,566: 6 million records of margin, 22 years of a keepalive every 2 minutes.
inline constexpr uint64_t kParkedRecordsMax = 23'000'000;

// Consecutive records without application data (empty, warnings, KeyUpdate, tickets, refused
// renegotiations) that a peer may send; 15 fits the four bits of the frozen form. Honest peers
// send two tickets in a row, or a warning before close_notify.
inline constexpr uint8_t kIdleRecordsMax = 15;

// One direction: its record counter (records done so far, so also the next record's number) and
// `material_bytes` of secret. Wiped when destroyed or moved from.
struct DirectionKeys {
  uint64_t count = 0;
  std::array<std::byte, kMaterialBytesMax> material{};

  DirectionKeys() = default;
  DirectionKeys(DirectionKeys&& other) noexcept;
  DirectionKeys& operator=(DirectionKeys&& other) noexcept;
  DirectionKeys(const DirectionKeys&) = delete;
  DirectionKeys& operator=(const DirectionKeys&) = delete;
  ~DirectionKeys();
};

// The keys of a session after its handshake, seen from our side: `send` is ours.
// Everything that the record engine must remember between two records is in here, so a session can
// be frozen between any two records. Not copyable: a second engine on the same keys would use a
// nonce twice.
struct SessionKeys {
  Suite suite = Suite::kTls13Aes128Gcm;
  bool client = false;          // we are the TLS client
  bool nonce_high = false;      // TLS 1.2 GCM: our explicit nonces have their top bit set
  bool close_sent = false;      // our close_notify or fatal alert is out: nothing more to seal
  bool close_received = false;  // the peer's close_notify came: what follows is ignored
  uint8_t idle_records = 0;     // see kIdleRecordsMax
  uint8_t fragment_code = 0;    // RFC 6066 4: 0 none, else records carry at most 2^(8+code) bytes
  uint8_t partial_bytes = 0;    // how much of `partial` is used
  // Header of a post-handshake message in progress; once complete (4 bytes), its length field
  // counts down what is still to come.
  std::array<std::byte, 4> partial{};
  DirectionKeys send;
  DirectionKeys receive;

  const SuiteInfo& info() const;
  size_t frozen_size() const { return frozen_bytes(info()); }
  // Plaintext bytes in a record of ours.
  size_t fragment_bytes_max() const;

  // Writes the frozen form to the front of `to` and returns its size, frozen_size().
  // kLimit when `to` is too short; nothing is written then.
  Result<size_t> freeze(ByteSpan to) const;
  Bytes freeze() const;
  // The keys in `frozen`, which must be exactly one frozen form. kInvalid says what is wrong.
  static Result<SessionKeys> thaw(ByteView frozen);
};

// The frozen keys of a parked session where they lie (a slab in shared memory): the counters can
// be read and advanced in place, each by one 8-byte store. Advance the send counter *before* the
// sealed record is submitted: if the process dies between the two, the number is lost, but a nonce
// is never used twice. The view borrows the bytes. A checksum over a record must leave bytes
// kSendCountOffset to kMaterialOffset out, or be written again after an advance.
class FrozenKeys {
 public:
  // `frozen` may be longer than the frozen form (a slot of kFrozenBytesMax): the rest is ignored.
  static Result<FrozenKeys> attach(ByteSpan frozen);

  const SuiteInfo& info() const { return *info_; }
  ByteView bytes() const { return {base_, frozen_bytes(*info_)}; }
  uint64_t send_count() const;
  uint64_t receive_count() const;
  // Takes the next `records` numbers and returns the first of them. kLimit, changing nothing, when
  // the keys have done their share (kParkedRecordsMax, kRecordCountMax): wake the session instead.
  Result<uint64_t> advance_send(uint32_t records);
  Result<uint64_t> advance_receive(uint32_t records);
  Result<SessionKeys> thaw() const { return SessionKeys::thaw(bytes()); }

 private:
  FrozenKeys(std::byte* base, const SuiteInfo* info) : base_(base), info_(info) {}
  Result<uint64_t> advance(size_t offset, uint32_t records, uint64_t limit);

  std::byte* base_;
  const SuiteInfo* info_;
};

}  // namespace dormouse::tls
