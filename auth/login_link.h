#pragma once
// LoginLink: auth's side of login_auth.proto towards one login process, which faces the network and
// is not trusted: it says what clients say, and learns whether that was right, never who they are.

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "auth/sasl.h"
#include "auth/tracker_link.h"
#include "auth/verifier.h"
#include "io/channel.h"
#include "io/loop.h"
#include "wire/login_auth.pb.h"
#include "wire/outbox.h"

namespace dormouse::auth {

// Exchanges of one login process at a time. One per connection that is authenticating: a login
// process's max_connections rarely is more than some thousands. About 300 bytes each.
inline constexpr size_t kExchangesPerLinkMax = 16 * 1024;
// Answers waiting for a login process that does not read: one per exchange.
inline constexpr size_t kLoginMessagesMax = kExchangesPerLinkMax;
// A presentation address is below 46 bytes (INET6_ADDRSTRLEN).
inline constexpr size_t kAddressBytesMax = 64;

struct LoginCounters {
  uint64_t granted = 0;
  uint64_t refused = 0;
  uint64_t unavailable = 0;
  uint64_t malformed = 0;
};

class LoginLink {
 public:
  // All borrowed; `mechanisms` are those that may be used.
  LoginLink(io::Loop& loop, Verifier& verifier, TrackerLink& tracker,
            const std::vector<Mechanism>& mechanisms, LoginCounters& counters, io::Channel channel);
  // Serves the channel until it closes or the peer breaks the protocol.
  io::Task<void> serve();

 private:
  struct Exchange {
    uint64_t serial = 0;  // tells an exchange from an aborted one that had its number
    Mechanism mechanism = Mechanism::kPlain;
    std::optional<PasswordExchange> password;
    std::shared_ptr<ScramServer> scram;
    std::string remote_address;
    bool busy = false;  // a coroutine works on it
  };

  Result<> handle(wire::LoginToAuth& message);
  Result<> start(wire::LoginToAuth::Start& start);
  Result<> proceed(wire::LoginToAuth::Continue& next);
  // What a password mechanism says next, or the client's message for SCRAM.
  void advance(uint64_t request, Exchange& exchange, PasswordExchange::Step step);
  io::Task<void> check_password(uint64_t request, uint64_t serial, PasswordLogin login,
                                std::string remote_address);
  io::Task<void> step_scram(uint64_t request, uint64_t serial, std::shared_ptr<ScramServer> server,
                            io::Secret input, std::string remote_address);
  io::Task<void> conclude(uint64_t request, uint64_t serial, Verdict verdict);
  // The exchange, if it was not aborted meanwhile.
  Exchange* find(uint64_t request, uint64_t serial);
  void challenge(uint64_t request, std::string_view data);
  void refuse(uint64_t request, wire::AuthToLogin::Refused::Reason reason, std::string_view text);
  void push(const wire::AuthToLogin& message);

  io::Loop& loop_;
  Verifier& verifier_;
  TrackerLink& tracker_;
  const std::vector<Mechanism>& mechanisms_;
  LoginCounters& counters_;
  io::Channel channel_;
  wire::Outbox outbox_;
  io::Scope* scope_ = nullptr;  // of serve()
  uint64_t next_serial_ = 1;
  std::unordered_map<uint64_t, Exchange> exchanges_;
};

}  // namespace dormouse::auth
