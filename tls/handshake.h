#pragma once
// Handshake drivers: OpenSSL between two memory buffers, for as long as the handshake lasts. When
// it is done, finish() gives the session's keys and frees the SSL object; the record engine
// (tls/record.h) carries on. No sockets: the caller moves the bytes and keeps the time.

#include <openssl/types.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "io/result.h"
#include "tls/bytes.h"
#include "tls/handshake_result.h"
#include "tls/server_context.h"

struct ssl_session_st;  // OpenSSL's SSL_SESSION

namespace dormouse::tls {

// The most input that one handshake may take: a ClientHello is at most 2^17 in OpenSSL, and the
// caller's last read may hold application data behind the handshake.
inline constexpr size_t kHandshakeInputBytesMax = size_t{256} << 10;

class HandshakeDriver;  // the part that both sides share

class ServerHandshake {
 public:
  static Result<ServerHandshake> start(const ServerContext& context);
  ServerHandshake(ServerHandshake&&) noexcept;
  ServerHandshake& operator=(ServerHandshake&&) noexcept;
  ~ServerHandshake();

  // Takes all of `input` and appends what is to be sent to `output`. Only while kNeedsMore.
  HandshakeState feed(ByteView input, Bytes& output);
  HandshakeState state() const;
  // Why it failed, for the log: one line, OpenSSL's reason or the peer's alert.
  std::string_view failure() const;
  // Once, after kDone.
  Result<HandshakeResult> finish();

 private:
  explicit ServerHandshake(std::unique_ptr<HandshakeDriver> driver);
  std::unique_ptr<HandshakeDriver> driver_;
};

// A session that a client may resume: keep it, and hand it to another ClientHandshake.
class ClientSession {
 public:
  explicit ClientSession(ssl_session_st* session) : session_(session) {}  // takes it over
  ClientSession(ClientSession&& other) noexcept;
  ClientSession& operator=(ClientSession&& other) noexcept;
  ~ClientSession();
  ssl_session_st* native() const { return session_; }

 private:
  ssl_session_st* session_;
};

struct ClientSettings {
  std::string
      ca_path;  // PEM file of trusted roots; empty: the server's certificate is not verified
  Version version_min = Version::kTls12;
  Version version_max = Version::kTls13;
  std::optional<Suite> only_suite;  // offer nothing else (tests)
  // TLS 1.3 sends tickets behind the handshake. With this the handshake is done only when one has
  // come (with a server that sends none: never); session() is then filled.
  bool await_ticket = false;
};

class ClientContext {
 public:
  static Result<ClientContext> create(const ClientSettings& settings);
  ClientContext(ClientContext&& other) noexcept;
  ClientContext& operator=(ClientContext&& other) noexcept;
  ~ClientContext();
  SSL_CTX* native() const { return ctx_; }
  bool awaits_ticket() const { return await_ticket_; }

 private:
  ClientContext(SSL_CTX* ctx, bool await_ticket) : ctx_(ctx), await_ticket_(await_ticket) {}
  SSL_CTX* ctx_;
  bool await_ticket_;
};

class ClientHandshake {
 public:
  // `server_name`: SNI, and the name to verify where roots are given; empty for neither.
  // `resume` is borrowed for the call only.
  static Result<ClientHandshake> start(const ClientContext& context, const std::string& server_name,
                                       const ClientSession* resume = nullptr);
  ClientHandshake(ClientHandshake&&) noexcept;
  ClientHandshake& operator=(ClientHandshake&&) noexcept;
  ~ClientHandshake();

  // Begin with an empty `input`: the output is then the ClientHello.
  HandshakeState feed(ByteView input, Bytes& output);
  HandshakeState state() const;
  std::string_view failure() const;
  Result<HandshakeResult> finish();
  // After kDone and before finish(): the session to resume later, if the server gave one.
  std::optional<ClientSession> session() const;

 private:
  explicit ClientHandshake(std::unique_ptr<HandshakeDriver> driver);
  std::unique_ptr<HandshakeDriver> driver_;
};

}  // namespace dormouse::tls
