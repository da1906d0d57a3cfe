#pragma once
// Progress: what a fleet does, once a second: a line for people, and a sample for the report and
// the plot at the end.

#include <cstdint>
#include <string>
#include <vector>

#include "io/loop.h"
#include "loadtest/fleet.h"
#include "loadtest/stress/run.h"

namespace dormouse::loadtest {

class Progress {
 public:
  // Beyond, every second sample is dropped, and half as many are taken from then on.
  static constexpr size_t kSamplesMax = 4096;

  Progress(io::Loop& loop, Fleet& fleet, bool quiet) : loop_(loop), fleet_(fleet), quiet_(quiet) {}
  // Busy clients beside the sleepers: their answers and violations are shown too.
  void watch(const stress::StressRun* stress) { stress_ = stress; }

  io::Task<void> run();      // until cancelled
  std::string json() const;  // an array
  std::string svg() const;

 private:
  struct Sample {
    double seconds = 0;
    uint64_t connected = 0;
    uint64_t asleep = 0;
    uint64_t awake = 0;
    uint64_t logins = 0;   // since the sample before, a second; as the two below
    uint64_t heard = 0;    // deliveries
    uint64_t answers = 0;  // busy clients' commands
    uint64_t p50_us = 0;
    uint64_t p99_us = 0;
    uint64_t owed = 0;
    uint64_t lost = 0;
    uint64_t wrong = 0;
  };
  Sample take(double seconds);
  void show(const Sample& sample) const;
  void thin();

  io::Loop& loop_;
  Fleet& fleet_;
  bool quiet_;
  const stress::StressRun* stress_ = nullptr;
  std::vector<Sample> samples_;
  uint64_t interval_ms_ = 1000;
  uint64_t logins_ = 0;
  uint64_t answers_ = 0;
};

}  // namespace dormouse::loadtest
