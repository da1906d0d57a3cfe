#pragma once
// AuthClient: login's side of login_auth.proto, over the links to all auth processes. An exchange
// stays with the process it began at; when that dies, its exchanges end as UNAVAILABLE.

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "io/channel.h"
#include "io/loop.h"
#include "io/secret.h"
#include "login/limits.h"
#include "wire/login_auth.pb.h"
#include "wire/outbox.h"

namespace dormouse::login {

struct AuthAnswer {
  enum class Kind : uint8_t { kChallenge, kGranted, kCredentials, kUnavailable, kProtocol };
  Kind kind = Kind::kUnavailable;
  std::string data;   // kChallenge: the challenge; kGranted: SCRAM's server-final message
  std::string grant;  // kGranted
  std::string user;   // kGranted, for the log
  std::string text;   // otherwise, for the log
};

class AuthClient {
 public:
  explicit AuthClient(io::Loop& loop) : loop_(loop), linked_(loop) {}
  void set_patience_ms(uint64_t patience_ms) { patience_ms_ = patience_ms; }  // tests
  AuthClient(const AuthClient&) = delete;
  AuthClient& operator=(const AuthClient&) = delete;

  // Serves one link until it closes.
  io::Task<void> serve(io::Channel channel);
  bool linked() const { return !links_.empty(); }
  size_t exchanges() const { return exchanges_.size(); }

  // One exchange, in the frame of the connection's coroutine. Ending before it was concluded, it
  // tells auth to forget it.
  class Exchange {
   public:
    explicit Exchange(AuthClient& client) : client_(client), answered_(client.loop_) {}
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;
    ~Exchange();

    // kCancelled when the scope is; everything else is an answer. nullopt: no initial response.
    // Where there is no auth process it waits for one: it is being started, or started again.
    io::Task<Result<AuthAnswer>> start(std::string mechanism, std::optional<io::Secret> response,
                                       std::string remote_address, bool tls);
    io::Task<Result<AuthAnswer>> respond(io::Secret response);

   private:
    friend class AuthClient;
    io::Task<Result<AuthAnswer>> wait(bool sent);
    void conclude();

    AuthClient& client_;
    io::Event answered_;
    AuthAnswer answer_;
    uint64_t request_ = 0;  // 0: not under way
    uint64_t link_ = 0;
  };

 private:
  struct Link;
  void handle(wire::AuthToLogin& message);
  // The message's secret is wiped afterwards.
  bool push(uint64_t link, wire::LoginToAuth& message, std::string* secret);
  Link* find(uint64_t id);

  io::Loop& loop_;
  std::vector<Link*> links_;  // in the frames of serve()
  io::Event linked_;          // set while there are any
  uint64_t patience_ms_ = kPatienceMs;
  uint64_t next_link_ = 1;
  uint64_t next_request_ = 1;  // unique over all links
  size_t turn_ = 0;
  std::unordered_map<uint64_t, Exchange*> exchanges_;
};

}  // namespace dormouse::login
