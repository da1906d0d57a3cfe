#pragma once
// `dormouse tune`: what the configured sessions need of this machine, and giving it to them.

#include <cstdint>
#include <string>

#include "io/probe.h"
#include "master/settings.h"

namespace dormouse::master {

struct TuneOptions {
  std::string settings_file;
  uint64_t sessions = 0;  // 0: den.sessions of the settings file
  bool inotify = false;   // as if there were no fanotify
  bool apply = false;
  std::string root;  // instead of "/", for a try and for tests
};

// Answers the exit status: EX_UNAVAILABLE where the sessions do not fit.
int tune(const TuneOptions& options);

// At the start of the server: a warning in the log for each limit that the sessions do not fit in.
// `open_files` is the limit that the master has reached.
void warn_of_limits(const Settings& settings, uint64_t open_files, bool inotify);

}  // namespace dormouse::master
