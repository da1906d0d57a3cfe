#include "ebpf/admission.h"

#include <algorithm>

#include "ebpf/admission_filter.h"

namespace dormouse::ebpf {
namespace {

constexpr uint64_t kSecondNs = 1'000'000'000;
// Half of a bucket is a reserve: each half holds one at the least.
constexpr uint64_t kBurstLeast = 2;
// Longer than a second for one connection of a prefix would be a ban, not a share.
constexpr uint64_t kPrefixIntervalNsMax = kSecondNs;

}  // namespace

admission_rates limits_of(const AdmissionRates& rates, uint32_t shares) {
  if (rates.per_second == 0) return {};
  shares = std::max(shares, 1U);
  const uint64_t percent = std::clamp<uint64_t>(rates.prefix_percent, 1, 100);
  const uint64_t burst = std::max<uint64_t>(rates.burst / shares, kBurstLeast);
  admission_rates limits{};
  limits.interval_ns = std::max<uint64_t>(kSecondNs * shares / rates.per_second, 1);
  limits.depth_ns = burst * limits.interval_ns;
  limits.prefix_interval_ns = std::min(limits.interval_ns * 100 / percent, kPrefixIntervalNsMax);
  limits.prefix_depth_ns = std::max<uint64_t>(burst * percent / 100, 1) * limits.prefix_interval_ns;
  return limits;
}

const char* verdict_name(unsigned verdict) {
  switch (verdict) {
    case ADMISSION_WITHIN:
      return "within";
    case ADMISSION_OVER:
      return "over";
    case ADMISSION_DROPPED_SHARE:
      return "dropped_share";
    case ADMISSION_DROPPED_RATE:
      return "dropped_rate";
    case ADMISSION_UNPACED:
      return "unpaced";
    case ADMISSION_UNREADABLE:
      return "unreadable";
    case ADMISSION_CONTENDED:
      return "contended";
    case ADMISSION_COMPLETED:
      return "completed";
    case ADMISSION_EARLY:
      return "early";
    default:
      return "unknown";
  }
}

Result<AdmissionControl> AdmissionControl::over(int page) {
  auto mapped = Page<admission_rates>::map(page, PageUse::kWrite);
  if (!mapped) return std::unexpected(mapped.error());
  AdmissionControl control;
  control.page_ = std::move(*mapped);
  return control;
}

void AdmissionControl::set_rates(const AdmissionRates& rates, uint32_t shares) {
  const admission_rates limits = limits_of(rates, shares);
  // The interval says whether there is a bound: it comes after what it needs.
  store_field(page_->depth_ns, limits.depth_ns);
  store_field(page_->prefix_interval_ns, limits.prefix_interval_ns);
  store_field(page_->prefix_depth_ns, limits.prefix_depth_ns);
  std::atomic_ref(page_->interval_ns).store(limits.interval_ns, std::memory_order_release);
}

}  // namespace dormouse::ebpf
