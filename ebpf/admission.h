#pragma once
// How much admission lets in, and where that is said: one page, read by whoever paces (the kernel's
// filter, or login), written by whoever decides. So a change takes effect with the next connection,
// without a message and without a system call. docs/ebpf.md has the policy.

#include <cstdint>

#include "ebpf/admission_shared.h"
#include "ebpf/page.h"
#include "io/fd.h"
#include "io/result.h"

namespace dormouse::ebpf {

struct AdmissionRates {
  uint32_t per_second = 0;        // over all listeners; 0: no bound
  uint32_t burst = 0;             // at once after a quiet time; 2 at the least
  uint32_t prefix_percent = 100;  // of both: a prefix's share; 1 to 100
  bool operator==(const AdmissionRates&) const = default;
};

// As the page has it. `shares`: how many processes pace each for itself, and get an equal part.
admission_rates limits_of(const AdmissionRates& rates, uint32_t shares = 1);

// The writing end. Any process that was given the page's descriptor may have one.
class AdmissionControl {
 public:
  // `page`: AdmissionFilter::rates_fd(), or a memfd of make_page(). Not kept.
  static Result<AdmissionControl> over(int page);

  // `shares` as in limits_of().
  void set_rates(const AdmissionRates& rates, uint32_t shares = 1);

 private:
  Page<admission_rates> page_;
};

}  // namespace dormouse::ebpf
