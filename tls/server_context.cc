#include "tls/server_context.h"

#include <fmt/format.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <map>
#include <tuple>
#include <utility>

#include "tls/handshake_driver.h"
#include "tls/openssl_util.h"
#include "tls/protocol.h"

namespace dormouse::tls {
namespace {

// Parts of a TicketKey.
constexpr size_t kTicketNameBytes = 16;
constexpr size_t kTicketMacBytes = 32;
static_assert(kTicketNameBytes + kTicketMacBytes + 32 == TicketKey::kBytes);

constexpr size_t kServerNameBytesMax = 255;  // DNS

// What the callbacks of a context need. It belongs to the first context (ex_data), which every
// handshake holds; the contexts of further certificates only point at it.
struct ServerState {
  std::map<std::string, SSL_CTX*, std::less<>> by_name;  // borrowed from `others`, or the first
  std::vector<SslCtxPtr> others;
  std::optional<TicketKey> ticket_key;
  std::optional<TicketKey> ticket_key_previous;
};

void free_state(void*, void* state, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<ServerState*>(state);
}

int owner_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, free_state);
  return index;
}

int state_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

ServerState* state_of(const SSL_CTX* ctx) {
  return static_cast<ServerState*>(SSL_CTX_get_ex_data(ctx, state_index()));
}

std::string lower(std::string_view name) {
  std::string result(name);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

SSL_CTX* find_name(const ServerState& state, std::string_view asked) {
  if (asked.empty() || asked.size() > kServerNameBytesMax) return nullptr;
  const std::string name = lower(asked);
  if (const auto exact = state.by_name.find(name); exact != state.by_name.end()) {
    return exact->second;
  }
  const size_t dot = name.find('.');
  if (dot == std::string::npos) return nullptr;
  const auto wildcard = state.by_name.find("*" + name.substr(dot));
  return wildcard == state.by_name.end() ? nullptr : wildcard->second;
}

int on_server_name(SSL* ssl, int*, void* argument) {
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (name == nullptr) return SSL_TLSEXT_ERR_NOACK;
  // An unknown name gets the default certificate: clients show that better than an alert.
  SSL_CTX* ctx = find_name(*static_cast<ServerState*>(argument), name);
  if (ctx == nullptr) return SSL_TLSEXT_ERR_NOACK;
  if (ctx != SSL_get_SSL_CTX(ssl) && SSL_set_SSL_CTX(ssl, ctx) == nullptr) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  return SSL_TLSEXT_ERR_OK;
}

bool set_ticket_ciphers(const TicketKey& key, const unsigned char* iv, EVP_CIPHER_CTX* cipher,
                        EVP_MAC_CTX* mac, bool encrypt) {
  const ByteView bytes(key.bytes);
  const ByteView mac_key = bytes.subspan(kTicketNameBytes, kTicketMacBytes);
  const ByteView cipher_key = bytes.subspan(kTicketNameBytes + kTicketMacBytes);
  std::array<std::byte, kTicketMacBytes> mac_copy{};  // OSSL_PARAM takes no const
  std::ranges::copy(mac_key, mac_copy.begin());
  std::string digest = "SHA256";
  const std::array<OSSL_PARAM, 3> params = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, mac_copy.data(), mac_copy.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0),
      OSSL_PARAM_construct_end()};
  const bool set = EVP_MAC_CTX_set_params(mac, params.data()) == 1 &&
                   EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), nullptr, octets(cipher_key), iv,
                                     encrypt ? 1 : 0) == 1;
  OPENSSL_cleanse(mac_copy.data(), mac_copy.size());
  return set;
}

// OpenSSL's contract: 1 go on, 2 go on but give a new ticket, 0 no such key, -1 error.
int on_ticket_key(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                  EVP_MAC_CTX* mac, int encrypt) {
  const ServerState* state = state_of(SSL_get_SSL_CTX(ssl));
  if (state == nullptr || !state->ticket_key) return encrypt != 0 ? -1 : 0;
  if (encrypt != 0) {
    const TicketKey& key = *state->ticket_key;
    if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1) return -1;
    std::memcpy(name, key.bytes.data(), kTicketNameBytes);
    return set_ticket_ciphers(key, iv, cipher, mac, true) ? 1 : -1;
  }
  for (const std::optional<TicketKey>* key : {&state->ticket_key, &state->ticket_key_previous}) {
    if (!*key || std::memcmp(name, (*key)->bytes.data(), kTicketNameBytes) != 0) continue;
    if (!set_ticket_ciphers(**key, iv, cipher, mac, false)) return -1;
    // RFC 8446 C.4: in TLS 1.3 a ticket should serve once, so a new one comes with each resumption.
    return key == &state->ticket_key && SSL_version(ssl) != TLS1_3_VERSION ? 1 : 2;
  }
  return 0;
}

BioPtr bio_over(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// A key with a passphrase is refused; without this OpenSSL would ask at the terminal.
int no_passphrase(char*, int, int, void*) { return -1; }

// The certificate's own names: its DNS SANs, else its CN.
std::vector<std::string> names_of(X509* certificate) {
  std::vector<std::string> names;
  using NamesPtr = std::unique_ptr<GENERAL_NAMES, OpensslFree<GENERAL_NAMES_free>>;
  const NamesPtr sans(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; sans && i < sk_GENERAL_NAME_num(sans.get()); ++i) {
    const GENERAL_NAME* san = sk_GENERAL_NAME_value(sans.get(), i);
    if (san->type != GEN_DNS) continue;
    names.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(san->d.dNSName)),
                       static_cast<size_t>(ASN1_STRING_length(san->d.dNSName)));
  }
  std::array<char, kServerNameBytesMax + 1> common_name{};
  if (names.empty() &&
      X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                common_name.data(), static_cast<int>(common_name.size())) > 0) {
    names.emplace_back(common_name.data());
  }
  return names;
}

// Chain and key of one certificate into `ctx`, which may hold others of another key type.
Result<> use_certificate(SSL_CTX* ctx, const Certificate& certificate, X509* leaf, BIO* chain) {
  const BioPtr key_bio = bio_over(certificate.key_pem);
  const PkeyPtr key(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, no_passphrase, nullptr));
  if (!key) return fail(ErrorKind::kInvalid, "key: " + take_openssl_error("no PEM key"));
  if (SSL_CTX_use_certificate(ctx, leaf) != 1) {
    return fail(ErrorKind::kInvalid, take_openssl_error("certificate refused"));
  }
  for (;;) {
    X509Ptr link(PEM_read_bio_X509(chain, nullptr, no_passphrase, nullptr));
    if (!link) break;
    if (SSL_CTX_add1_chain_cert(ctx, link.get()) != 1) {
      return fail(ErrorKind::kInvalid, "chain: " + take_openssl_error("refused"));
    }
  }
  // The chain ends with "no start line"; anything else is a damaged link.
  const unsigned long error = ERR_peek_last_error();
  if (error != 0 && ERR_GET_REASON(error) != PEM_R_NO_START_LINE) {
    return fail(ErrorKind::kInvalid, "chain: " + take_openssl_error("not PEM"));
  }
  ERR_clear_error();
  if (SSL_CTX_use_PrivateKey(ctx, key.get()) != 1 || SSL_CTX_check_private_key(ctx) != 1) {
    return fail(ErrorKind::kInvalid, take_openssl_error("key does not fit the certificate"));
  }
  return {};
}

Result<SslCtxPtr> make_context(const ServerSettings& settings, ServerState* state) {
  SslCtxPtr ctx(SSL_CTX_new(TLS_server_method()));
  if (!ctx) return fail(ErrorKind::kUnsupported, take_openssl_error("no TLS server"));
  Result<> set = set_protocol(ctx.get(), settings.version_min, settings.version_max, std::nullopt);
  if (!set) return std::unexpected(set.error());
  constexpr std::string_view kIdContext = "dormouse";  // the same in every process that shares keys
  if (SSL_CTX_set_session_id_context(ctx.get(), octets(as_bytes(kIdContext)), kIdContext.size()) !=
          1 ||
      SSL_CTX_set_ex_data(ctx.get(), state_index(), state) != 1) {
    return fail(ErrorKind::kLimit, take_openssl_error("TLS context refused"));
  }
  SSL_CTX_set_session_cache_mode(ctx.get(), SSL_SESS_CACHE_OFF);  // tickets keep the state
  SSL_CTX_set_timeout(ctx.get(), static_cast<long>(settings.ticket_lifetime_s));
  if (settings.ticket_key) {
    SSL_CTX_set_num_tickets(ctx.get(), settings.tickets_per_session);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx.get(), on_ticket_key);
  } else {
    SSL_CTX_set_num_tickets(ctx.get(), 0);
    SSL_CTX_set_options(ctx.get(), SSL_OP_NO_TICKET);
  }
  SSL_CTX_set_tlsext_servername_callback(ctx.get(), on_server_name);
  SSL_CTX_set_tlsext_servername_arg(ctx.get(), state);
  HandshakeDriver::install_callbacks(ctx.get());
  return ctx;
}

// Loads one certificate into its context: the one with the same names, or the first while that is
// empty, or a new one.
Result<> add_certificate(const Certificate& certificate, const ServerSettings& settings,
                         SSL_CTX* first, ServerState* state,
                         std::map<std::vector<std::string>, SSL_CTX*>& by_names) {
  if (certificate.chain_pem.size() > kPemBytesMax || certificate.key_pem.size() > kPemBytesMax) {
    return fail(ErrorKind::kLimit, "PEM text too long");
  }
  const BioPtr chain = bio_over(certificate.chain_pem);
  const X509Ptr leaf(PEM_read_bio_X509_AUX(chain.get(), nullptr, no_passphrase, nullptr));
  if (!leaf) return fail(ErrorKind::kInvalid, "certificate: " + take_openssl_error("no PEM"));
  std::vector<std::string> names =
      certificate.names.empty() ? names_of(leaf.get()) : certificate.names;
  for (std::string& name : names) name = lower(name);
  std::ranges::sort(names);
  SSL_CTX*& ctx = by_names[names];
  if (ctx == nullptr && by_names.size() == 1) ctx = first;
  if (ctx == nullptr) {
    Result<SslCtxPtr> made = make_context(settings, state);
    if (!made) return std::unexpected(made.error());
    ctx = made->get();
    state->others.push_back(std::move(*made));
  }
  for (const std::string& name : names) state->by_name.emplace(name, ctx);  // the earlier one wins
  return use_certificate(ctx, certificate, leaf.get(), chain.get());
}

Result<std::string> read_pem(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail_errno(errno, "open " + path);
  std::string text(kPemBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return fail_errno(EIO, "read " + path);
  const auto size = static_cast<size_t>(file.gcount());
  if (size > kPemBytesMax) {
    OPENSSL_cleanse(text.data(), text.size());
    return fail(ErrorKind::kLimit, path + ": PEM file too long");
  }
  std::string exact(text.data(), size);
  OPENSSL_cleanse(text.data(), text.size());
  return exact;
}

}  // namespace

Result<TicketKey> TicketKey::generate() {
  TicketKey key;
  if (RAND_bytes(octets(ByteSpan(key.bytes)), kBytes) != 1) {
    return fail(ErrorKind::kUnavailable, take_openssl_error("no random bytes"));
  }
  return key;
}

Result<TicketKey> TicketKey::from(ByteView bytes) {
  if (bytes.size() != kBytes) {
    return fail(ErrorKind::kInvalid,
                fmt::format("ticket key of {} bytes instead of {}", bytes.size(), kBytes));
  }
  TicketKey key;
  std::ranges::copy(bytes, key.bytes.begin());
  return key;
}

TicketKey::~TicketKey() { OPENSSL_cleanse(bytes.data(), bytes.size()); }

Certificate::~Certificate() { OPENSSL_cleanse(key_pem.data(), key_pem.size()); }

Result<Certificate> Certificate::load(const std::string& chain_path, const std::string& key_path) {
  Certificate certificate;
  Result<std::string> chain = read_pem(chain_path);
  if (!chain) return std::unexpected(chain.error());
  Result<std::string> key = read_pem(key_path);
  if (!key) return std::unexpected(key.error());
  certificate.chain_pem = std::move(*chain);
  certificate.key_pem = std::move(*key);
  return certificate;
}

Result<ServerContext> ServerContext::create(ServerSettings settings) {
  ERR_clear_error();
  if (settings.certificates.empty()) return fail(ErrorKind::kInvalid, "no TLS certificate given");
  if (settings.certificates.size() > kCertificatesMax) {
    return fail(ErrorKind::kLimit, "too many TLS certificates");
  }
  if (settings.tickets_per_session > kTicketsPerSessionMax) {
    return fail(ErrorKind::kInvalid, "too many tickets per session");
  }
  auto state = std::make_unique<ServerState>();
  state->ticket_key = settings.ticket_key;
  state->ticket_key_previous = settings.ticket_key_previous;
  Result<SslCtxPtr> first = make_context(settings, state.get());
  if (!first) return std::unexpected(first.error());
  std::map<std::vector<std::string>, SSL_CTX*> by_names;
  for (size_t i = 0; i < settings.certificates.size(); ++i) {
    const Result<> added =
        add_certificate(settings.certificates[i], settings, first->get(), state.get(), by_names);
    if (!added) {
      return fail(added.error().kind,
                  fmt::format("TLS certificate {}: {}", i + 1, added.error().message));
    }
  }
  if (SSL_CTX_set_ex_data(first->get(), owner_index(), state.get()) != 1) {
    return fail(ErrorKind::kLimit, take_openssl_error("TLS context refused"));
  }
  std::ignore = state.release();  // now the context's
  return ServerContext(first->release());
}

ServerContext::ServerContext(ServerContext&& other) noexcept
    : ctx_(std::exchange(other.ctx_, nullptr)) {}
ServerContext& ServerContext::operator=(ServerContext&& other) noexcept {
  if (this != &other) {
    SSL_CTX_free(ctx_);
    ctx_ = std::exchange(other.ctx_, nullptr);
  }
  return *this;
}
ServerContext::~ServerContext() { SSL_CTX_free(ctx_); }

Result<> ServerContext::rotate_ticket_key(const TicketKey& key) {
  ServerState* state = state_of(ctx_);
  if (!state->ticket_key) {
    return fail(ErrorKind::kInvalid, "TLS context was made without tickets");
  }
  state->ticket_key_previous = std::exchange(state->ticket_key, key);
  return {};
}

}  // namespace dormouse::tls
