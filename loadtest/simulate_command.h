#pragma once
// `dormouse-load simulate`: the park policy beside fixed timeouts and hindsight, on recorded or
// invented traces (docs/tuning.md).

#include <cstdint>
#include <string>
#include <vector>

namespace dormouse::loadtest {

struct SimulateOptions {
  std::vector<std::string> traces;
  uint32_t users = 300;
  uint32_t hours = 24;
  uint64_t seed = 1;
  std::string write_path;
  std::string json_path;
  std::string plot_path;
};

// Answers the exit status: 0 when, on the last trace, the adaptive policy takes fewer
// worker-seconds than every fixed timeout at no more added latency; 1 when some timeout is not
// beaten; 2 for an error.
int simulate_command(const SimulateOptions& options);

}  // namespace dormouse::loadtest
