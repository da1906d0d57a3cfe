#pragma once
// Replays a trace under a park policy and says what it would have cost. The adaptive policy is the
// worker's own code (SessionRhythm); hindsight is the least that any policy could pay.

#include <cstdint>
#include <optional>

#include "tuning/park_policy.h"
#include "tuning/trace.h"

namespace dormouse::tuning {

struct SimulationPrices {
  // A wake and the parking after it, in time awake that costs the same (ParkParameters).
  uint64_t wake_worth_ms = ParkParameters().wake_worth_ms[0];
  // The share of it that parking is: all that is paid for a sleeper that never wakes. Measured
  // (docs/costs.md).
  double park_share = 0.3;
  // Added to the command that wakes (docs/costs.md, "The first command after a sleep").
  double wake_latency_ms = 2.9;
};

struct SimulatedPolicy {
  // Set: a fixed time since the last command that a sleeper wakes for.
  std::optional<uint64_t> fixed_ms;
  // Fixed: one of its own outside IDLE, and every word of the client's counts, small talk too. As
  // the server did before there was a policy.
  std::optional<uint64_t> fixed_other_ms;
  // Else adaptive, with these:
  ParkParameters parameters;
  Pressure pressure = Pressure::kCalm;
  bool learns_kinds = true;  // false: without ClientHabits
};

struct SimulationResult {
  double awake_s = 0;  // of all sessions: worker-seconds
  uint64_t commands = 0;
  uint64_t parks = 0;
  uint64_t wakes = 0;
  double added_latency_ms = 0;  // of all commands
  double cost_s = 0;            // awake_s and what wakes and parks are worth

  double latency_per_command_ms() const {
    return commands == 0 ? 0 : added_latency_ms / double(commands);
  }
};

SimulationResult simulate(const Trace& trace, const SimulatedPolicy& policy,
                          const SimulationPrices& prices);
// The best decision for each gap, knowing its length.
SimulationResult hindsight(const Trace& trace, const SimulationPrices& prices);

}  // namespace dormouse::tuning
