#pragma once
// ServerContext: certificates, protocol limits and ticket keys for the server side of handshakes.
// A reload builds a new context; handshakes under way keep the old one alive by themselves.

#include <openssl/types.h>

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/result.h"
#include "tls/bytes.h"
#include "tls/session_keys.h"

namespace dormouse::tls {

// The secrets behind session tickets: the same in all login processes, and of the next start if
// resumption is to survive it. 16 bytes name, 32 HMAC-SHA256 key, 32 AES-256-CBC key.
struct TicketKey {
  static constexpr size_t kBytes = 80;
  std::array<std::byte, kBytes> bytes{};

  static Result<TicketKey> generate();
  static Result<TicketKey> from(ByteView bytes);  // exactly kBytes
  TicketKey() = default;
  TicketKey(const TicketKey&) = default;
  TicketKey& operator=(const TicketKey&) = default;
  ~TicketKey();
};

// A certificate chain (leaf first) and its key, as PEM text, so that a process without access to
// the files can be given them. The key is wiped when destroyed.
struct Certificate {
  std::string chain_pem;
  std::string key_pem;
  // SNI names it is for, "*.example.org" matching one label; empty: the names in the certificate.
  std::vector<std::string> names;

  // Reads both files (blocking; at most kPemBytesMax each).
  static Result<Certificate> load(const std::string& chain_path, const std::string& key_path);
  Certificate() = default;
  Certificate(Certificate&&) noexcept = default;
  Certificate& operator=(Certificate&&) noexcept = default;
  Certificate(const Certificate&) = default;
  Certificate& operator=(const Certificate&) = default;
  ~Certificate();
};

inline constexpr size_t kPemBytesMax = size_t{256} << 10;  // a chain of a few dozen RSA-4096 links
inline constexpr size_t kCertificatesMax = 10'000;         // entries of one SNI map
inline constexpr unsigned kTicketsPerSessionMax = 10;

struct ServerSettings {
  // The first is the default. Two with the same names and different key types (ECDSA, RSA) are
  // offered together.
  std::vector<Certificate> certificates;
  Version version_min = Version::kTls12;
  Version version_max = Version::kTls13;
  // Without a key there are no tickets, hence no resumption.
  std::optional<TicketKey> ticket_key;
  std::optional<TicketKey> ticket_key_previous;
  unsigned tickets_per_session = 2;   // TLS 1.3; OpenSSL's default
  unsigned ticket_lifetime_s = 7200;  // of the key's rotation: about twice is a good interval
};

class ServerContext {
 public:
  // kInvalid with OpenSSL's reason and the certificate's place when it does not load.
  static Result<ServerContext> create(ServerSettings settings);
  ServerContext(ServerContext&& other) noexcept;
  ServerContext& operator=(ServerContext&& other) noexcept;
  ~ServerContext();

  // From now on tickets are made with `key`; those of the key used so far are accepted (and
  // renewed), older ones are not. kInvalid for a context made without a key.
  Result<> rotate_ticket_key(const TicketKey& key);

  SSL_CTX* native() const { return ctx_; }

 private:
  explicit ServerContext(SSL_CTX* ctx) : ctx_(ctx) {}
  SSL_CTX* ctx_;
};

}  // namespace dormouse::tls
