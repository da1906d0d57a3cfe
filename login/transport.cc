#include "login/transport.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "io/secret.h"

namespace dormouse::login {
namespace {

// Gives the memory of an emptied buffer back, unless it is small.
template <class Buffer>
void shrink(Buffer& buffer) {
  if (buffer.empty() && buffer.capacity() > kKeepBytes) Buffer().swap(buffer);
}

}  // namespace

void Transport::consume(size_t bytes) {
  io::wipe_view(std::string_view(plain_).substr(0, bytes));  // a password may be in it
  plain_.erase(0, bytes);
  shrink(plain_);
}

io::Task<Result<std::span<std::byte>>> Transport::receive() {
  while (true) {
    Result<uint32_t> ready = co_await loop_.poll(socket_.get(), POLLIN);
    if (!ready) co_return std::unexpected(ready.error());
    const ssize_t got =
        ::recv(socket_.get(), share_.buffer.data(), share_.buffer.size(), MSG_DONTWAIT);
    if (got > 0) co_return std::span(share_.buffer).first(size_t(got));
    if (got == 0) co_return fail(ErrorKind::kClosed, "closed by the client");
    if (errno != EAGAIN && errno != EINTR) co_return fail_errno(errno, "recv");
  }
}

io::Task<Result<void>> Transport::send(tls::ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t sent =
        ::send(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) {
      bytes = bytes.subspan(size_t(sent));
    } else if (errno == EAGAIN) {
      Result<uint32_t> ready = co_await loop_.poll(socket_.get(), POLLOUT);
      if (!ready) co_return std::unexpected(ready.error());
    } else if (errno != EINTR) {
      co_return fail_errno(errno, "send");
    }
  }
  co_return Result<void>();
}

io::Task<Result<void>> Transport::flush() {
  if (waiting_.empty()) co_return Result<void>();
  tls::Bytes bytes = std::exchange(waiting_, {});
  co_return co_await send(bytes);
}

io::Task<Result<void>> Transport::write(std::string_view text) {
  if (!engine_) co_return co_await send(tls::as_bytes(text));
  if (auto sealed = engine_->seal(tls::as_bytes(text), waiting_); !sealed) co_return sealed;
  co_return co_await flush();
}

void Transport::write_last(std::string_view text) {
  if (!socket_) return;
  tls::Bytes bytes = std::exchange(waiting_, {});
  if (!engine_) {
    tls::append(bytes, tls::as_bytes(text));
  } else if (!engine_->failed()) {
    (void)engine_->seal(tls::as_bytes(text), bytes);
    engine_->close(bytes);
  }
  (void)::send(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

io::Task<Result<void>> Transport::start_tls() {
  DORMOUSE_CHECK(plain_.empty() && !engine_, "TLS starts once, at a boundary");
  std::optional<tls::ServerHandshake> handshake;
  while (true) {
    auto received = co_await receive();
    if (!received) co_return std::unexpected(received.error());
    // Only now: who connects and says nothing costs no SSL object.
    if (!handshake) {
      if (!share_.context) co_return fail(ErrorKind::kUnsupported, "no certificate");
      auto started = tls::ServerHandshake::start(*share_.context);
      if (!started) co_return std::unexpected(started.error());
      handshake.emplace(*std::move(started));
    }
    tls::Bytes output;
    const tls::HandshakeState state = handshake->feed(*received, output);
    if (state == tls::HandshakeState::kDone) {
      waiting_ = std::move(output);
      break;
    }
    Result<void> sent = co_await send(output);
    if (!sent) co_return sent;
    if (state == tls::HandshakeState::kFailed) {
      co_return fail(ErrorKind::kInvalid, std::string(handshake->failure()));
    }
  }
  auto result = handshake->finish();
  handshake.reset();
  if (!result) co_return std::unexpected(result.error());
  engine_.emplace(share_.crypto, std::move(result->keys));
  cipher_ = std::move(result->unread);
  suite_ = std::move(result->suite_name);
  resumed_ = result->resumed;
  co_return Result<void>();
}

Result<bool> Transport::open_record() {
  tls::Opened opened = engine_->open(cipher_, waiting_);
  switch (opened.event) {
    case tls::OpenEvent::kData:
      plain_.append(tls::as_text(opened.data));
      break;
    case tls::OpenEvent::kNeedMore:
      return false;
    case tls::OpenEvent::kControl:
      break;
    case tls::OpenEvent::kCloseNotify:
      return fail(ErrorKind::kClosed, "closed by the client");
    case tls::OpenEvent::kAlert:
      return fail(ErrorKind::kClosed, "a TLS alert from the client");
    case tls::OpenEvent::kFailed:
      return fail(ErrorKind::kInvalid, std::string(opened.reason));
  }
  io::wipe_view(tls::as_text(tls::ByteView(cipher_).first(opened.consumed_bytes)));
  cipher_.erase(cipher_.begin(), cipher_.begin() + ptrdiff_t(opened.consumed_bytes));
  shrink(cipher_);
  return opened.event == tls::OpenEvent::kControl ? open_record() : Result<bool>(true);
}

io::Task<Result<void>> Transport::read() {
  while (true) {
    if (engine_) {
      Result<bool> opened = open_record();
      Result<void> flushed = co_await flush();
      if (!opened) co_return std::unexpected(opened.error());
      if (!flushed) co_return flushed;
      if (*opened) co_return Result<void>();
    }
    auto received = co_await receive();
    if (!received) co_return std::unexpected(received.error());
    if (!engine_) {
      plain_.append(tls::as_text(*received));
      io::wipe_view(tls::as_text(*received));
      co_return Result<void>();
    }
    tls::append(cipher_, *received);
  }
}

Result<Transport::Frozen> Transport::freeze() const {
  DORMOUSE_CHECK(waiting_.empty(), "everything is sent before a socket changes hands");
  if (plain_.size() + cipher_.size() > kPendingBytesMax) {
    return fail(ErrorKind::kLimit, "too much input behind the login");
  }
  Frozen frozen;
  if (engine_) {
    if (engine_->failed()) return fail(ErrorKind::kClosed, "TLS has failed");
    const tls::Bytes keys = engine_->keys().freeze();
    frozen.tls = tls::as_text(keys);
  }
  frozen.plain = plain_;
  frozen.cipher = tls::as_text(cipher_);
  return frozen;
}

}  // namespace dormouse::login
