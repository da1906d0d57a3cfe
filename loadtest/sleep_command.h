#pragma once
// `dormouse-load sleep`: many clients that log in, SELECT, perhaps FETCH, and IDLE; then what the
// command line or the control channel asks for.

#include <cstdint>
#include <string>
#include <vector>

#include "io/result.h"
#include "loadtest/connection_options.h"
#include "loadtest/driver.h"
#include "loadtest/fleet.h"
#include "loadtest/progress.h"

namespace dormouse::loadtest {

// As the command line gives them, nothing checked yet.
struct SleepOptions : ConnectionOptions {
  uint32_t sessions = 100;
  uint32_t headers = 0;
  double compress = 0;
  double poll = 0;
  double poll_every = 60;
  double notify = 0;
  std::string command_text;
  uint32_t ramp = 0;
  uint32_t parallel = 64;
  double login_timeout = 60;
  uint32_t sockets_per_shard = 0;
  std::string maildir;
  uint32_t message_bytes = 1000;
  double rate = 20;
  uint32_t deliveries = 0;
  uint32_t done = 0;
  uint32_t commands = 0;
  double park_wait = 3;
  double hold = 0;
  double hold_deliver = 0;  // a second, during hold
  double hold_done = 0;
  double hold_command = 0;
  double hold_leave = 0;
  uint32_t storms = 0;
  bool may_drop_awake = false;
  bool logout = false;
  std::string json_path;
  std::string plot_path;
  std::string control_path;
  bool quiet = false;
};

// What the options mean; kInvalid says which of them is wrong.
Result<FleetSettings> fleet_settings(const SleepOptions& options);
DriverSettings driver_settings(const SleepOptions& options);
// The commands that the options stand for when there is no control channel.
std::vector<std::string> script(const SleepOptions& options);

// Writes --json and --plot, where they were asked for; says what it could not write.
bool write_results(const SleepOptions& options, const std::vector<std::string>& results,
                   Driver& driver, const Progress& progress);

// Answers the exit code: 0 all was right; 1 something was lost, missing, wrong or too late; 2 it
// could not start.
int sleep_command(const SleepOptions& options);

// `dormouse-load storm`: all of them at once, and again after all were cut off. The same exit code.
int storm_command(SleepOptions options);

}  // namespace dormouse::loadtest
