#include "hibernate/client_stream.h"

namespace dormouse::hibernate {

Result<ClientStream> ClientStream::create(tls::RecordCrypto& crypto,
                                          std::span<const std::byte> keys,
                                          std::span<const std::byte> history) {
  ClientStream stream;
  stream.compressed_ = !history.empty();
  stream.history_.assign(history.begin(), history.end());
  if (keys.empty()) return stream;
  auto thawed = tls::SessionKeys::thaw(keys);
  if (!thawed) return std::unexpected(thawed.error());
  stream.engine_ = std::make_unique<tls::RecordEngine>(crypto, std::move(*thawed));
  return stream;
}

void ClientStream::start_compress() {
  DORMOUSE_CHECK(!compressed_, "COMPRESS starts once");
  compressed_ = true;
}

ClientStream::Input ClientStream::take(std::span<std::byte> received, std::string& plain,
                                       tls::Bytes& reply) {
  if (opened_ == Input::kOpen) opened_ = open(received, compressed_ ? deflated_ : plain, reply);
  if (!compressed_ || opened_ == Input::kBroken) return opened_;
  return inflate(plain, reply);
}

// Records to what is in them.
ClientStream::Input ClientStream::open(std::span<std::byte> received, std::string& clear,
                                       tls::Bytes& reply) {
  if (!engine_) {
    clear += tls::as_text(received);
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
    if (opened.event == tls::OpenEvent::kData) clear += tls::as_text(opened.data);
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

ClientStream::Input ClientStream::inflate(std::string& plain, tls::Bytes& reply) {
  using Event = compress::InflateStream::Event;
  if (!inflate_) {
    auto stream = history_.empty() ? compress::InflateStream::create()
                                   : compress::InflateStream::thaw(history_);
    if (!stream) return Input::kBroken;
    inflate_.emplace(std::move(*stream));
    history_ = {};
  }
  auto taken = inflate_->take(tls::as_bytes(deflated_), plain, kInflatedBytesMax);
  deflated_.erase(0, taken.consumed_bytes);
  if (deflated_.empty()) deflated_ = {};
  more_ = taken.event == Event::kFull;
  switch (taken.event) {
    case Event::kFull:
      return Input::kOpen;
    case Event::kNeedInput:
      return opened_;
    case Event::kEnd:
      return Input::kClosed;
    case Event::kBroken:
      break;
  }
  // Best effort: it is closed in any case.
  [[maybe_unused]] auto said = put("* BYE What you send is not deflate (RFC 4978)\r\n", reply);
  end(reply);
  return Input::kBroken;
}

Result<> ClientStream::put(std::string_view plain, tls::Bytes& wire) {
  tls::Bytes deflated;
  if (compressed_) {
    auto done = deflate_.put(plain, deflated);
    if (!done) return done;
    plain = tls::as_text(deflated);
  }
  if (engine_) return engine_->seal(tls::as_bytes(plain), wire);
  tls::append(wire, tls::as_bytes(plain));
  return {};
}

void ClientStream::end(tls::Bytes& wire) {
  if (engine_) engine_->close(wire);
}

wire::Hindrance::Kind ClientStream::hindrance() const {
  if (!partial_.empty()) return wire::Hindrance::HALF_RECORD;
  if (more_) return wire::Hindrance::INPUT_UNREAD;
  if (inflate_ && inflate_->hindrance() != nullptr) return wire::Hindrance::HALF_BLOCK;
  return wire::Hindrance::NONE;
}

tls::Bytes ClientStream::freeze() const {
  return engine_ ? engine_->keys().freeze() : tls::Bytes();
}

Result<std::vector<std::byte>> ClientStream::freeze_history() const {
  if (!compressed_) return std::vector<std::byte>();
  if (inflate_) return inflate_->freeze();
  if (!history_.empty()) return history_;
  // COMPRESS was just begun, and the client has said nothing.
  auto fresh = compress::InflateStream::create();
  if (!fresh) return std::unexpected(fresh.error());
  return fresh->freeze();
}

size_t ClientStream::held_bytes() const {
  return partial_.capacity() + deflated_.capacity() + history_.capacity() + deflate_.held_bytes() +
         (inflate_ ? compress::kInflateBytes : 0);
}

}  // namespace dormouse::hibernate
