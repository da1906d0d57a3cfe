#pragma once
// Verifier: is this user's password right? It joins the user directory, the cache of successes and
// the hash threads; each question is a coroutine that never holds up the loop.
//
// A name that is not there costs what a name with a wrong password costs, and gives the same
// answer.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "auth/hash_pool.h"
#include "auth/sasl.h"
#include "auth/scram_server.h"
#include "auth/success_cache.h"
#include "auth/user_directory.h"
#include "io/loop.h"
#include "wire/common.pb.h"

namespace dormouse::auth {

struct Verdict {
  enum class Kind : uint8_t {
    kAccepted,     // identity, limits; `output` is SCRAM's server-final message
    kRefused,      // credentials, or no login for this user from there
    kUnavailable,  // too much to do, or shutting down
    kChallenge,    // SCRAM: send `output`
    kMalformed,
  };
  Kind kind = Kind::kRefused;
  std::string user;  // as the client gave it
  wire::Identity identity;
  wire::Limits limits;
  std::string output;
  std::string why;  // for the log
};

class Verifier {
 public:
  // What lives as long as the process. `secret`: see DecoyKey::create.
  static Result<std::unique_ptr<Verifier>> create(io::Loop& loop, std::string_view secret,
                                                  const wire::Settings::Auth& settings);
  Result<> start(io::Scope& scope, const wire::Settings::Auth& settings);

  // From now on these users; the cache is emptied. Never null.
  void set_directory(std::shared_ptr<const UserDirectory> directory,
                     const wire::Settings::Auth& settings);
  const UserDirectory& directory() const { return *directory_; }
  // Reads and parses a passwd-file on a hash thread.
  io::Task<Result<std::shared_ptr<const UserDirectory>>> read_directory(io::Fd file,
                                                                        std::string name,
                                                                        DirectoryDefaults defaults);

  io::Task<Verdict> check_password(PasswordLogin login, std::string remote_address);
  Result<std::shared_ptr<ScramServer>> start_scram();
  io::Task<Verdict> step_scram(std::shared_ptr<ScramServer> server, io::Secret input,
                               std::string remote_address);

  size_t cached() const { return cache_.size(); }
  size_t queued() { return pool_.queued(); }
  uint64_t hashed_total() const { return hashed_total_; }
  uint64_t cache_hits_total() const { return cache_hits_total_; }

 private:
  Verifier(io::Loop& loop, std::unique_ptr<ScramLibrary> library, const DecoyKey& key,
           SuccessCache cache);
  // The password was right: may the user log in from there, and who is it?
  Verdict admit(std::string user, const std::string& remote_address) const;

  io::Loop& loop_;
  std::unique_ptr<ScramLibrary> library_;
  DecoyKey key_;
  SuccessCache cache_;
  std::shared_ptr<const UserDirectory> directory_;
  uint64_t hashed_total_ = 0;
  uint64_t cache_hits_total_ = 0;
  HashPool pool_;  // last: its threads end before what their jobs use
};

}  // namespace dormouse::auth
