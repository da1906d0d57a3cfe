#pragma once
// WireStream: the bytes of one connection to a server: in clear, or through a TLS handshake and
// then our own record engine, whose keys freeze to a few bytes while the session sleeps; and under
// it, where asked for, deflate (RFC 4978), whose input history freezes too. An engine: no I/O.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "compress/deflate_stream.h"
#include "compress/inflate_stream.h"
#include "io/result.h"
#include "tls/handshake.h"
#include "tls/record.h"

namespace dormouse::loadtest {

class WireStream {
 public:
  WireStream() = default;  // in clear
  // Begins a handshake; what to send first goes to `wire`. Borrows `crypto`; `resume`, a session of
  // before or null, for the call only.
  static Result<WireStream> tls(tls::RecordCrypto& crypto, const tls::ClientContext& context,
                                const std::string& server_name, const tls::ClientSession* resume,
                                tls::Bytes& wire);
  static Result<WireStream> thaw(tls::RecordCrypto& crypto, tls::ByteView frozen);
  // Both ways are deflated from here; a stream that slept is given its history, empty at first.
  // kInvalid: not a history.
  Result<> start_compress(tls::ByteView history = {});

  enum class Input : uint8_t { kOpen, kClosed, kBroken };
  // Takes received bytes (and overwrites them), appends what they say to `plain` and what TLS has
  // to answer to `wire`. failure() says why it is kBroken.
  Input take(tls::ByteSpan received, std::string& plain, tls::Bytes& wire);
  std::string_view failure() const { return failure_; }
  // Appends `plain` as wire bytes; only when ready().
  Result<> put(std::string_view plain, tls::Bytes& wire);
  void end(tls::Bytes& wire);  // close_notify

  bool ready() const { return handshake_ == nullptr; }
  // What a later connection can resume; once, and only where `context` awaits a ticket.
  std::optional<tls::ClientSession> take_session() { return std::exchange(session_, std::nullopt); }
  // No part of a record is held: the stream can be frozen.
  bool at_boundary() const {
    return ready() && partial_.empty() && (!inflate_ || inflate_->hindrance() == nullptr);
  }
  // Writes the keys to `to`, which has room for tls::kFrozenBytesMax. Nothing without TLS.
  Result<> freeze(tls::ByteSpan to) const;
  bool compressed() const { return inflate_.has_value(); }
  // Only when compressed().
  Result<tls::Bytes> freeze_history() const { return inflate_->freeze(); }

 private:
  Input take_handshake(tls::ByteSpan received, std::string& plain, tls::Bytes& wire);
  Input take_records(tls::ByteSpan input, std::string& plain, tls::Bytes& wire);
  Input take_wire(tls::ByteSpan received, std::string& plain, tls::Bytes& wire);
  bool inflate(std::string_view deflated, std::string& plain);

  tls::RecordCrypto* crypto_ = nullptr;
  std::unique_ptr<tls::ClientHandshake> handshake_;
  std::optional<tls::ClientSession> session_;
  bool wants_session_ = false;
  std::unique_ptr<tls::RecordEngine> engine_;
  std::optional<compress::InflateStream> inflate_;  // with COMPRESS
  compress::DeflateStream deflate_;
  tls::Bytes partial_;  // the start of a record, shorter than tls::kRecordBytesMax
  std::string failure_;
};

}  // namespace dormouse::loadtest
