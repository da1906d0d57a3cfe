#include "tls/handshake.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <utility>

#include "tls/handshake_driver.h"
#include "tls/openssl_util.h"
#include "tls/protocol.h"

namespace dormouse::tls {
namespace {

int on_new_session(SSL* ssl, SSL_SESSION*) {
  if (HandshakeDriver* driver = HandshakeDriver::of(ssl)) driver->note_ticket();
  return 0;  // no reference is kept: session() takes one
}

}  // namespace

ServerHandshake::ServerHandshake(std::unique_ptr<HandshakeDriver> driver)
    : driver_(std::move(driver)) {}
ServerHandshake::ServerHandshake(ServerHandshake&&) noexcept = default;
ServerHandshake& ServerHandshake::operator=(ServerHandshake&&) noexcept = default;
ServerHandshake::~ServerHandshake() = default;

Result<ServerHandshake> ServerHandshake::start(const ServerContext& context) {
  Result<std::unique_ptr<HandshakeDriver>> driver =
      HandshakeDriver::create(context.native(), false, false);
  if (!driver) return std::unexpected(driver.error());
  return ServerHandshake(std::move(*driver));
}

HandshakeState ServerHandshake::feed(ByteView input, Bytes& output) {
  return driver_->feed(input, output);
}
HandshakeState ServerHandshake::state() const { return driver_->state(); }
std::string_view ServerHandshake::failure() const { return driver_->failure(); }
Result<HandshakeResult> ServerHandshake::finish() { return driver_->finish(); }

ClientSession::ClientSession(ClientSession&& other) noexcept
    : session_(std::exchange(other.session_, nullptr)) {}
ClientSession& ClientSession::operator=(ClientSession&& other) noexcept {
  if (this != &other) {
    SSL_SESSION_free(session_);
    session_ = std::exchange(other.session_, nullptr);
  }
  return *this;
}
ClientSession::~ClientSession() { SSL_SESSION_free(session_); }

ClientContext::ClientContext(ClientContext&& other) noexcept
    : ctx_(std::exchange(other.ctx_, nullptr)), await_ticket_(other.await_ticket_) {}
ClientContext& ClientContext::operator=(ClientContext&& other) noexcept {
  if (this != &other) {
    SSL_CTX_free(ctx_);
    ctx_ = std::exchange(other.ctx_, nullptr);
    await_ticket_ = other.await_ticket_;
  }
  return *this;
}
ClientContext::~ClientContext() { SSL_CTX_free(ctx_); }

Result<ClientContext> ClientContext::create(const ClientSettings& settings) {
  ERR_clear_error();
  SslCtxPtr ctx(SSL_CTX_new(TLS_client_method()));
  if (!ctx) return fail(ErrorKind::kUnsupported, take_openssl_error("no TLS client"));
  Version version_min = settings.version_min;
  Version version_max = settings.version_max;
  if (settings.only_suite) {
    const SuiteInfo* info = find_suite(static_cast<uint8_t>(*settings.only_suite));
    if (info == nullptr) return fail(ErrorKind::kInvalid, "unknown TLS suite");
    version_min = version_max = info->version;
  }
  if (Result<> set = set_protocol(ctx.get(), version_min, version_max, settings.only_suite); !set) {
    return std::unexpected(set.error());
  }
  if (!settings.ca_path.empty()) {
    if (SSL_CTX_load_verify_file(ctx.get(), settings.ca_path.c_str()) != 1) {
      return fail(ErrorKind::kInvalid,
                  fmt::format("{}: {}", settings.ca_path, take_openssl_error("no roots in it")));
    }
    SSL_CTX_set_verify(ctx.get(), SSL_VERIFY_PEER, nullptr);
  }
  SSL_CTX_set_session_cache_mode(ctx.get(),
                                 SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
  SSL_CTX_sess_set_new_cb(ctx.get(), on_new_session);
  HandshakeDriver::install_callbacks(ctx.get());
  return ClientContext(ctx.release(), settings.await_ticket);
}

ClientHandshake::ClientHandshake(std::unique_ptr<HandshakeDriver> driver)
    : driver_(std::move(driver)) {}
ClientHandshake::ClientHandshake(ClientHandshake&&) noexcept = default;
ClientHandshake& ClientHandshake::operator=(ClientHandshake&&) noexcept = default;
ClientHandshake::~ClientHandshake() = default;

Result<ClientHandshake> ClientHandshake::start(const ClientContext& context,
                                               const std::string& server_name,
                                               const ClientSession* resume) {
  Result<std::unique_ptr<HandshakeDriver>> driver =
      HandshakeDriver::create(context.native(), true, context.awaits_ticket());
  if (!driver) return std::unexpected(driver.error());
  SSL* ssl = (*driver)->ssl();
  if (!server_name.empty()) {
    // RFC 6066 3: an address is no server name; it is verified as an address, though.
    const bool address =
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), server_name.c_str()) == 1;
    if (!address && (SSL_set_tlsext_host_name(ssl, server_name.c_str()) != 1 ||
                     SSL_set1_host(ssl, server_name.c_str()) != 1)) {
      return fail(ErrorKind::kInvalid, take_openssl_error("bad server name"));
    }
    ERR_clear_error();
  }
  if (resume != nullptr) {
    // A copy: OpenSSL marks a session that TLS 1.3 resumed as used up, and a load test resumes one
    // session many times (servers without 0-RTT allow it).
    SSL_SESSION* copy = SSL_SESSION_dup(resume->native());
    const bool set = copy != nullptr && SSL_set_session(ssl, copy) == 1;
    SSL_SESSION_free(copy);
    if (!set) {
      return fail(ErrorKind::kInvalid, take_openssl_error("session cannot be resumed"));
    }
  }
  return ClientHandshake(std::move(*driver));
}

HandshakeState ClientHandshake::feed(ByteView input, Bytes& output) {
  return driver_->feed(input, output);
}
HandshakeState ClientHandshake::state() const { return driver_->state(); }
std::string_view ClientHandshake::failure() const { return driver_->failure(); }
Result<HandshakeResult> ClientHandshake::finish() { return driver_->finish(); }

std::optional<ClientSession> ClientHandshake::session() const {
  if (state() != HandshakeState::kDone || driver_->ssl() == nullptr) return std::nullopt;
  ClientSession session(SSL_get1_session(driver_->ssl()));
  if (session.native() == nullptr || SSL_SESSION_is_resumable(session.native()) != 1) {
    return std::nullopt;
  }
  return session;
}

}  // namespace dormouse::tls
