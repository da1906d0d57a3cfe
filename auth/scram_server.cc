#include "auth/scram_server.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <algorithm>

#include "auth/limits.h"
#include "auth/sasl.h"
#include "imap/syntax/base64.h"
#include "io/secret.h"

namespace dormouse::auth {
namespace {

std::string_view text_of(const std::array<unsigned char, 32>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

Result<std::unique_ptr<ScramLibrary>> ScramLibrary::create() {
  std::unique_ptr<ScramLibrary> library(new ScramLibrary);
  if (int result = gsasl_init(&library->library_); result != GSASL_OK) {
    return fail(ErrorKind::kUnsupported, std::string("libgsasl: ") + gsasl_strerror(result));
  }
  if (gsasl_server_support_p(library->library_, "SCRAM-SHA-256") == 0) {
    return fail(ErrorKind::kUnsupported, "libgsasl without SCRAM-SHA-256");
  }
  gsasl_callback_set(library->library_, &ScramServer::answer);
  return library;
}

ScramLibrary::~ScramLibrary() {
  if (library_ != nullptr) gsasl_done(library_);
}

Result<DecoyKey> DecoyKey::create(std::string_view secret) {
  DecoyKey key;
  if (!secret.empty()) {
    SHA256(reinterpret_cast<const unsigned char*>(secret.data()), secret.size(), key.key_.data());
  } else if (RAND_bytes(key.key_.data(), int(key.key_.size())) != 1) {
    return fail(ErrorKind::kSystem, "no random bytes");
  }
  return key;
}

DecoyKey::~DecoyKey() { OPENSSL_cleanse(key_.data(), key_.size()); }

std::array<unsigned char, 32> DecoyKey::derive(std::string_view purpose,
                                               std::string_view user) const {
  std::string text(purpose);
  text += '\0';
  text += user;
  std::array<unsigned char, 32> out{};
  unsigned length = 0;
  const unsigned char* done =
      HMAC(EVP_sha256(), key_.data(), int(key_.size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(), out.data(), &length);
  DORMOUSE_CHECK(done != nullptr && length == out.size(), "HMAC-SHA-256 works");
  return out;
}

ScramSecret scram_secret_of(const UserDirectory& directory, const DecoyKey& key,
                            std::string_view user) {
  const PasswdFile& file = directory.file();
  const std::string name = canonical_user(user);
  // The shape that most stored secrets have.
  uint32_t iterations = kScramIterationsMin;
  size_t salt_bytes = kScramSaltBytes;
  if (file.decoy().scheme == Scheme::kScramSha256) {
    if (auto typical = ScramSecret::parse(file.decoy().data)) {
      iterations = typical->iterations;
      salt_bytes = std::min(typical->salt.size(), size_t{32});
    }
  }
  const std::string salt(text_of(key.derive("salt", name)).substr(0, salt_bytes));

  StoredPassword stored;
  if (auto entry = file.find(name)) {
    stored = split_stored(entry->secret, file.default_scheme()).value_or(StoredPassword());
  }
  const bool plain = stored.scheme == Scheme::kPlain && !stored.data.empty();
  if (file.has_plain()) {
    // Derived for everyone, or the time would tell who is there.
    auto derived = ScramSecret::derive(plain ? stored.data : "decoy", salt, iterations);
    if (plain && derived) return *derived;
  }
  if (stored.scheme == Scheme::kScramSha256) {
    if (auto kept = ScramSecret::parse(stored.data)) return *kept;
  }
  ScramSecret decoy;
  decoy.iterations = iterations;
  decoy.salt = salt;
  decoy.stored_key = key.derive("stored", name);
  decoy.server_key = key.derive("server", name);
  return decoy;
}

Result<std::shared_ptr<ScramServer>> ScramServer::start(const ScramLibrary& library,
                                                        Lookup lookup) {
  std::shared_ptr<ScramServer> server(new ScramServer(std::move(lookup)));
  const int result = gsasl_server_start(library.native(), "SCRAM-SHA-256", &server->session_);
  if (result != GSASL_OK) {
    return fail(ErrorKind::kSystem, std::string("libgsasl: ") + gsasl_strerror(result));
  }
  gsasl_session_hook_set(server->session_, server.get());
  return server;
}

ScramServer::~ScramServer() {
  if (session_ != nullptr) gsasl_finish(session_);
}

// Gives libgsasl what it asks for, out of the one secret of this exchange.
int ScramServer::answer(Gsasl* /*library*/, Gsasl_session* session, Gsasl_property property) {
  auto* self = static_cast<ScramServer*>(gsasl_session_hook_get(session));
  switch (property) {
    case GSASL_SCRAM_ITER:
    case GSASL_SCRAM_SALT:
    case GSASL_SCRAM_STOREDKEY:
    case GSASL_SCRAM_SERVERKEY:
      return self->load() && gsasl_property_fast(session, property) != nullptr ? GSASL_OK
                                                                               : GSASL_NO_CALLBACK;
    default:
      return GSASL_NO_CALLBACK;  // no channel binding, no password in the clear
  }
}

bool ScramServer::load() {
  if (loaded_) return true;
  const char* user = gsasl_property_fast(session_, GSASL_AUTHID);
  if (user == nullptr) return false;
  user_ = user;
  const ScramSecret secret = lookup_(user_);
  const auto set = [this](Gsasl_property property, std::string value) {
    gsasl_property_set(session_, property, value.c_str());
    io::wipe(value);
  };
  set(GSASL_SCRAM_ITER, std::to_string(secret.iterations));
  set(GSASL_SCRAM_SALT, imap::base64_encode(secret.salt));
  set(GSASL_SCRAM_STOREDKEY, imap::base64_encode(text_of(secret.stored_key)));
  set(GSASL_SCRAM_SERVERKEY, imap::base64_encode(text_of(secret.server_key)));
  loaded_ = true;
  return true;
}

ScramServer::Outcome ScramServer::step(std::string_view input, std::string& output) {
  output.clear();
  // libgsasl reads its input as a C string in places, and waits on when there is none.
  if (input.empty() || input.size() > kResponseBytesMax ||
      input.find('\0') != std::string_view::npos) {
    return Outcome::kMalformed;
  }
  // Channel binding belongs to the -PLUS mechanism, which is not offered (RFC 5802 6); libgsasl
  // would find out one step later only.
  if (!loaded_ && input.front() == 'p') return Outcome::kMalformed;
  char* bytes = nullptr;
  size_t length = 0;
  const int result = gsasl_step(session_, input.data(), input.size(), &bytes, &length);
  if (bytes != nullptr) {
    output.assign(bytes, length);
    gsasl_free(bytes);
  }
  if (result == GSASL_AUTHENTICATION_ERROR) return Outcome::kMismatch;
  if (result != GSASL_OK && result != GSASL_NEEDS_MORE) return Outcome::kMalformed;
  const char* authzid = gsasl_property_fast(session_, GSASL_AUTHZID);
  if (authzid != nullptr && *authzid != '\0' && user_ != authzid) return Outcome::kMalformed;
  if (loaded_ && !is_user_name(user_)) return Outcome::kMalformed;
  return result == GSASL_OK ? Outcome::kDone : Outcome::kChallenge;
}

}  // namespace dormouse::auth
