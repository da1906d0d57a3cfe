#include "hibernate/client_stream.h"

namespace dormouse::hibernate {

Result<ClientStream> ClientStream::create(tls::RecordCrypto& crypto,
                                          std::span<const std::byte> frozen) {
  ClientStream stream;
  if (frozen.empty()) return stream;
  auto keys = tls::SessionKeys::thaw(frozen);
  if (!keys) return std::unexpected(keys.error());
  stream.engine_ = std::make_unique<tls::RecordEngine>(crypto, std::move(*keys));
  return stream;
}

ClientStream::Input ClientStream::take(std::span<std::byte> received, std::string& plain,
                                       tls::Bytes& reply) {
  if (!engine_) {
    plain += tls::as_text(received);
    return Input::kOpen;
  }
  std::span<std::byte> input = received;
  if (!partial_.empty()) {
    partial_.insert(partial_.end(), received.begin(), received.end());
    input = partial_;
  }
  Input state = Input::kOpen;
  while (state == Input::kOpen) {
    tls::Opened opened = engine_->open(input, reply);
    if (opened.event == tls::OpenEvent::kNeedMore) break;
    if (opened.event == tls::OpenEvent::kData) plain += tls::as_text(opened.data);
    if (opened.event == tls::OpenEvent::kCloseNotify) state = Input::kClosed;
    if (opened.event == tls::OpenEvent::kAlert || opened.event == tls::OpenEvent::kFailed) {
      state = Input::kBroken;
    }
    input = input.subspan(opened.consumed_bytes);
  }
  tls::Bytes rest(input.begin(), input.end());
  partial_ = state == Input::kOpen ? std::move(rest) : tls::Bytes();
  return state;
}

Result<> ClientStream::put(std::string_view plain, tls::Bytes& wire) {
  if (engine_) return engine_->seal(tls::as_bytes(plain), wire);
  tls::append(wire, tls::as_bytes(plain));
  return {};
}

void ClientStream::end(tls::Bytes& wire) {
  if (engine_) engine_->close(wire);
}

tls::Bytes ClientStream::freeze() const {
  return engine_ ? engine_->keys().freeze() : tls::Bytes();
}

}  // namespace dormouse::hibernate
