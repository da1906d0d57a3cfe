#pragma once
// Helpers for the tests of this room: mirrored keys, forged records, an OpenSSL peer in memory.

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <string>
#include <string_view>
#include <utility>

#include "tls/handshake.h"
#include "tls/openssl_util.h"
#include "tls/record.h"
#include "tls/record_format.h"
#include "tls/self_signed.h"
#include "tls/test_forger.h"

namespace dormouse::tls::test {

inline Bytes bytes_of_hex(std::string_view hex) {
  Bytes bytes;
  int high = -1;
  for (const char c : hex) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) continue;
    if (high < 0) {
      high = digit;
    } else {
      bytes.push_back(static_cast<std::byte>(high << 4 | digit));
      high = -1;
    }
  }
  return bytes;
}

// Recognisable contents of any size.
inline Bytes pattern(size_t size) {
  Bytes bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 31 + (i >> 8));
  return bytes;
}

// All application data in `input`, until kNeedMore or an event that ends the session, which goes to
// `last`. Answers go to `output`.
inline Bytes open_all(RecordEngine& engine, Bytes input, Bytes& output, Opened* last = nullptr) {
  Bytes plain;
  ByteSpan rest(input);
  for (;;) {
    const Opened opened = engine.open(rest, output);
    append(plain, opened.data);
    if (last != nullptr) *last = opened;
    if (opened.event != OpenEvent::kData && opened.event != OpenEvent::kControl) return plain;
    rest = rest.subspan(opened.consumed_bytes);
  }
}

// An SSL object between two memory BIOs that lives on after its handshake.
class OpensslPeer {
 public:
  OpensslPeer(SSL_CTX* ctx, bool client) : ssl_(SSL_new(ctx)) {
    in_ = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl_.get(), in_, out_);
    if (client) {
      SSL_set_connect_state(ssl_.get());
    } else {
      SSL_set_accept_state(ssl_.get());
    }
  }
  SSL* ssl() const { return ssl_.get(); }
  void give(ByteView bytes) { BIO_write(in_, bytes.data(), static_cast<int>(bytes.size())); }
  Bytes take() {
    Bytes bytes(BIO_ctrl_pending(out_));
    if (!bytes.empty()) BIO_read(out_, bytes.data(), static_cast<int>(bytes.size()));
    return bytes;
  }
  // Ciphertext of `plain`.
  Bytes write(ByteView plain) {
    EXPECT_EQ(SSL_write(ssl_.get(), plain.data(), static_cast<int>(plain.size())),
              static_cast<int>(plain.size()));
    return take();
  }
  // Plaintext of all of `sealed`; `error` is SSL_get_error() of the read that gave nothing.
  Bytes read(ByteView sealed, int* error = nullptr) {
    give(sealed);
    Bytes plain;
    Bytes piece(kPlaintextBytesMax);
    for (;;) {
      const int got = SSL_read(ssl_.get(), piece.data(), static_cast<int>(piece.size()));
      if (got <= 0) {
        if (error != nullptr) *error = SSL_get_error(ssl_.get(), got);
        return plain;
      }
      append(plain, ByteView(piece).first(static_cast<size_t>(got)));
    }
  }

 private:
  SslPtr ssl_;
  BIO* in_;
  BIO* out_;
};

// Runs one of our handshakes against OpenSSL to the end of both.
template <class Handshake>
void run(Handshake& ours, OpensslPeer& peer) {
  for (int round = 0; round < 10 && ours.state() == HandshakeState::kNeedsMore; ++round) {
    SSL_do_handshake(peer.ssl());
    Bytes output;
    ours.feed(peer.take(), output);
    peer.give(output);
  }
  SSL_do_handshake(peer.ssl());
}

// Runs our client against our server; true when both are done. `late` gets what the server sent
// after the client was done: tickets.
inline bool run(ServerHandshake& server, ClientHandshake& client, Bytes* late = nullptr) {
  Bytes to_client;
  for (int round = 0; round < 10; ++round) {
    Bytes to_server;
    if (client.state() == HandshakeState::kNeedsMore) {
      client.feed(to_client, to_server);
    } else if (late != nullptr) {
      append(*late, to_client);
    }
    to_client.clear();
    if (server.state() == HandshakeState::kNeedsMore) server.feed(to_server, to_client);
    if (server.state() == HandshakeState::kFailed || client.state() == HandshakeState::kFailed) {
      return false;
    }
    if (to_client.empty() && to_server.empty()) break;
  }
  return server.state() == HandshakeState::kDone && client.state() == HandshakeState::kDone;
}

inline Certificate certificate(KeyKind kind = KeyKind::kEcdsaP256,
                               std::vector<std::string> names = {"localhost"}) {
  SelfSignedSettings settings;
  settings.key_kind = kind;
  settings.names = std::move(names);
  Result<Certificate> made = make_self_signed(settings);
  EXPECT_TRUE(made) << made.error().message;
  return std::move(*made);
}

inline ServerContext server_context(ServerSettings settings = {}) {
  if (settings.certificates.empty()) settings.certificates.push_back(certificate());
  Result<ServerContext> context = ServerContext::create(std::move(settings));
  EXPECT_TRUE(context) << context.error().message;
  return std::move(*context);
}

inline ClientContext client_context(const ClientSettings& settings = {}) {
  Result<ClientContext> context = ClientContext::create(settings);
  EXPECT_TRUE(context) << context.error().message;
  return std::move(*context);
}

inline ClientSettings only(Suite suite) {
  ClientSettings settings;
  settings.only_suite = suite;
  return settings;
}

inline std::string suite_test_name(Suite suite) {
  std::string name(find_suite(static_cast<uint8_t>(suite))->name);
  std::erase_if(name, [](char c) { return c == '.' || c == ' ' || c == '-'; });
  return name;
}

}  // namespace dormouse::tls::test
