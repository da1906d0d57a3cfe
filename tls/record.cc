#include "tls/record.h"

#include <algorithm>
#include <array>

#include "tls/record_format.h"

namespace dormouse::tls {
namespace {

constexpr size_t kExplicitNonceBytes = 8;  // RFC 5288 3
constexpr uint64_t kNonceHighBit = uint64_t{1} << 63;

struct Nonce {
  std::array<std::byte, kAeadNonceBytes> bytes;
};

// RFC 8446 5.3, RFC 7905 2: the counter, left-padded, xor the mask.
Nonce masked_nonce(const AeadKey& key, uint64_t count) {
  Nonce nonce{key.iv};
  std::array<std::byte, 8> number{};
  store_be(number.data(), count, number.size());
  for (size_t i = 0; i < number.size(); ++i) nonce.bytes[i + 4] ^= number[i];
  return nonce;
}

// RFC 5288 3: four implicit bytes, eight of the record's.
Nonce explicit_nonce(const AeadKey& key, const std::byte* from_record) {
  Nonce nonce{key.iv};
  std::copy_n(from_record, kExplicitNonceBytes, nonce.bytes.begin() + 4);
  return nonce;
}

struct Aad {
  std::array<std::byte, 13> bytes{};
  size_t size = 0;
  ByteView view() const { return ByteView(bytes).first(size); }
};

// RFC 8446 5.2: the record header. RFC 5246 6.2.3.3: counter, type, version, plaintext length.
Aad make_aad(const SuiteInfo& suite, uint64_t count, const std::byte* header, size_t plain_bytes) {
  Aad aad;
  if (suite.version == Version::kTls13) {
    std::copy_n(header, kRecordHeaderBytes, aad.bytes.begin());
    aad.size = kRecordHeaderBytes;
  } else {
    store_be(aad.bytes.data(), count, 8);
    std::copy_n(header, 3, aad.bytes.begin() + 8);
    store_be(aad.bytes.data() + 11, plain_bytes, 2);
    aad.size = 13;
  }
  return aad;
}

bool has_explicit_nonce(const SuiteInfo& suite) {
  return suite.version == Version::kTls12 && suite.aead != Aead::kChacha20Poly1305;
}

// What a record's body holds besides the plaintext.
size_t body_overhead_bytes(const SuiteInfo& suite) {
  if (suite.version == Version::kTls13) return 1 + kAeadTagBytes;  // the inner content type
  return kAeadTagBytes + (has_explicit_nonce(suite) ? kExplicitNonceBytes : 0);
}

}  // namespace

size_t RecordEngine::overhead_bytes() const {
  return kRecordHeaderBytes + body_overhead_bytes(keys_.info());
}

// How many KeyUpdates seal() puts between so many records.
size_t RecordEngine::key_updates_due(size_t records) const {
  if (keys_.info().version != Version::kTls13) return 0;
  const uint64_t free = kKeyUpdateAfterRecords - std::min(kKeyUpdateAfterRecords, keys_.send.count);
  if (records <= free) return 0;
  return 1 + (records - free - 1) / kKeyUpdateAfterRecords;
}

size_t RecordEngine::sealed_records(size_t plain_bytes) const {
  const size_t fragment = keys_.fragment_bytes_max();
  const size_t records = (plain_bytes + fragment - 1) / fragment;
  return records + key_updates_due(records);
}

size_t RecordEngine::sealed_bytes(size_t plain_bytes) const {
  const size_t fragment = keys_.fragment_bytes_max();
  const size_t records = (plain_bytes + fragment - 1) / fragment;
  const size_t updates = key_updates_due(records);
  return plain_bytes + (records + updates) * overhead_bytes() + updates * kKeyUpdateBytes;
}

// One record of `plain` at `to`; takes its number.
void RecordEngine::seal_record(uint8_t type, ByteView plain, std::byte* to) {
  const SuiteInfo& suite = keys_.info();
  if (send_key_.id == 0) send_key_ = crypto_->derive(suite, keys_.send);
  const uint64_t count = keys_.send.count++;
  const bool inner_type = suite.version == Version::kTls13;
  const std::byte tail{type};
  to[0] = std::byte{inner_type ? kRecordApplicationData : type};
  store_be(to + 1, kRecordVersion, 2);
  store_be(to + 3, plain.size() + body_overhead_bytes(suite), 2);
  const Aad aad = make_aad(suite, count, to, plain.size());
  std::byte* body = to + kRecordHeaderBytes;
  Nonce nonce{};
  if (has_explicit_nonce(suite)) {
    // RFC 5288 leaves the explicit part to us. OpenSSL took a random one for our Finished under
    // this very key: `nonce_high` keeps ours in the other half of the numbers.
    store_be(body, count | (keys_.nonce_high ? kNonceHighBit : 0), kExplicitNonceBytes);
    nonce = explicit_nonce(send_key_, body);
    body += kExplicitNonceBytes;
  } else {
    nonce = masked_nonce(send_key_, count);
  }
  crypto_->seal(suite.aead, send_key_, nonce.bytes, aad.view(), plain,
                inner_type ? ByteView(&tail, 1) : ByteView(), body);
}

void RecordEngine::append_record(uint8_t type, ByteView plain, Bytes& output) {
  const size_t before = output.size();
  output.resize(before + plain.size() + overhead_bytes());
  seal_record(type, plain, output.data() + before);
}

// Application data to `to`, which has room for all of it. With `update` the keys are changed where
// they are due.
size_t RecordEngine::seal_all(ByteView plain, bool update, std::byte* to) {
  const std::byte* begin = to;
  const size_t fragment = keys_.fragment_bytes_max();
  while (!plain.empty()) {
    if (update && key_updates_due(1) != 0) to += seal_key_update(false, to);
    const ByteView part = plain.first(std::min(plain.size(), fragment));
    seal_record(kRecordApplicationData, part, to);
    to += part.size() + overhead_bytes();
    plain = plain.subspan(part.size());
  }
  return static_cast<size_t>(to - begin);
}

// A KeyUpdate under the old keys, then the new ones (RFC 8446 4.6.3). Returns the record's bytes.
size_t RecordEngine::seal_key_update(bool request, std::byte* to) {
  const std::array<std::byte, kKeyUpdateBytes> message = {
      std::byte{kKeyUpdate}, std::byte{0}, std::byte{0}, std::byte{1}, std::byte{request}};
  seal_record(kRecordHandshake, message, to);
  crypto_->update_secret(keys_.info(), keys_.send);
  send_key_ = AeadKey();
  rekeyed_ = true;
  return message.size() + overhead_bytes();
}

Result<> RecordEngine::check_can_seal(size_t plain_bytes) const {
  if (failed_ || keys_.close_sent) return fail(ErrorKind::kClosed, "TLS session is closed");
  if (keys_.send.count + sealed_records(plain_bytes) > kRecordCountMax) {
    return fail(ErrorKind::kLimit, "TLS session has used up its record numbers");
  }
  return {};
}

Result<> RecordEngine::seal(ByteView plain, Bytes& output) {
  if (Result<> can = check_can_seal(plain.size()); !can) return can;
  const size_t before = output.size();
  output.resize(before + sealed_bytes(plain.size()));
  seal_all(plain, true, output.data() + before);
  return {};
}

Result<size_t> RecordEngine::seal(ByteView plain, ByteSpan to) {
  if (Result<> can = check_can_seal(plain.size()); !can) return std::unexpected(can.error());
  if (to.size() < sealed_bytes(plain.size())) {
    return fail(ErrorKind::kLimit, "no room for sealed records");
  }
  return seal_all(plain, true, to.data());
}

Result<> RecordEngine::update_keys(bool request, Bytes& output) {
  if (keys_.info().version != Version::kTls13) {
    return fail(ErrorKind::kUnsupported, "TLS 1.2 has no key update");
  }
  if (Result<> can = check_can_seal(1); !can) return can;
  const size_t before = output.size();
  output.resize(before + kKeyUpdateBytes + overhead_bytes());
  seal_key_update(request, output.data() + before);
  return {};
}

Result<size_t> RecordEngine::freeze(ByteSpan to) const {
  if (failed_) return fail(ErrorKind::kClosed, "TLS session has failed");
  return keys_.freeze(to);
}

// What the five bytes of a header say that is wrong, without the body; empty when nothing.
RecordEngine::Refusal RecordEngine::check_header(uint8_t type, uint64_t version,
                                                 uint64_t body_bytes) const {
  const SuiteInfo& suite = keys_.info();
  if (suite.version == Version::kTls13) {
    // RFC 8446 5: after the handshake all is protected, and change_cipher_spec is out of place. The
    // version is to be ignored (5.1), but no TLS has another major number.
    if (type != kRecordApplicationData) return {Alert::kUnexpectedMessage, "unprotected record"};
    if (version >> 8 != kRecordVersion >> 8) return {Alert::kProtocolVersion, "not a TLS record"};
  } else {
    if (type < kRecordChangeCipherSpec || type > kRecordApplicationData) {
      return {Alert::kUnexpectedMessage, "unknown record type"};
    }
    if (version != kRecordVersion) return {Alert::kProtocolVersion, "not a TLS 1.2 record"};
  }
  if (body_bytes > kBodyBytesMax) return {Alert::kRecordOverflow, "record too long"};
  if (body_bytes < body_overhead_bytes(suite)) return {Alert::kBadRecordMac, "record too short"};
  if (keys_.receive.count >= kRecordCountMax) {
    return {Alert::kInternalError, "record numbers used up"};
  }
  return {};
}

// Decrypts the body in place; takes the record's number. Empty when the tag is wrong.
std::optional<ByteSpan> RecordEngine::decrypt(ByteSpan record) {
  const SuiteInfo& suite = keys_.info();
  if (receive_key_.id == 0) receive_key_ = crypto_->derive(suite, keys_.receive);
  const uint64_t count = keys_.receive.count++;
  ByteSpan body = record.subspan(kRecordHeaderBytes);
  const Aad aad = make_aad(suite, count, record.data(), body.size() - body_overhead_bytes(suite));
  Nonce nonce{};
  if (has_explicit_nonce(suite)) {
    nonce = explicit_nonce(receive_key_, body.data());
    body = body.subspan(kExplicitNonceBytes);
  } else {
    nonce = masked_nonce(receive_key_, count);
  }
  if (!crypto_->open(suite.aead, receive_key_, nonce.bytes, aad.view(), body)) return std::nullopt;
  return body.first(body.size() - kAeadTagBytes);
}

Opened RecordEngine::open(ByteSpan input, Bytes& output) {
  Opened opened;
  if (failed_) {
    opened.event = OpenEvent::kFailed;
    opened.reason = "session has failed before";
    return opened;
  }
  if (keys_.close_received) {  // RFC 8446 6.1: what follows is ignored
    opened.event = OpenEvent::kCloseNotify;
    opened.consumed_bytes = input.size();
    return opened;
  }
  if (input.size() < kRecordHeaderBytes) {
    opened.need_bytes = kRecordHeaderBytes - input.size();
    return opened;
  }
  uint8_t type = std::to_integer<uint8_t>(input[0]);
  const size_t body_bytes = load_be(&input[3], 2);
  const size_t record_bytes = kRecordHeaderBytes + body_bytes;
  const Refusal refusal = check_header(type, load_be(&input[1], 2), body_bytes);
  if (!refusal.reason.empty()) return fail_with(refusal.alert, refusal.reason, output);
  if (input.size() < record_bytes) {
    opened.need_bytes = record_bytes - input.size();
    return opened;
  }
  const std::optional<ByteSpan> decrypted = decrypt(input.first(record_bytes));
  if (!decrypted) return fail_with(Alert::kBadRecordMac, "record does not authenticate", output);
  ByteSpan plain = *decrypted;
  if (keys_.info().version == Version::kTls13) {
    // RFC 8446 5.4: content, its type, zeros; the whole is bounded.
    if (plain.size() > keys_.fragment_bytes_max() + 1) {
      return fail_with(Alert::kRecordOverflow, "plaintext too long", output);
    }
    while (!plain.empty() && plain.back() == std::byte{0}) plain = plain.first(plain.size() - 1);
    if (plain.empty()) {
      return fail_with(Alert::kUnexpectedMessage, "record without a content type", output);
    }
    type = std::to_integer<uint8_t>(plain.back());
    plain = plain.first(plain.size() - 1);
  } else if (plain.size() > keys_.fragment_bytes_max()) {
    return fail_with(Alert::kRecordOverflow, "plaintext too long", output);
  }
  return handle(type, plain, record_bytes, output);
}

Result<> seal_frozen(RecordCrypto& crypto, ByteSpan frozen, ByteView plain, Bytes& output) {
  Result<FrozenKeys> parked = FrozenKeys::attach(frozen);
  if (!parked) return std::unexpected(parked.error());
  Result<SessionKeys> keys = parked->thaw();
  if (!keys) return std::unexpected(keys.error());
  if (keys->close_sent) return fail(ErrorKind::kClosed, "TLS session is closed");
  const size_t fragment = keys->fragment_bytes_max();
  const size_t records = (plain.size() + fragment - 1) / fragment;
  if (records > kParkedRecordsMax) return fail(ErrorKind::kLimit, "too much for a parked session");
  if (Result<uint64_t> first = parked->advance_send(static_cast<uint32_t>(records)); !first) {
    return std::unexpected(first.error());
  }
  RecordEngine engine(crypto, std::move(*keys));
  const size_t before = output.size();
  output.resize(before + plain.size() + records * engine.overhead_bytes());
  engine.seal_all(plain, false, output.data() + before);
  return {};
}

}  // namespace dormouse::tls
