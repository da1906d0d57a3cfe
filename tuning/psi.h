#pragma once
// Pressure stall information, as /proc/pressure/{memory,cpu,io} and a cgroup's *.pressure show it
// (Documentation/accounting/psi.rst of the kernel). Grammar:
//   file = line{1,2}
//   line = ("some" | "full") " avg10=" D " avg60=" D " avg300=" D " total=" microseconds "\n"
// Pure: text in, numbers out. The averages of the kernel lag by ten seconds; what is used here is
// the difference of two totals.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace dormouse::tuning {

// Time so far in which at least one task (some), or every task that was not idle (full), waited.
struct StallTotals {
  std::optional<uint64_t> some_us;
  std::optional<uint64_t> full_us;  // cpu: older kernels have none
};
// Nothing: this is no such file.
std::optional<StallTotals> parse_psi(std::string_view text);

// The share of the last kWindowMs in which something waited.
class StallMeter {
 public:
  // Long enough that one burst of milliseconds is no share, short enough to be seen in time.
  static constexpr uint64_t kWindowMs = 2'000;

  // `total_us` at `now_ms`; permille since the oldest sample of the window. Nothing at first, and
  // where the total went back (another cgroup's counter).
  std::optional<uint32_t> update(uint64_t now_ms, uint64_t total_us);
  void reset() { count_ = 0; }

 private:
  struct Sample {
    uint64_t at_ms = 0;
    uint64_t total_us = 0;
  };
  // One every 250 ms.
  static constexpr size_t kSamplesMax = 8;
  std::array<Sample, kSamplesMax> samples_{};  // oldest first
  size_t count_ = 0;
};

}  // namespace dormouse::tuning
