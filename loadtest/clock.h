#pragma once
// The clock that latencies are taken with, and waiting for a point on it. The loop's own timers
// tick in milliseconds, as fine as the latencies to be measured; a timerfd does not.

#include <cstdint>

#include "io/fd.h"
#include "io/loop.h"

namespace dormouse::loadtest {

uint64_t now_us();  // CLOCK_MONOTONIC

class PreciseTimer {
 public:
  static Result<PreciseTimer> create();
  // Answers at `due_us` of now_us(), or at once when that has passed.
  io::Task<Result<void>> until(io::Loop& loop, uint64_t due_us);

 private:
  io::Fd fd_;
};

}  // namespace dormouse::loadtest
