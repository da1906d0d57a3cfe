#include "master/role_entry.h"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sysexits.h>

#include <array>
#include <cstdio>
#include <string_view>

#include "auth/auth_main.h"
#include "hibernate/den_main.h"
#include "hibernate/watch/watch_main.h"
#include "imap/worker_main.h"
#include "login/login_main.h"
#include "role/process.h"
#include "tracker/tracker_main.h"

namespace dormouse::master {
namespace {

struct Entry {
  std::string_view name;
  int (*main)();
};

constexpr std::array kEntries = {
    Entry{"auth", &auth::auth_main},          Entry{"login", &login::login_main},
    Entry{"tracker", &tracker::tracker_main}, Entry{"den", &hibernate::den_main},
    Entry{"watch", &hibernate::watch_main},   Entry{"worker", &imap::worker_main},
};

bool has_master() {
  int type = 0;
  socklen_t length = sizeof type;
  return getsockopt(role::kControlFd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 &&
         type == SOCK_SEQPACKET;
}

}  // namespace

int run_role(const std::string& name) {
  if (!has_master()) {
    fmt::print(stderr, "dormouse role: only `dormouse serve` starts roles\n");
    return EX_USAGE;
  }
  for (const Entry& entry : kEntries) {
    if (entry.name != name) continue;
    // What top and pidof show.
    prctl(PR_SET_NAME, fmt::format("dm-{}", name).c_str(), 0, 0, 0);
    return entry.main();
  }
  fmt::print(stderr, "dormouse role: this build has no role \"{}\"\n", name);
  return EX_USAGE;
}

}  // namespace dormouse::master
