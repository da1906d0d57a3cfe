#pragma once
// `dormouse trace`: records when a running server's sessions are used (docs/tuning.md, "Traces").

#include <cstdint>
#include <string>

namespace dormouse::master {

struct TraceOptions {
  std::string settings_file;
  std::string file;
  uint64_t seconds = 3'600;
};

// Answers the exit status. Ends early, with what there is, on SIGINT and SIGTERM, and when the
// server ends.
int trace(const TraceOptions& options);

}  // namespace dormouse::master
