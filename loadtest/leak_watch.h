#pragma once
// LeakWatch: whether the processes of a server grow. Each sample is a process's proportional set
// size (PSS of /proc/PID/smaps_rollup: memory that several share is divided among them; where that
// may not be read, the resident set of statm). A straight line is fitted through the samples by
// least squares, the first third left out: caches fill, pools find their size. What grows along
// that line, from its first judged sample to its last, by more than the threshold, leaks. All
// processes together are judged as well, since those that are killed and restarted never grow old.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "io/result.h"

namespace dormouse::loadtest {

class MemorySeries {
 public:
  // At one sample in 5 seconds more than a day; then every second one is dropped.
  static constexpr size_t kSamplesMax = 20'000;
  // Fewer say nothing.
  static constexpr size_t kJudgedMin = 12;

  void add(double seconds, uint64_t bytes);

  struct Trend {
    size_t samples = 0;  // judged
    double seconds = 0;  // from the first of them to the last
    double bytes_per_second = 0;
    double growth_bytes() const { return bytes_per_second * seconds; }
  };
  Trend trend() const;
  uint64_t last_bytes() const { return samples_.empty() ? 0 : samples_.back().bytes; }

 private:
  struct Sample {
    double seconds;
    uint64_t bytes;
  };
  std::vector<Sample> samples_;
};

class LeakWatch {
 public:
  // `processes`: process ids, or files with one id a line, which are read again for each sample.
  // Their descendants are watched with them.
  explicit LeakWatch(std::vector<std::string> processes) : processes_(std::move(processes)) {}

  // kNotFound when no process can be read.
  Result<> sample(double seconds);
  // {"leaks":[..],"processes":[..],"total":{..}}; growth beyond the threshold is a leak.
  std::string json(uint64_t growth_bytes_max) const;
  bool leaks(uint64_t growth_bytes_max) const;

 private:
  struct Process {
    std::string name;
    MemorySeries series;
  };
  // A server that forks for every connection must not fill us.
  static constexpr size_t kProcessesMax = 10'000;

  std::vector<std::string> processes_;
  std::map<int, Process> watched_;
  MemorySeries total_;
};

}  // namespace dormouse::loadtest
