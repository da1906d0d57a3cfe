#pragma once
// The limits of the machine that bound how many sessions fit, as /proc says them. Read from under
// any root directory, so that a test brings its own /proc.

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "io/result.h"

namespace dormouse::tuning {

// A value that /proc does not have (in a container, or with an older kernel) is absent.
struct Machine {
  std::optional<uint64_t> memory_bytes;  // MemTotal
  uint64_t page_bytes = 4096;
  std::optional<uint64_t> open_files_hard;  // RLIMIT_NOFILE of this process; UINT64_MAX: none
  std::optional<uint64_t> locked_bytes_hard;
  std::optional<uint64_t> nr_open;
  std::optional<uint64_t> file_max;
  std::optional<uint64_t> files_open;              // of the whole machine, now
  std::optional<std::array<uint64_t, 3>> tcp_mem;  // pages: low, pressure, high
  std::optional<std::array<uint64_t, 3>> tcp_rmem;
  std::optional<std::array<uint64_t, 3>> tcp_wmem;
  std::optional<uint64_t> somaxconn;
  std::optional<uint64_t> syn_backlog;
  std::optional<uint64_t> fanotify_queued;
  std::optional<uint64_t> inotify_watches;
  std::optional<uint64_t> inotify_instances;
  std::optional<uint64_t> inotify_queued;
  std::optional<std::array<uint64_t, 2>> port_range;
};

// `root` without a slash at its end; "" is the machine itself. kInvalid names the file that cannot
// be understood.
Result<Machine> read_machine(const std::string& root);

}  // namespace dormouse::tuning
