#pragma once
// The fanotify group that reports changes of the mail store. Made and marked by the master, since
// both need CAP_SYS_ADMIN, and kept for the server's life, so that a watch that is restarted finds
// in it what changed meanwhile.

#include <string>

#include "io/fd.h"
#include "io/result.h"

namespace dormouse::master {

// Marks the file system that holds `mail_root`. kUnsupported or kDenied with the reason when the
// watch has to do without.
Result<io::Fd> make_change_group(const std::string& mail_root);

}  // namespace dormouse::master
