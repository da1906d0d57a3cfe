#pragma once
// `dormouse-load stress`: clients that do what comes into their heads, and check every reply.

#include <cstdint>
#include <string>
#include <vector>

#include "io/result.h"
#include "loadtest/connection_options.h"
#include "loadtest/stress/run.h"

namespace dormouse::loadtest {

// As the command line gives them, nothing checked yet.
struct StressOptions : ConnectionOptions {
  uint32_t clients = 10;
  uint32_t messages = 30;
  uint32_t message_bytes = 8000;
  uint32_t pipeline = 2;
  uint32_t idle_ms = 500;
  double seconds = 60;
  uint64_t seed = 0;  // 0: whatever the clock says
  uint32_t stall = 60;
  uint32_t violations_max = 20;
  std::vector<std::string> states;  // "store=50", "fetch2=100,30"
  bool no_extensions = false;
  bool no_fresh = false;
  bool may_disconnect = false;
  std::string json_path;
  bool quiet = false;
};

// What the options mean; kInvalid says which of them is wrong.
Result<stress::RunSettings> stress_settings(const StressOptions& options);

// Answers the exit code: 0 all was right; 1 something was wrong, or nothing was done; 2 it could
// not start.
int stress_command(const StressOptions& options);

}  // namespace dormouse::loadtest
