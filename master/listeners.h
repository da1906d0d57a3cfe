#pragma once
// Listening sockets. The master binds them once (or is handed them by socket activation) and keeps
// them for the server's life: a restarted login finds the connections that queued meanwhile.

#include <string>
#include <vector>

#include "io/fd.h"
#include "io/result.h"
#include "master/settings.h"

namespace dormouse::master {

struct Listener {
  std::string name;     // "imap" or "imaps"
  std::string address;  // "127.0.0.1:10143", as the socket says itself
  io::Fd fd;
};

// Binds every address of [listen]. Sockets that the service manager passed (LISTEN_FDS) and that
// are called imap or imaps (FileDescriptorName=) take the place of the addresses of that name.
// The error names the address.
Result<std::vector<Listener>> open_listeners(const Settings& settings);

}  // namespace dormouse::master
