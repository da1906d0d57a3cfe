// What stands in for the loaders in a build without BPF: each says why.

#include "ebpf/admission_filter.h"
#include "ebpf/census.h"
#include "ebpf/steering.h"
#include "ebpf/support.h"

namespace dormouse::ebpf {

std::string_view not_built() { return DORMOUSE_NO_BPF; }

struct AdmissionFilter::Loaded {};
AdmissionFilter::AdmissionFilter(std::unique_ptr<Loaded> loaded) : loaded_(std::move(loaded)) {}
AdmissionFilter::AdmissionFilter(AdmissionFilter&&) noexcept = default;
AdmissionFilter& AdmissionFilter::operator=(AdmissionFilter&&) noexcept = default;
AdmissionFilter::~AdmissionFilter() = default;
Result<AdmissionFilter> AdmissionFilter::load() {
  return fail(ErrorKind::kUnsupported, DORMOUSE_NO_BPF);
}
Result<> AdmissionFilter::attach(int) { return fail(ErrorKind::kUnsupported, DORMOUSE_NO_BPF); }
int AdmissionFilter::rates_fd() const { return -1; }
AdmissionCounters AdmissionFilter::counters() const { return {}; }

struct Census::Loaded {};
Census::Census(std::unique_ptr<Loaded> loaded) : loaded_(std::move(loaded)) {}
Census::Census(Census&&) noexcept = default;
Census& Census::operator=(Census&&) noexcept = default;
Census::~Census() = default;
Result<Census> Census::open(const std::vector<uint16_t>&) {
  return fail(ErrorKind::kUnsupported, DORMOUSE_NO_BPF);
}
Result<census_totals> Census::take(const std::function<void(const census_socket&)>&) {
  return fail(ErrorKind::kUnsupported, DORMOUSE_NO_BPF);
}

Result<std::unique_ptr<Steering>> make_bpf_steering(uint32_t) {
  return fail(ErrorKind::kUnsupported, DORMOUSE_NO_BPF);
}

}  // namespace dormouse::ebpf
