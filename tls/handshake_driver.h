#pragma once
// HandshakeDriver: what ServerHandshake and ClientHandshake have in common; for this room only.
// It owns one SSL object between two memory BIOs, watches what OpenSSL reveals through its key-log
// and message callbacks, and turns it into SessionKeys.

#include <openssl/ssl.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "io/result.h"
#include "tls/bytes.h"
#include "tls/handshake.h"
#include "tls/handshake_result.h"
#include "tls/openssl_util.h"

namespace dormouse::tls {

class HandshakeDriver {
 public:
  // Has OpenSSL call back into the driver of each SSL made from `ctx`. Once per context.
  static void install_callbacks(SSL_CTX* ctx);
  // The driver of an SSL, or null.
  static HandshakeDriver* of(const SSL* ssl);

  static Result<std::unique_ptr<HandshakeDriver>> create(SSL_CTX* ctx, bool client,
                                                         bool await_ticket);
  HandshakeDriver(const HandshakeDriver&) = delete;
  HandshakeDriver& operator=(const HandshakeDriver&) = delete;
  ~HandshakeDriver();

  HandshakeState feed(ByteView input, Bytes& output);
  HandshakeState state() const { return state_; }
  std::string_view failure() const { return failure_; }
  Result<HandshakeResult> finish();

  SSL* ssl() const { return ssl_.get(); }
  void note_ticket() { ticket_seen_ = true; }

 private:
  HandshakeDriver(bool client, bool await_ticket) : client_(client), await_ticket_(await_ticket) {}
  static void on_keylog(const SSL* ssl, const char* line);
  static void on_message(int sent, int version, int content_type, const void* bytes, size_t size,
                         SSL* ssl, void* argument);

  void step();
  void await_ticket_step();
  void fail_here(std::string reason);
  void free_ssl();
  void drain(Bytes& output);
  void watch_explicit_nonce(ByteView output);
  Result<> export_tls13(SessionKeys& keys) const;
  Result<> export_tls12(SessionKeys& keys) const;

  // A TLS 1.3 traffic secret as the key log shows it; wiped with the driver.
  struct Secret {
    std::array<std::byte, kMaterialBytesMax> bytes{};
    size_t size = 0;
  };

  SslPtr ssl_;
  BIO* input_ = nullptr;   // owned by ssl_
  BIO* output_ = nullptr;  // owned by ssl_
  HandshakeState state_ = HandshakeState::kNeedsMore;
  std::string failure_;
  bool client_;
  bool await_ticket_;
  bool handshake_done_ = false;
  bool ticket_seen_ = false;
  bool key_updated_ = false;
  size_t input_bytes_ = 0;
  Bytes held_;  // input that OpenSSL has not been given, or has given back
  Secret client_secret_;
  Secret server_secret_;
  // Records since the Finished message of each direction, hence under the application keys.
  bool finished_sent_ = false;
  bool finished_received_ = false;
  uint64_t records_sent_ = 0;
  uint64_t records_received_ = 0;
  bool cipher_spec_changed_ = false;  // TLS 1.2: our change_cipher_spec is out
  bool nonce_high_used_ = false;      // top bit of the explicit nonce of our Finished
  Bytes early_plain_;
};

}  // namespace dormouse::tls
