#include "auth/auth_main.h"

#include <cstdlib>

#include "auth/server.h"
#include "role/log.h"
#include "role/process.h"

namespace dormouse::auth {

// Given: the passwd-file, open; channels to the logins and the tracker. Given up: everything else;
// it keeps threads, which compute hashes.
int auth_main() {
  role::Process process;
  auto server = AuthServer::create(process);
  if (!server) {
    role::log_error("role-cannot-start", {{"step", "create"}, {"reason", server.error().message}});
    return EXIT_FAILURE;
  }
  process.set_sandbox({.threads = true});
  return process.run(**server);
}

}  // namespace dormouse::auth
