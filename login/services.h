#pragma once
// Services: what all connections of a login process share. Owned by the role object; connections
// borrow it.

#include <cstdint>
#include <string>
#include <vector>

#include "io/loop.h"
#include "login/auth_client.h"
#include "login/den_directory.h"
#include "login/ending.h"
#include "login/limits.h"
#include "login/penalties.h"
#include "login/transport.h"
#include "tuning/pressure_level.h"
#include "tuning/pressure_spacing.h"
#include "wire/settings.pb.h"

namespace dormouse::login {

// The settings, as connections use them. Replaced at a reload; a connection sees the change at its
// next command.
struct Policy {
  std::string greeting;
  std::vector<std::string> mechanisms;  // SASL, in capitals, as auth offers them
  uint32_t max_connections = 0;
  uint32_t max_connections_per_address = 0;
  uint32_t timeout_ms = 0;
  uint32_t max_attempts = 0;
  uint32_t failure_delay_ms = 0;
  bool plaintext_auth = false;   // off loopback without TLS
  double logins_per_second = 0;  // of this process where the server is pressed; 0: no bound
  bool refuse_logins = false;    // where it is critical

  static Policy from(const wire::Settings& settings);
};

struct Counters {
  uint64_t accepted = 0;
  uint64_t handed_over = 0;
  uint64_t failed_attempts = 0;
  uint64_t handshakes = 0;
  uint64_t handshakes_resumed = 0;
  uint64_t handshakes_failed = 0;
  uint64_t refused_address = 0;
  uint64_t evicted = 0;
  EndingCounts ended{};
  // By pressure: connections told BYE, or closed without a word; logins told NO, or made to wait.
  uint64_t refused_connections = 0;
  uint64_t dropped_connections = 0;
  uint64_t refused_logins = 0;
  uint64_t paced_logins = 0;
};

struct Services {
  Services(io::Loop& event_loop, tls::RecordCrypto crypto)
      : loop(event_loop),
        transport(std::move(crypto)),
        auth(event_loop),
        dens(event_loop),
        penalties(kPenaltyEntriesMax) {}

  io::Loop& loop;
  Policy policy;
  TransportShare transport;
  AuthClient auth;
  DenDirectory dens;
  Penalties penalties;
  Counters counters;
  tuning::Pressure pressure = tuning::Pressure::kCalm;
  std::string pressure_text;  // for who is refused
  tuning::Spacing logins;     // while pressed

  bool refuses() const { return policy.refuse_logins && pressure >= tuning::Pressure::kCritical; }
};

}  // namespace dormouse::login
