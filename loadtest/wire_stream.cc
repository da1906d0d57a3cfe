#include "loadtest/wire_stream.h"

#include <utility>

namespace dormouse::loadtest {
namespace {

// One receive is some 64 KiB at the most; headers shrink to a fifth, not to a hundredth.
constexpr size_t kInflatedBytesMax = size_t{8} << 20;

}  // namespace

Result<WireStream> WireStream::tls(tls::RecordCrypto& crypto, const tls::ClientContext& context,
                                   const std::string& server_name, const tls::ClientSession* resume,
                                   tls::Bytes& wire) {
  auto handshake = tls::ClientHandshake::start(context, server_name, resume);
  if (!handshake) return std::unexpected(handshake.error());
  WireStream stream;
  stream.crypto_ = &crypto;
  stream.handshake_ = std::make_unique<tls::ClientHandshake>(std::move(*handshake));
  stream.wants_session_ = context.awaits_ticket();
  if (stream.handshake_->feed({}, wire) == tls::HandshakeState::kFailed) {
    return fail(ErrorKind::kInvalid, std::string(stream.handshake_->failure()));
  }
  return stream;
}

Result<WireStream> WireStream::thaw(tls::RecordCrypto& crypto, tls::ByteView frozen) {
  auto view = tls::SessionKeys::thaw(frozen);
  if (!view) return std::unexpected(view.error());
  WireStream stream;
  stream.crypto_ = &crypto;
  stream.engine_ = std::make_unique<tls::RecordEngine>(crypto, std::move(*view));
  return stream;
}

Result<> WireStream::start_compress(tls::ByteView history) {
  auto stream =
      history.empty() ? compress::InflateStream::create() : compress::InflateStream::thaw(history);
  if (!stream) return std::unexpected(stream.error());
  inflate_.emplace(std::move(*stream));
  return {};
}

WireStream::Input WireStream::take(tls::ByteSpan received, std::string& plain, tls::Bytes& wire) {
  if (!inflate_) return take_wire(received, plain, wire);
  std::string deflated;
  Input state = take_wire(received, deflated, wire);
  return inflate(deflated, plain) ? state : Input::kBroken;
}

bool WireStream::inflate(std::string_view deflated, std::string& plain) {
  auto taken = inflate_->take(tls::as_bytes(deflated), plain, kInflatedBytesMax);
  if (taken.event == compress::InflateStream::Event::kNeedInput) return true;
  failure_ = taken.event == compress::InflateStream::Event::kFull ? "the server sends a bomb"
                                                                  : "deflate stream broken";
  return false;
}

WireStream::Input WireStream::take_wire(tls::ByteSpan received, std::string& plain,
                                        tls::Bytes& wire) {
  if (handshake_) return take_handshake(received, plain, wire);
  if (engine_) return take_records(received, plain, wire);
  plain += tls::as_text(received);
  return Input::kOpen;
}

WireStream::Input WireStream::take_handshake(tls::ByteSpan received, std::string& plain,
                                             tls::Bytes& wire) {
  tls::HandshakeState state = handshake_->feed(received, wire);
  if (state == tls::HandshakeState::kNeedsMore) return Input::kOpen;
  if (state == tls::HandshakeState::kFailed) {
    failure_ = handshake_->failure();
    return Input::kBroken;
  }
  if (wants_session_) session_ = handshake_->session();
  auto result = handshake_->finish();
  if (!result) {
    failure_ = result.error().message;
    return Input::kBroken;
  }
  handshake_.reset();
  engine_ = std::make_unique<tls::RecordEngine>(*crypto_, std::move(result->keys));
  plain += tls::as_text(result->early_plain);
  return take_records(result->unread, plain, wire);
}

WireStream::Input WireStream::take_records(tls::ByteSpan input, std::string& plain,
                                           tls::Bytes& wire) {
  tls::Bytes joined;
  if (!partial_.empty()) {
    joined = std::exchange(partial_, {});
    tls::append(joined, input);
    input = joined;
  }
  for (;;) {
    tls::Opened opened = engine_->open(input, wire);
    if (opened.event == tls::OpenEvent::kData) plain += tls::as_text(opened.data);
    if (opened.event == tls::OpenEvent::kNeedMore) break;
    if (opened.event == tls::OpenEvent::kCloseNotify) return Input::kClosed;
    if (opened.event == tls::OpenEvent::kAlert) failure_ = "TLS alert from the server";
    if (opened.event == tls::OpenEvent::kFailed) failure_ = opened.reason;
    if (!failure_.empty()) return Input::kBroken;
    input = input.subspan(opened.consumed_bytes);
  }
  partial_.assign(input.begin(), input.end());
  return Input::kOpen;
}

Result<> WireStream::put(std::string_view plain, tls::Bytes& wire) {
  tls::Bytes deflated;
  if (inflate_) {
    if (auto done = deflate_.put(plain, deflated); !done) return done;
    plain = tls::as_text(deflated);
  }
  if (engine_) return engine_->seal(tls::as_bytes(plain), wire);
  tls::append(wire, tls::as_bytes(plain));
  return {};
}

void WireStream::end(tls::Bytes& wire) {
  if (engine_) engine_->close(wire);
}

Result<> WireStream::freeze(tls::ByteSpan to) const {
  if (!engine_) return {};
  auto written = engine_->freeze(to);
  if (!written) return std::unexpected(written.error());
  return {};
}

}  // namespace dormouse::loadtest
