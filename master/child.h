#pragma once
// A role's process: how it is started, ended and waited for.

#include <sys/types.h>

#include <string>

#include "io/channel.h"
#include "io/fd.h"
#include "io/loop.h"
#include "io/result.h"

namespace dormouse::master {

struct Child {
  pid_t pid = -1;
  io::Fd pidfd;
};

// Starts `executable role NAME INDEX` (the index is for ps only) with `control` as descriptor 3,
// `inherited` (where not -1) as descriptor 4, standard error as ours, /dev/null for input and
// output, and nothing else open; in a session of its own, so that the terminal's signals reach the
// master alone. The environment is ours without what the service manager said to us.
Result<Child> start_child(const std::string& executable, const std::string& role_name,
                          uint32_t index, const io::Channel& control, int inherited);

// By pidfd, so that no other process can ever be meant.
void send_signal(const Child& child, int signal_number);

// Waits for the end: "exited with 1", "killed by signal 9 (Killed)". Reaps.
io::Task<Result<std::string>> wait_for_end(io::Loop& loop, const Child& child);

}  // namespace dormouse::master
