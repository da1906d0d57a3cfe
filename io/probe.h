#pragma once
// What this machine lets us do, found out once at the start of the master, so that a missing thing
// is told by the name of the kernel feature, sysctl or limit, instead of showing up as an errno in
// some role.

#include <cstdint>
#include <string>
#include <vector>

#include "io/result.h"

namespace dormouse::io {

struct ProbeFinding {
  bool fatal = false;  // the server cannot run; else it runs at some cost
  std::string what;    // the feature, sysctl or limit, and how it stands
  std::string cost;    // what follows, or what to do
};

struct ProbeReport {
  std::string kernel;            // "6.1.0-..."
  uint64_t open_files_soft = 0;  // RLIMIT_NOFILE
  uint64_t open_files_hard = 0;
  std::string no_bpf;  // why no BPF program can be loaded; empty: they can
  std::vector<ProbeFinding> findings;
  bool fatal() const;
};

// Makes a ring and tries it; changes nothing that stays.
ProbeReport probe_machine();

// Raises RLIMIT_NOFILE: to its hard limit, and the hard limit to `wanted` where we may. Answers the
// limit then in force.
uint64_t raise_open_files(uint64_t wanted);

// Whether "6.1.0-13-amd64" is at least major.minor.
bool kernel_at_least(const std::string& release, unsigned major, unsigned minor);

}  // namespace dormouse::io
