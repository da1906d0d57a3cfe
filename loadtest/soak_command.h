#pragma once
// `dormouse-load soak`: sleepers and busy clients together for a given time, while the memory of
// the server's processes is watched.

#include <string>
#include <vector>

#include "io/result.h"
#include "loadtest/sleep_command.h"
#include "loadtest/stress_command.h"

namespace dormouse::loadtest {

// As the command line gives them, nothing checked yet. Busy clients have users of their own.
struct SoakOptions : SleepOptions {
  double seconds = 1800;
  uint32_t stress_clients = 20;
  uint32_t stress_users = 5;
  uint32_t stress_first_user = 0;  // 0: behind the sleepers' last
  uint64_t seed = 0;
  std::vector<std::string> server_pids;
  double leak_every = 5;
  uint32_t leak_mib = 16;
};

// What the options say of the busy clients; kInvalid when they share users with the sleepers.
Result<StressOptions> stress_of(const SoakOptions& options);

// Answers the exit code: 0 all was right; 1 something was wrong or a process grew; 2 it could not
// start.
int soak_command(const SoakOptions& options);

}  // namespace dormouse::loadtest
