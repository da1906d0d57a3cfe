#pragma once
// The park policy beside every fixed timeout. A policy is a point: worker-seconds against latency
// added. Fixed timeouts make one line of such points, the adaptive policy, by what a wake is worth,
// another; below is better.

#include <cstdint>
#include <vector>

#include "tuning/simulate.h"

namespace dormouse::tuning {

struct FrontierPoint {
  uint64_t setting_ms = 0;  // the fixed time; what a wake is worth
  SimulationResult result;
};

struct Frontier {
  std::vector<FrontierPoint> fixed;     // ascending by time: 0.1 s to 30 min
  std::vector<FrontierPoint> adaptive;  // ascending by worth
  std::vector<FrontierPoint> best;      // hindsight, ascending by worth
};

Frontier compare(const Trace& trace, const SimulationPrices& prices);

// The adaptive point of the fewest worker-seconds among those that add no more latency than
// `other`. Null: there is none.
const FrontierPoint* no_slower(const std::vector<FrontierPoint>& adaptive,
                               const SimulationResult& other);

}  // namespace dormouse::tuning
