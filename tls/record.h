#pragma once
// RecordEngine: the TLS 1.2 and 1.3 record layer after the handshake (RFC 8446 5 and 4.6, RFC 5246
// 6 and 7.2), for server and client. Bytes in, bytes out: the caller owns every buffer and every
// socket. It is cheap to make from frozen keys for one record and to throw away.
//
// Rules for callers:
//  * After seal(), open(), close() the output must be sent before any later output of the engine,
//    in order, all of it.
//  * An engine that failed stays failed: send what it put in the output (its fatal alert), then
//    close the connection.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "io/result.h"
#include "tls/bytes.h"
#include "tls/record_crypto.h"
#include "tls/session_keys.h"

namespace dormouse::tls {

inline constexpr size_t kRecordHeaderBytes = 5;
inline constexpr size_t kPlaintextBytesMax = size_t{1} << 14;  // RFC 8446 5.1
// RFC 8446 5.2: a TLS 1.3 record's body is at most 2^14 + 256. TLS 1.2 allows 2^14 + 2048, but with
// our AEADs (8 + 16 bytes more) a longer body than this carries too long a plaintext anyway.
inline constexpr size_t kBodyBytesMax = kPlaintextBytesMax + 256;
// An input buffer of this size can always hold a whole record.
inline constexpr size_t kRecordBytesMax = kRecordHeaderBytes + kBodyBytesMax;
// The most that one open() appends to the output: a KeyUpdate answer or an alert.
inline constexpr size_t kReplyBytesMax = 64;

// RFC 8446 6, the ones we send or tell apart.
enum class Alert : uint8_t {
  kCloseNotify = 0,
  kUnexpectedMessage = 10,
  kBadRecordMac = 20,
  kRecordOverflow = 22,
  kDecodeError = 50,
  kIllegalParameter = 47,
  kProtocolVersion = 70,
  kInternalError = 80,
  kUserCanceled = 90,
  kNoRenegotiation = 100,
};

enum class OpenEvent : uint8_t {
  kNeedMore,     // no whole record yet: call again with at least need_bytes more
  kData,         // `data` came, within the input buffer; never empty
  kControl,      // a record that is none of the caller's business was handled; there may be a reply
  kCloseNotify,  // the peer closed in order; now and on every later call
  kAlert,        // the peer sent a fatal alert (`alert`); the connection is over
  kFailed,       // the peer broke the protocol; our fatal alert (`alert`) is in the output
};

struct Opened {
  OpenEvent event = OpenEvent::kNeedMore;
  uint8_t alert = 0;          // kAlert: the peer's; kFailed: ours
  size_t consumed_bytes = 0;  // of the input, from its front: drop them, after using `data`
  size_t need_bytes = 0;      // kNeedMore: how many more bytes until the next decision
  ByteSpan data;
  std::string_view reason;  // kFailed: for the log, a string constant
};

class RecordEngine {
 public:
  // Borrows `crypto`, which must outlive the engine.
  RecordEngine(RecordCrypto& crypto, SessionKeys keys) : crypto_(&crypto), keys_(std::move(keys)) {}

  // Encrypts `plain` as application data, in records of at most fragment_bytes_max(), appending
  // them to `output`. An empty `plain` makes no record. In TLS 1.3 a KeyUpdate is put in front of
  // the record that would pass kKeyUpdateAfterRecords.
  // kClosed after close_notify was sent or the engine failed; kLimit when TLS 1.2 ran out of record
  // numbers.
  Result<> seal(ByteView plain, Bytes& output);
  // The same into memory of the caller's (a registered buffer); returns the bytes written.
  // kLimit when `to` is shorter than sealed_bytes(plain.size()); nothing is written then.
  Result<size_t> seal(ByteView plain, ByteSpan to);
  // Room that seal() of so many bytes needs, exactly, and how many records it makes.
  size_t sealed_bytes(size_t plain_bytes) const;
  size_t sealed_records(size_t plain_bytes) const;

  // Handles the first record in `input`, decrypting it in place. One record per call: call again
  // with the rest until kNeedMore. Appends answers (KeyUpdate, alerts) to `output`.
  Opened open(ByteSpan input, Bytes& output);

  // Appends close_notify; afterwards seal() answers kClosed. A second call appends nothing.
  void close(Bytes& output);
  // Appends a fatal alert; the engine is failed afterwards.
  void abort(Alert alert, Bytes& output);
  // TLS 1.3: new sending keys, announced by a KeyUpdate record; `request` asks the peer to do the
  // same. In TLS 1.2 kUnsupported.
  Result<> update_keys(bool request, Bytes& output);

  // The keys with all progress so far. freeze() is allowed between any two records, also in the
  // middle of a fragmented post-handshake message; kClosed when the engine has failed.
  const SessionKeys& keys() const { return keys_; }
  Result<size_t> freeze(ByteSpan to) const;
  // A secret was replaced since construction: the frozen form differs in more than its header and
  // counters, so it must not be written over the only copy that a crash would leave.
  bool rekeyed() const { return rekeyed_; }
  bool failed() const { return failed_; }

 private:
  // Why a record is refused; `reason` is empty when it is not.
  struct Refusal {
    Alert alert = Alert::kInternalError;
    std::string_view reason;
  };
  friend Result<> seal_frozen(RecordCrypto&, ByteSpan, ByteView, Bytes&);

  size_t overhead_bytes() const;
  size_t key_updates_due(size_t records) const;
  Result<> check_can_seal(size_t plain_bytes) const;
  void seal_record(uint8_t type, ByteView plain, std::byte* to);
  size_t seal_all(ByteView plain, bool update, std::byte* to);
  size_t seal_key_update(bool request, std::byte* to);
  void append_record(uint8_t type, ByteView plain, Bytes& output);
  void append_alert(uint8_t level, Alert alert, Bytes& output);

  Refusal check_header(uint8_t type, uint64_t version, uint64_t body_bytes) const;
  std::optional<ByteSpan> decrypt(ByteSpan record);
  Opened handle(uint8_t type, ByteSpan plain, size_t consumed_bytes, Bytes& output);
  Opened handle_alert(ByteView alert, size_t consumed_bytes, Bytes& output);
  Refusal check_message() const;
  Opened handle_handshake(ByteView messages, size_t consumed_bytes, Bytes& output);
  Opened receive_key_update(std::byte request, size_t consumed_bytes, Bytes& output);
  Opened fail_with(Alert alert, std::string_view reason, Bytes& output);

  RecordCrypto* crypto_;
  SessionKeys keys_;
  AeadKey send_key_;     // derived at first use
  AeadKey receive_key_;  // derived at first use
  bool rekeyed_ = false;
  bool failed_ = false;
};

// For a parked session: seals `plain` with the keys frozen at `frozen`, appending to `output`, and
// advances the frozen send counter before it returns, hence before the caller can submit.
// kLimit when the session must be woken first (see FrozenKeys::advance_send); kClosed after
// close_notify.
Result<> seal_frozen(RecordCrypto& crypto, ByteSpan frozen, ByteView plain, Bytes& output);

}  // namespace dormouse::tls
