#pragma once
// ScramServer: the server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677) by libgsasl. A step may
// derive keys (HMAC some thousand times) and is therefore run on a thread of the HashPool.
//
// A user that does not exist, or whose stored password cannot do SCRAM, goes the same course: a
// salt that is always the same for that name, as many iterations and as much work as the others
// have, and keys that no proof fits.

#include <gsasl.h>

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "auth/scram_secret.h"
#include "auth/user_directory.h"
#include "io/result.h"

namespace dormouse::auth {

// libgsasl's global state; outlives its exchanges. Its exchanges may run on several threads.
class ScramLibrary {
 public:
  static Result<std::unique_ptr<ScramLibrary>> create();
  ScramLibrary(const ScramLibrary&) = delete;
  ScramLibrary& operator=(const ScramLibrary&) = delete;
  ~ScramLibrary();
  Gsasl* native() const { return library_; }

 private:
  ScramLibrary() = default;
  Gsasl* library_ = nullptr;
};

// 32 bytes, wiped when destroyed, from which salts and keys of users without any are made.
class DecoyKey {
 public:
  // From a secret that the server keeps, or random when that is empty. With random ones two
  // processes, or two starts, give a name that does not exist different salts.
  static Result<DecoyKey> create(std::string_view secret);
  DecoyKey(const DecoyKey&) = default;
  DecoyKey& operator=(const DecoyKey&) = default;
  ~DecoyKey();
  std::array<unsigned char, 32> derive(std::string_view purpose, std::string_view user) const;

 private:
  DecoyKey() = default;
  std::array<unsigned char, 32> key_{};
};

// The secret to use for a name, known or not.
ScramSecret scram_secret_of(const UserDirectory& directory, const DecoyKey& key,
                            std::string_view user);

class ScramServer {
 public:
  using Lookup = std::function<ScramSecret(std::string_view user)>;
  // `lookup` is called at most once, on the thread of the step.
  static Result<std::shared_ptr<ScramServer>> start(const ScramLibrary& library, Lookup lookup);
  ScramServer(const ScramServer&) = delete;
  ScramServer& operator=(const ScramServer&) = delete;
  ~ScramServer();

  enum class Outcome : uint8_t {
    kChallenge,  // send `output`
    kDone,       // the client is user(); `output` is the server-final message
    kMismatch,   // the proof does not fit
    kMalformed,  // no SCRAM message, or an authorization as somebody else
  };
  Outcome step(std::string_view input, std::string& output);
  const std::string& user() const { return user_; }

 private:
  explicit ScramServer(Lookup lookup) : lookup_(std::move(lookup)) {}
  friend class ScramLibrary;
  static int answer(Gsasl* library, Gsasl_session* session, Gsasl_property property);
  bool load();

  Gsasl_session* session_ = nullptr;
  Lookup lookup_;
  std::string user_;
  bool loaded_ = false;
};

}  // namespace dormouse::auth
