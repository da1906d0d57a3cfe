// The half of the record engine that answers: alerts, and handshake messages after the handshake.

#include <algorithm>
#include <array>

#include "tls/record.h"
#include "tls/record_format.h"

namespace dormouse::tls {
namespace {

// A ticket's fields are 16-bit sized: nonce 255, ticket 2^16, extensions 2^16, and small change.
// A ClientHello that we only refuse is bounded by the same.
constexpr uint64_t kMessageBytesMax = uint64_t{3} << 16;

Opened control(size_t consumed_bytes) {
  Opened opened;
  opened.event = OpenEvent::kControl;
  opened.consumed_bytes = consumed_bytes;
  return opened;
}

}  // namespace

void RecordEngine::append_alert(uint8_t level, Alert alert, Bytes& output) {
  if (!check_can_seal(1)) return;
  append_record(kRecordAlert, std::array{std::byte{level}, static_cast<std::byte>(alert)}, output);
}

void RecordEngine::close(Bytes& output) {
  append_alert(kAlertWarning, Alert::kCloseNotify, output);
  keys_.close_sent = true;
}

void RecordEngine::abort(Alert alert, Bytes& output) {
  append_alert(kAlertFatal, alert, output);
  keys_.close_sent = true;
  failed_ = true;
}

Opened RecordEngine::fail_with(Alert alert, std::string_view reason, Bytes& output) {
  abort(alert, output);
  Opened opened;
  opened.event = OpenEvent::kFailed;
  opened.alert = static_cast<uint8_t>(alert);
  opened.reason = reason;
  return opened;
}

Opened RecordEngine::handle(uint8_t type, ByteSpan plain, size_t consumed_bytes, Bytes& output) {
  if (keys_.partial_bytes != 0 && type != kRecordHandshake) {  // RFC 8446 5.1
    return fail_with(Alert::kUnexpectedMessage, "record within a handshake message", output);
  }
  if (type == kRecordApplicationData && !plain.empty()) {
    keys_.idle_records = 0;
    Opened opened = control(consumed_bytes);
    opened.event = OpenEvent::kData;
    opened.data = plain;
    return opened;
  }
  if (type == kRecordAlert) return handle_alert(plain, consumed_bytes, output);
  if (keys_.idle_records >= kIdleRecordsMax) {
    return fail_with(Alert::kUnexpectedMessage, "too many records without data", output);
  }
  ++keys_.idle_records;
  switch (type) {
    case kRecordApplicationData:
      return control(consumed_bytes);
    case kRecordHandshake:
      return handle_handshake(plain, consumed_bytes, output);
    default:
      return fail_with(Alert::kUnexpectedMessage, "record type out of place", output);
  }
}

Opened RecordEngine::handle_alert(ByteView alert, size_t consumed_bytes, Bytes& output) {
  if (alert.size() != 2) return fail_with(Alert::kDecodeError, "alert of a wrong size", output);
  const uint8_t level = std::to_integer<uint8_t>(alert[0]);
  const uint8_t description = std::to_integer<uint8_t>(alert[1]);
  Opened opened = control(consumed_bytes);
  opened.alert = description;
  if (description == static_cast<uint8_t>(Alert::kCloseNotify)) {
    keys_.close_received = true;
    opened.event = OpenEvent::kCloseNotify;
    return opened;
  }
  // RFC 8446 6: only user_canceled is a warning there, whatever the level says.
  const bool warning = keys_.info().version == Version::kTls13
                           ? description == static_cast<uint8_t>(Alert::kUserCanceled)
                           : level == kAlertWarning;
  if (!warning) {
    failed_ = true;
    opened.event = OpenEvent::kAlert;
    return opened;
  }
  if (keys_.idle_records >= kIdleRecordsMax) {
    return fail_with(Alert::kUnexpectedMessage, "too many records without data", output);
  }
  ++keys_.idle_records;
  return opened;
}

// Whether a message of this type and length may come after the handshake.
RecordEngine::Refusal RecordEngine::check_message() const {
  const uint8_t type = std::to_integer<uint8_t>(keys_.partial[0]);
  const uint64_t length = load_be(&keys_.partial[1], 3);
  const bool tls13 = keys_.info().version == Version::kTls13;
  const bool allowed = tls13 ? type == kKeyUpdate || (keys_.client && type == kNewSessionTicket)
                             : type == (keys_.client ? kHelloRequest : kClientHello);
  if (!allowed) return {Alert::kUnexpectedMessage, "handshake message out of place"};
  const bool fits = type == kKeyUpdate      ? length == kKeyUpdateBytes - kMessageHeaderBytes
                    : type == kHelloRequest ? length == 0
                                            : length > 0 && length <= kMessageBytesMax;
  if (!fits) return {Alert::kDecodeError, "handshake message of a wrong size"};
  return {};
}

Opened RecordEngine::handle_handshake(ByteView messages, size_t consumed_bytes, Bytes& output) {
  if (messages.empty()) {  // RFC 8446 5.1
    return fail_with(Alert::kUnexpectedMessage, "empty handshake record", output);
  }
  bool refused_renegotiation = false;
  while (!messages.empty()) {
    if (keys_.partial_bytes < kMessageHeaderBytes) {
      keys_.partial[keys_.partial_bytes++] = messages.front();
      messages = messages.subspan(1);
      if (keys_.partial_bytes < kMessageHeaderBytes) continue;
      const Refusal refusal = check_message();
      if (!refusal.reason.empty()) return fail_with(refusal.alert, refusal.reason, output);
    }
    // The body is passed over, its length counting down in place; only a KeyUpdate's byte matters.
    const uint64_t left = load_be(&keys_.partial[1], 3);
    const size_t take = std::min<size_t>(left, messages.size());
    const std::byte last = take > 0 ? messages[take - 1] : std::byte{0};
    messages = messages.subspan(take);
    store_be(&keys_.partial[1], left - take, 3);
    if (left > take) break;
    const uint8_t type = std::to_integer<uint8_t>(keys_.partial[0]);
    keys_.partial_bytes = 0;
    keys_.partial.fill(std::byte{0});
    if (type == kKeyUpdate) {
      if (!messages.empty()) {  // RFC 8446 5.1: what follows must be under the new keys
        return fail_with(Alert::kUnexpectedMessage, "bytes behind a key update", output);
      }
      return receive_key_update(last, consumed_bytes, output);
    }
    if (type == kNewSessionTicket || refused_renegotiation) continue;
    // Once per record, so that an answer is never longer than its question.
    refused_renegotiation = true;
    append_alert(kAlertWarning, Alert::kNoRenegotiation, output);
  }
  return control(consumed_bytes);
}

Opened RecordEngine::receive_key_update(std::byte request, size_t consumed_bytes, Bytes& output) {
  if (request > std::byte{1}) {
    return fail_with(Alert::kIllegalParameter, "unknown key update request", output);
  }
  crypto_->update_secret(keys_.info(), keys_.receive);
  receive_key_ = AeadKey();
  rekeyed_ = true;
  // No answer after our close_notify: nothing may follow it.
  if (request == std::byte{1} && !keys_.close_sent) {
    if (Result<> sent = update_keys(false, output); !sent) {
      return fail_with(Alert::kInternalError, "record numbers used up", output);
    }
  }
  return control(consumed_bytes);
}

}  // namespace dormouse::tls
