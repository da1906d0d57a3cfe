#pragma once
// The kernel's side of admission: a filter on each listening socket (admission.bpf.c). It lives as
// long as a socket it is attached to, in whatever process; the maps, as long as the filter.

#include <array>
#include <cstdint>
#include <memory>

#include "ebpf/admission_shared.h"
#include "io/result.h"

namespace dormouse::ebpf {

using AdmissionCounters = std::array<uint64_t, ADMISSION_VERDICTS>;

// "within", "dropped_rate" ...: in the view and in metrics.
const char* verdict_name(unsigned verdict);

class AdmissionFilter {
 public:
  // No bound until AdmissionControl sets one. kUnsupported or kDenied say why it cannot be had.
  static Result<AdmissionFilter> load();
  AdmissionFilter(AdmissionFilter&&) noexcept;
  AdmissionFilter& operator=(AdmissionFilter&&) noexcept;
  ~AdmissionFilter();

  // All listeners share one bucket. Sockets accepted from it inherit the filter, where it lets
  // everything pass; detach_filter() takes even that off.
  Result<> attach(int listener);
  // For AdmissionControl. Ours.
  int rates_fd() const;
  // Since the load, over all CPUs.
  AdmissionCounters counters() const;

 private:
  struct Loaded;
  explicit AdmissionFilter(std::unique_ptr<Loaded> loaded);
  std::unique_ptr<Loaded> loaded_;
};

// Takes the inherited filter off an accepted socket. Needs no privilege; a socket without one is
// left as it is.
void detach_filter(int socket);

}  // namespace dormouse::ebpf
