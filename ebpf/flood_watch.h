#pragma once
// FloodWatch tells a login storm from a flood of SYNs that nobody means: in a storm most of those
// who are let in end their handshake. In a flood admission must stand aside, since made-up
// addresses would use up the tokens of honest clients, while the kernel's SYN cookies answer them
// for nothing. An engine: it is given the filter's counters once a second, or less often while
// nobody comes.

#include <cstdint>

#include "ebpf/admission_filter.h"

namespace dormouse::ebpf {

class FloodWatch {
 public:
  // Whether admission should stand aside from now on.
  bool look(const AdmissionCounters& counters);
  // When to look again. A flood that begins in the quiet is believed some seconds later.
  uint64_t next_look_ms() const { return quiet_ && !flooded_ ? kQuietLookMs : kLookMs; }

  static constexpr uint64_t kLookMs = 1000;
  static constexpr uint64_t kQuietLookMs = 4000;

 private:
  AdmissionCounters before_{};
  bool flooded_ = false;
  bool quiet_ = false;    // nobody had come, the last time
  unsigned seconds_ = 0;  // in a row that speak against what is thought
};

}  // namespace dormouse::ebpf
