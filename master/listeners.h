#pragma once
// Listening sockets. The master binds them once (or is handed them by socket activation) and keeps
// them for the server's life: a restarted login finds the connections that queued meanwhile.
// An address has a socket for each login process (SO_REUSEPORT), so that steering can choose among
// them; or one for all, where the settings or the service manager want that.

#include <string>
#include <vector>

#include "io/fd.h"
#include "io/result.h"
#include "master/settings.h"

namespace dormouse::master {

struct Listener {
  std::string name;     // "imap" or "imaps"
  std::string address;  // "127.0.0.1:10143", as the socket says itself
  // In the order of the login processes; or one, which they share.
  std::vector<io::Fd> sockets;
};

// 0 when it has none.
uint16_t listening_port(int socket);
// The one that login process `index` accepts from.
int socket_for(const Listener& listener, uint32_t index);

// Binds every address of [listen]. Sockets that the service manager passed (LISTEN_FDS) and that
// are called imap or imaps (FileDescriptorName=) take the place of the addresses of that name.
// The error names the address.
Result<std::vector<Listener>> open_listeners(const Settings& settings);

}  // namespace dormouse::master
