#include "tls/handshake_driver.h"

#include <fmt/format.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <algorithm>
#include <atomic>
#include <optional>

#include "tls/record.h"
#include "tls/record_format.h"

namespace dormouse::tls {
namespace {

// A count for operators and tests, never a decision: the only process-wide state of this room.
std::atomic<int64_t> g_live_ssl_objects{0};

using KdfPtr = std::unique_ptr<EVP_KDF, OpensslFree<EVP_KDF_free>>;
using KdfCtxPtr = std::unique_ptr<EVP_KDF_CTX, OpensslFree<EVP_KDF_CTX_free>>;

constexpr size_t kRandomBytes = 32;        // RFC 5246 7.4.1.2
constexpr size_t kMasterSecretBytes = 48;  // RFC 5246 8.1

int driver_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

std::optional<unsigned> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
  return std::nullopt;
}

// Bytes written to `to`, 0 when `hex` is not hex or too long.
size_t parse_hex(std::string_view hex, ByteSpan to) {
  if (hex.size() % 2 != 0 || hex.size() / 2 > to.size()) return 0;
  for (size_t i = 0; i < hex.size() / 2; ++i) {
    const auto high = hex_digit(hex[2 * i]);
    const auto low = hex_digit(hex[2 * i + 1]);
    if (!high || !low) return 0;
    to[i] = static_cast<std::byte>(*high << 4 | *low);
  }
  return hex.size() / 2;
}

std::optional<Suite> suite_of(const SSL* ssl) {
  const bool tls13 = SSL_version(ssl) == TLS1_3_VERSION;
  if (!tls13 && SSL_version(ssl) != TLS1_2_VERSION) return std::nullopt;
  switch (SSL_CIPHER_get_cipher_nid(SSL_get_current_cipher(ssl))) {
    case NID_aes_128_gcm:
      return tls13 ? Suite::kTls13Aes128Gcm : Suite::kTls12Aes128Gcm;
    case NID_aes_256_gcm:
      return tls13 ? Suite::kTls13Aes256Gcm : Suite::kTls12Aes256Gcm;
    case NID_chacha20_poly1305:
      return tls13 ? Suite::kTls13Chacha20Poly1305 : Suite::kTls12Chacha20Poly1305;
    default:
      return std::nullopt;
  }
}

}  // namespace

int64_t live_ssl_objects() { return g_live_ssl_objects.load(std::memory_order_relaxed); }

void HandshakeDriver::install_callbacks(SSL_CTX* ctx) {
  SSL_CTX_set_keylog_callback(ctx, &HandshakeDriver::on_keylog);
  SSL_CTX_set_msg_callback(ctx, &HandshakeDriver::on_message);
}

HandshakeDriver* HandshakeDriver::of(const SSL* ssl) {
  return static_cast<HandshakeDriver*>(SSL_get_ex_data(ssl, driver_index()));
}

Result<std::unique_ptr<HandshakeDriver>> HandshakeDriver::create(SSL_CTX* ctx, bool client,
                                                                 bool await_ticket) {
  ERR_clear_error();
  std::unique_ptr<HandshakeDriver> driver(new HandshakeDriver(client, await_ticket));
  SslPtr ssl(SSL_new(ctx));
  BioPtr input(BIO_new(BIO_s_mem()));
  BioPtr output(BIO_new(BIO_s_mem()));
  if (!ssl || !input || !output || SSL_set_ex_data(ssl.get(), driver_index(), driver.get()) != 1) {
    return fail(ErrorKind::kLimit, take_openssl_error("no memory for a TLS handshake"));
  }
  driver->input_ = input.release();
  driver->output_ = output.release();
  SSL_set_bio(ssl.get(), driver->input_, driver->output_);
  if (client) {
    SSL_set_connect_state(ssl.get());
  } else {
    SSL_set_accept_state(ssl.get());
  }
  driver->ssl_ = std::move(ssl);
  g_live_ssl_objects.fetch_add(1, std::memory_order_relaxed);
  return driver;
}

HandshakeDriver::~HandshakeDriver() {
  free_ssl();
  OPENSSL_cleanse(client_secret_.bytes.data(), client_secret_.bytes.size());
  OPENSSL_cleanse(server_secret_.bytes.data(), server_secret_.bytes.size());
}

void HandshakeDriver::free_ssl() {
  if (!ssl_) return;
  // Freed as if it were open, OpenSSL would declare a session that was handed out not resumable.
  if (handshake_done_) SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  ssl_.reset();
  input_ = nullptr;
  output_ = nullptr;
  g_live_ssl_objects.fetch_sub(1, std::memory_order_relaxed);
}

// The line is "LABEL client_random secret", all but the label in hex.
void HandshakeDriver::on_keylog(const SSL* ssl, const char* line) {
  HandshakeDriver* driver = of(ssl);
  if (driver == nullptr) return;
  const std::string_view text(line);
  const std::string_view label = text.substr(0, text.find(' '));
  Secret* secret = label == "CLIENT_TRAFFIC_SECRET_0"   ? &driver->client_secret_
                   : label == "SERVER_TRAFFIC_SECRET_0" ? &driver->server_secret_
                                                        : nullptr;
  if (secret == nullptr) return;
  secret->size = parse_hex(text.substr(text.rfind(' ') + 1), secret->bytes);
}

void HandshakeDriver::on_message(int sent, int version, int content_type, const void* bytes,
                                 size_t size, SSL* ssl, void*) {
  HandshakeDriver* driver = of(ssl);
  if (driver == nullptr || size == 0) return;
  const uint8_t first = *static_cast<const uint8_t*>(bytes);
  bool& finished = sent != 0 ? driver->finished_sent_ : driver->finished_received_;
  // OpenSSL shows a record's header first, then the handshake message once it is whole: headers
  // seen after Finished are of records under the application keys.
  if (content_type == SSL3_RT_HEADER) {
    if (finished && first == kRecordApplicationData) {
      ++(sent != 0 ? driver->records_sent_ : driver->records_received_);
    }
  } else if (content_type == SSL3_RT_HANDSHAKE) {
    if (first == SSL3_MT_FINISHED) finished = true;
    if (first == SSL3_MT_KEY_UPDATE && version == TLS1_3_VERSION) driver->key_updated_ = true;
  }
}

HandshakeState HandshakeDriver::feed(ByteView input, Bytes& output) {
  DORMOUSE_CHECK(state_ == HandshakeState::kNeedsMore && ssl_, "a handshake in progress");
  ERR_clear_error();
  input_bytes_ += input.size();
  if (input_bytes_ > kHandshakeInputBytesMax) {
    fail_here("handshake too long");
    return state_;
  }
  append(held_, input);
  if (!handshake_done_) step();
  if (handshake_done_ && state_ == HandshakeState::kNeedsMore) await_ticket_step();
  drain(output);
  return state_;
}

// Gives OpenSSL all that came and takes the handshake as far as it goes.
void HandshakeDriver::step() {
  if (!held_.empty()) {
    const int size = static_cast<int>(held_.size());  // <= kHandshakeInputBytesMax
    if (BIO_write(input_, held_.data(), size) != size) {
      fail_here("no memory for TLS input");
      return;
    }
    held_.clear();
  }
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) {
    handshake_done_ = true;
    // OpenSSL reads record by record (no read-ahead): what it left is still ciphertext.
    if (SSL_has_pending(ssl_.get()) != 0) {
      fail_here("OpenSSL kept input back");
      return;
    }
    const size_t left = BIO_ctrl_pending(input_);
    held_.resize(left);
    if (left > 0) BIO_read(input_, held_.data(), static_cast<int>(left));
    const bool wait = await_ticket_ && SSL_version(ssl_.get()) == TLS1_3_VERSION;
    if (!wait) state_ = HandshakeState::kDone;
    return;
  }
  if (SSL_get_error(ssl_.get(), result) != SSL_ERROR_WANT_READ) {
    fail_here(take_openssl_error("handshake failed"));
  }
}

// A client that wants a ticket reads records one at a time until it has one, so that nothing behind
// it is decrypted by OpenSSL, whose keys are about to be given away.
void HandshakeDriver::await_ticket_step() {
  while (!ticket_seen_) {
    if (held_.size() < kRecordHeaderBytes) return;
    const size_t record_bytes = kRecordHeaderBytes + load_be(&held_[3], 2);
    if (held_.size() < record_bytes) return;
    BIO_write(input_, held_.data(), static_cast<int>(record_bytes));
    held_.erase(held_.begin(), held_.begin() + static_cast<ptrdiff_t>(record_bytes));
    Bytes plain(kPlaintextBytesMax);
    const int got = SSL_read(ssl_.get(), plain.data(), static_cast<int>(plain.size()));
    if (got > 0) {
      append(early_plain_, ByteView(plain).first(static_cast<size_t>(got)));
    } else if (SSL_get_error(ssl_.get(), got) != SSL_ERROR_WANT_READ) {
      fail_here(take_openssl_error("closed while waiting for a ticket"));
      return;
    }
    if (key_updated_) {
      fail_here("key update while waiting for a ticket");
      return;
    }
  }
  state_ = HandshakeState::kDone;
}

void HandshakeDriver::fail_here(std::string reason) {
  state_ = HandshakeState::kFailed;
  failure_ = std::move(reason);
  ERR_clear_error();
}

void HandshakeDriver::drain(Bytes& output) {
  const size_t pending = BIO_ctrl_pending(output_);
  if (pending == 0) return;
  const size_t before = output.size();
  output.resize(before + pending);
  BIO_read(output_, output.data() + before, static_cast<int>(pending));
  watch_explicit_nonce(ByteView(output).subspan(before));
}

// TLS 1.2 GCM: which half of the explicit nonces OpenSSL's Finished took. It writes whole records.
void HandshakeDriver::watch_explicit_nonce(ByteView output) {
  if (SSL_version(ssl_.get()) != TLS1_2_VERSION) return;
  while (output.size() > kRecordHeaderBytes) {
    const uint8_t type = std::to_integer<uint8_t>(output[0]);
    const size_t record_bytes = kRecordHeaderBytes + load_be(&output[3], 2);
    if (type == kRecordHandshake && cipher_spec_changed_) {
      nonce_high_used_ = (output[kRecordHeaderBytes] & std::byte{0x80}) != std::byte{0};
    }
    if (type == kRecordChangeCipherSpec) cipher_spec_changed_ = true;
    if (output.size() < record_bytes) return;
    output = output.subspan(record_bytes);
  }
}

Result<HandshakeResult> HandshakeDriver::finish() {
  DORMOUSE_CHECK(state_ == HandshakeState::kDone && ssl_, "a handshake that is done, once");
  HandshakeResult result;
  const std::optional<Suite> suite = suite_of(ssl_.get());
  if (!suite) return fail(ErrorKind::kUnsupported, "no record layer for this TLS suite");
  result.keys.suite = *suite;
  result.keys.client = client_;
  const SSL_SESSION* session = SSL_get_session(ssl_.get());
  result.keys.fragment_code = SSL_SESSION_get_max_fragment_length(session);
  const Result<> exported = result.keys.info().version == Version::kTls13
                                ? export_tls13(result.keys)
                                : export_tls12(result.keys);
  if (!exported) return std::unexpected(exported.error());
  result.unread = std::move(held_);
  result.early_plain = std::move(early_plain_);
  const char* name = SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name);
  if (name != nullptr) result.server_name = name;
  result.suite_name = SSL_CIPHER_get_name(SSL_get_current_cipher(ssl_.get()));
  result.resumed = SSL_session_reused(ssl_.get()) == 1;
  free_ssl();
  return result;
}

Result<> HandshakeDriver::export_tls13(SessionKeys& keys) const {
  const size_t size = keys.info().material_bytes;
  if (client_secret_.size != size || server_secret_.size != size) {
    return fail(ErrorKind::kUnsupported, "OpenSSL did not reveal the traffic secrets");
  }
  keys.send.material = client_ ? client_secret_.bytes : server_secret_.bytes;
  keys.receive.material = client_ ? server_secret_.bytes : client_secret_.bytes;
  keys.send.count = records_sent_;
  keys.receive.count = records_received_;
  return {};
}

// RFC 5246 6.3: key_block = PRF(master_secret, "key expansion", server_random + client_random),
// cut into client key, server key, client IV, server IV; an AEAD has no MAC keys.
Result<> HandshakeDriver::export_tls12(SessionKeys& keys) const {
  const SuiteInfo& suite = keys.info();
  std::array<std::byte, kMasterSecretBytes> master{};
  std::array<std::byte, kRandomBytes> server_random{};
  std::array<std::byte, kRandomBytes> client_random{};
  if (SSL_SESSION_get_master_key(SSL_get_session(ssl_.get()), octets(ByteSpan(master)),
                                 master.size()) != master.size() ||
      SSL_get_server_random(ssl_.get(), octets(ByteSpan(server_random)), kRandomBytes) !=
          kRandomBytes ||
      SSL_get_client_random(ssl_.get(), octets(ByteSpan(client_random)), kRandomBytes) !=
          kRandomBytes) {
    return fail(ErrorKind::kUnsupported, "OpenSSL did not reveal the master secret");
  }
  std::array<std::byte, 2 * kMaterialBytesMax> block{};
  const size_t block_bytes = size_t{2} * suite.material_bytes;
  std::string digest = suite.digest == Digest::kSha256 ? "SHA256" : "SHA384";
  std::string label = "key expansion";
  const std::array<OSSL_PARAM, 6> params = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest.data(), 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, master.data(), master.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, label.data(), label.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, server_random.data(), kRandomBytes),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, client_random.data(), kRandomBytes),
      OSSL_PARAM_construct_end()};
  const KdfPtr kdf(EVP_KDF_fetch(nullptr, "TLS1-PRF", nullptr));
  const KdfCtxPtr ctx(kdf ? EVP_KDF_CTX_new(kdf.get()) : nullptr);
  const bool derived =
      ctx && EVP_KDF_derive(ctx.get(), octets(ByteSpan(block)), block_bytes, params.data()) == 1;
  OPENSSL_cleanse(master.data(), master.size());
  if (!derived) return fail(ErrorKind::kUnsupported, take_openssl_error("no TLS 1.2 PRF"));
  const size_t key = suite.key_bytes;
  const size_t iv = suite.fixed_iv_bytes;
  DirectionKeys& client = client_ ? keys.send : keys.receive;
  DirectionKeys& server = client_ ? keys.receive : keys.send;
  std::copy_n(&block[0], key, client.material.begin());
  std::copy_n(&block[key], key, server.material.begin());
  std::copy_n(&block[2 * key], iv, &client.material[key]);
  std::copy_n(&block[2 * key + iv], iv, &server.material[key]);
  OPENSSL_cleanse(block.data(), block.size());
  // Finished was record 0 of each direction, and the last of OpenSSL's.
  keys.send.count = 1;
  keys.receive.count = 1;
  const bool gcm = suite.aead != Aead::kChacha20Poly1305;
  keys.nonce_high = gcm && !nonce_high_used_;
  return {};
}

}  // namespace dormouse::tls
