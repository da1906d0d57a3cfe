#pragma once
// Services: what all connections of a login process share. Owned by the role object; connections
// borrow it.

#include <cstdint>
#include <string>
#include <vector>

#include "io/loop.h"
#include "login/auth_client.h"
#include "login/den_directory.h"
#include "login/limits.h"
#include "login/penalties.h"
#include "login/transport.h"
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
  bool plaintext_auth = false;  // off loopback without TLS

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
  uint64_t timed_out = 0;
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
};

}  // namespace dormouse::login
