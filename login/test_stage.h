#pragma once
// A stage for tests: one Connection on a socket pair, with a fake auth and a fake den on real
// channels, and a client that may speak TLS.

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "login/connection.h"
#include "tls/handshake.h"
#include "tls/self_signed.h"
#include "wire/link.h"

namespace dormouse::login::test {

using namespace std::string_literals;

class Client {
 public:
  Client(io::Loop& loop, io::Fd socket, tls::RecordCrypto& crypto)
      : loop_(loop), socket_(std::move(socket)), crypto_(crypto) {}

  io::Task<void> send(std::string text) {
    tls::Bytes bytes;
    if (engine_) {
      EXPECT_TRUE(engine_->seal(tls::as_bytes(text), bytes));
    } else {
      tls::append(bytes, tls::as_bytes(text));
    }
    co_await send_raw(std::move(bytes));
  }

  io::Task<void> send_raw(tls::Bytes bytes) {
    auto sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    EXPECT_EQ(sent, ssize_t(bytes.size()));
    co_return;
  }

  // What came, up to and including `end`; at the end of the connection, all that came.
  io::Task<std::string> read_to(std::string end) {
    while (true) {
      if (size_t at = plain_.find(end); at != std::string::npos) {
        std::string text = plain_.substr(0, at + end.size());
        plain_.erase(0, text.size());
        co_return text;
      }
      if (!co_await receive()) co_return std::exchange(plain_, {});
    }
  }
  io::Task<std::string> line() { co_return co_await read_to("\r\n"); }
  // Everything until the server closes.
  io::Task<std::string> rest() {
    while (co_await receive()) continue;
    co_return std::exchange(plain_, {});
  }

  // `resume` may be null.
  io::Task<bool> start_tls(const tls::ClientContext* context) {
    auto handshake = tls::ClientHandshake::start(*context, "localhost");
    EXPECT_TRUE(handshake);
    tls::Bytes output;
    auto state = handshake->feed({}, output);
    while (true) {
      co_await send_raw(std::exchange(output, {}));
      if (state != tls::HandshakeState::kNeedsMore) break;
      auto input = co_await receive_raw();
      if (input.empty()) co_return false;
      state = handshake->feed(input, output);
    }
    if (state != tls::HandshakeState::kDone) co_return false;
    auto result = handshake->finish();
    EXPECT_TRUE(result);
    engine_.emplace(crypto_, std::move(result->keys));
    cipher_ = std::move(result->unread);
    co_return true;
  }

  tls::RecordEngine& engine() { return *engine_; }
  void close() { socket_.reset(); }

 private:
  io::Task<tls::Bytes> receive_raw() {
    while (true) {
      (void)co_await loop_.poll(socket_.get(), POLLIN);
      tls::Bytes bytes(16 * 1024);
      ssize_t got = ::recv(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
      if (got < 0 && errno == EAGAIN) continue;
      bytes.resize(got > 0 ? size_t(got) : 0);
      co_return bytes;
    }
  }
  bool open_records() {
    tls::Bytes answers;
    bool grown = false;
    while (true) {
      auto opened = engine_->open(cipher_, answers);
      if (opened.event != tls::OpenEvent::kData && opened.event != tls::OpenEvent::kControl) break;
      plain_.append(tls::as_text(opened.data));
      grown = grown || !opened.data.empty();
      cipher_.erase(cipher_.begin(), cipher_.begin() + ptrdiff_t(opened.consumed_bytes));
    }
    return grown;
  }
  io::Task<bool> receive() {
    if (engine_ && open_records()) co_return true;
    auto bytes = co_await receive_raw();
    if (bytes.empty()) co_return false;
    if (engine_) {
      tls::append(cipher_, bytes);
      open_records();
    } else {
      plain_.append(tls::as_text(bytes));
    }
    co_return true;
  }

  io::Loop& loop_;
  io::Fd socket_;
  tls::RecordCrypto& crypto_;
  std::optional<tls::RecordEngine> engine_;
  std::string plain_;
  tls::Bytes cipher_;
};

struct Stage {
  explicit Stage(io::Loop& event_loop)
      : loop(event_loop), services(event_loop, make_crypto()), client_crypto(make_crypto()) {
    services.policy.greeting = "ready";
    services.policy.mechanisms = {"PLAIN", "LOGIN", "SCRAM-SHA-256"};
    services.policy.max_attempts = 3;
    services.policy.failure_delay_ms = 1;
    services.policy.timeout_ms = 20'000;
    peer.text = "192.0.2.7";
    peer.port = 4711;
  }
  static tls::RecordCrypto make_crypto() {
    auto crypto = tls::RecordCrypto::create();
    EXPECT_TRUE(crypto);
    return *std::move(crypto);
  }
  void with_certificate() {
    auto certificate = tls::make_self_signed({});
    EXPECT_TRUE(certificate);
    tls::ServerSettings settings;
    settings.certificates.push_back(*std::move(certificate));
    auto context = tls::ServerContext::create(std::move(settings));
    EXPECT_TRUE(context);
    services.transport.context = std::make_unique<tls::ServerContext>(*std::move(context));
  }

  io::Loop& loop;
  Services services;
  tls::RecordCrypto client_crypto;
  PeerAddress peer;
  bool implicit_tls = false;
  bool refuse = false;  // the connection is one too many
  // Seen by the fakes.
  std::vector<wire::LoginToAuth> to_auth;
  std::optional<wire::LoginToDen::Handover> handover;
  io::Fd handed_socket;
  std::optional<Error> ended;  // why the connection ended, if not by a handover
  bool done = false;
  io::Channel auth;
  io::Channel den;
};

// "\0anna\0secret" is right; SCRAM-SHA-256 takes "first", then "proof".
inline io::Task<void> play_auth(Stage* stage) {
  while (true) {
    auto received = co_await wire::receive<wire::LoginToAuth>(stage->loop, stage->auth);
    if (!received) co_return;
    const wire::LoginToAuth& message = received->message;
    stage->to_auth.push_back(message);
    wire::AuthToLogin answer;
    const auto grant = [&](uint64_t request, std::string final_data) {
      answer.mutable_granted()->set_request(request);
      answer.mutable_granted()->set_grant(std::string(16, 'g'));
      answer.mutable_granted()->set_user("anna");
      answer.mutable_granted()->set_final_data(std::move(final_data));
    };
    if (message.has_start() && message.start().mechanism() == "SCRAM-SHA-256") {
      answer.mutable_challenge()->set_request(message.start().request());
      answer.mutable_challenge()->set_data(message.start().has_initial_response() ? "server-first"
                                                                                  : "");
    } else if (message.has_start()) {
      if (message.start().initial_response() == "\0anna\0secret"s) {
        grant(message.start().request(), "");
      } else {
        answer.mutable_refused()->set_request(message.start().request());
      }
    } else if (message.has_continue_()) {
      if (message.continue_().response() == "first") {
        answer.mutable_challenge()->set_request(message.continue_().request());
        answer.mutable_challenge()->set_data("server-first");
      } else if (message.continue_().response() == "proof") {
        grant(message.continue_().request(), "v=sig");
      } else {
        answer.mutable_refused()->set_request(message.continue_().request());
      }
    } else {
      continue;
    }
    (void)co_await wire::send(stage->loop, stage->auth, answer);
  }
}

inline io::Task<void> play_den(Stage* stage) {
  wire::DenToLogin load;
  load.mutable_load()->set_capacity(100);
  load.mutable_load()->set_accepting(true);
  (void)co_await wire::send(stage->loop, stage->den, load);
  while (true) {
    auto received = co_await wire::receive<wire::LoginToDen>(stage->loop, stage->den);
    if (!received) co_return;
    stage->handover = received->message.handover();
    EXPECT_EQ(received->fd_count, 1u);
    stage->handed_socket = std::move(received->fds[0]);
  }
}

inline io::Task<void> play_login(Stage* stage, io::Fd socket) {
  Connection connection(stage->services, std::move(socket), stage->peer, 143, stage->implicit_tls);
  auto result = co_await io::with_timeout(stage->services.policy.timeout_ms,
                                          stage->refuse ? connection.refuse() : connection.run());
  if (!result) {
    stage->ended = result.error();
    if (result.error().kind == ErrorKind::kTimeout) connection.bye("Login timed out");
  }
  stage->done = true;
}

using Script = io::Task<void> (*)(Stage*, Client*);
using Setup = void (*)(Stage&);

inline io::Task<int> act(io::Loop* loop, Setup setup, Script script) {
  Stage stage(*loop);
  stage.services.auth.set_patience_ms(50);
  stage.services.dens.set_patience_ms(50);
  if (setup != nullptr) setup(stage);
  auto auth = io::Channel::pair();
  auto den = io::Channel::pair();
  int ends[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
  stage.auth = std::move(auth->first);
  stage.den = std::move(den->first);
  io::Scope* here = co_await io::current_scope();
  io::Scope scope(*loop, here);
  scope.spawn(stage.services.auth.serve(std::move(auth->second)));
  scope.spawn(stage.services.dens.serve(0, std::move(den->second)));
  scope.spawn(play_auth(&stage));
  scope.spawn(play_den(&stage));
  scope.spawn(play_login(&stage, io::Fd(ends[0])));
  Client client(*loop, io::Fd(ends[1]), stage.client_crypto);
  co_await script(&stage, &client);
  scope.cancel();
  co_await scope.join();
  co_return 0;
}

inline void perform(Script script, Setup setup = nullptr) {
  auto loop = io::Loop::create();
  ASSERT_TRUE(loop);
  (*loop)->run(act(loop->get(), setup, script));
}

// Waits until the connection's coroutine has ended.
inline io::Task<void> until_done(Stage* stage) {
  while (!stage->done) (void)co_await stage->loop.sleep(1);
}
inline io::Task<void> until_handed_over(Stage* stage) {
  while (!stage->handover) (void)co_await stage->loop.sleep(1);
}

}  // namespace dormouse::login::test
