#pragma once
// What every kind of load has to be told: where, how, as whom. Options are as the command line
// gives them, nothing checked; the functions say what they mean, or kInvalid and which of them is
// wrong.

#include <cstdint>
#include <optional>
#include <string>

#include "io/result.h"
#include "loadtest/target.h"
#include "loadtest/user_pattern.h"
#include "tls/handshake.h"

namespace dormouse::loadtest {

struct ConnectionOptions {
  std::string target = "127.0.0.1:10143";
  bool allow_remote = false;
  bool tls = false;
  bool plain = false;       // says the default aloud
  std::string tls_version;  // "1.2", "1.3" or empty: either
  bool tls_resume = false;  // all but the first connections resume a session of TLS 1.3
  std::string tls_ca;       // empty: the certificate is not verified
  std::string server_name;
  uint32_t sources = 0;  // 0: one for each 50 sessions
  std::string user = "u%d@example.org";
  std::string password = "x";
  uint32_t first_user = 1;
  uint32_t users = 1;
  uint32_t together = 0;  // so many clients in a row are of one user; 0: users take turns
  std::string mailbox = "INBOX";
};

inline constexpr uint32_t kSessionsMax = 4'000'000;  // den.sessions allows no more

// kDenied when it is not loopback and nobody said that it may be.
Result<Target> target_of(const ConnectionOptions& options);
Result<std::optional<tls::ClientSettings>> tls_of(const ConnectionOptions& options);

struct Names {
  UserPattern user;
  UserPattern password;
};
Result<Names> names_of(const ConnectionOptions& options);

// How many source addresses `sessions` come from.
uint32_t sources_of(const ConnectionOptions& options, uint32_t sessions);

// The limit is per process and nothing else here uses descriptors in number: take what there is.
void raise_open_files();

}  // namespace dormouse::loadtest
