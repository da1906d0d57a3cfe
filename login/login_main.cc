#include "login/login_main.h"

#include <cstdlib>

#include "login/server.h"
#include "role/log.h"
#include "role/process.h"

namespace dormouse::login {

// Given: listening sockets, certificates and their keys, the tickets' key; channels to auth and the
// dens. Given up: everything else; it may accept, and talk.
int login_main() {
  role::Process process;
  auto server = LoginServer::create(process);
  if (!server) {
    role::log_error("role-cannot-start", {{"step", "create"}, {"reason", server.error().message}});
    return EXIT_FAILURE;
  }
  process.set_sandbox({.accept = true});
  return process.run(**server);
}

}  // namespace dormouse::login
