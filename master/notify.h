#pragma once
// Telling the watch of a change without the file system's help (docs/change-notices.md): what
// `dormouse deliver` does after a delivery, and `dormouse notify` for programs that cannot send a
// datagram themselves.

#include <string>

#include "hibernate/watch/notice.h"
#include "io/fd.h"
#include "master/settings.h"

namespace dormouse::master {

// The server's socket on this machine. Empty: it has none, or may not be sent to by us, which
// delays news where the store is polled and does no other harm.
io::Fd open_notices(const Settings& settings);

struct NotifyRequest {
  std::string user;
  std::string mailbox = "INBOX";  // empty: the list of mailboxes
  bool arrival = false;
  std::string to;  // "host:port" of another server's watch.notice_listen; empty: this machine's
};
// Exit status: 0 sent; 78 (EX_CONFIG) the settings or the key; 64 (EX_USAGE) a name that cannot be;
// 69 (EX_UNAVAILABLE) nobody takes it. Over UDP nobody says whether it came.
int notify(const std::string& settings_file, const NotifyRequest& request);

}  // namespace dormouse::master
