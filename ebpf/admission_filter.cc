#include "ebpf/admission_filter.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/socket.h>

#include <cerrno>
#include <numeric>
#include <vector>

#include "ebpf/admission.skel.h"
#include "ebpf/support.h"

namespace dormouse::ebpf {

struct AdmissionFilter::Loaded {
  admission_bpf* programs = nullptr;
  ~Loaded() { admission_bpf__destroy(programs); }
};

AdmissionFilter::AdmissionFilter(std::unique_ptr<Loaded> loaded) : loaded_(std::move(loaded)) {}
AdmissionFilter::AdmissionFilter(AdmissionFilter&&) noexcept = default;
AdmissionFilter& AdmissionFilter::operator=(AdmissionFilter&&) noexcept = default;
AdmissionFilter::~AdmissionFilter() = default;

Result<AdmissionFilter> AdmissionFilter::load() {
  keep_complaints();
  auto loaded = std::make_unique<Loaded>();
  loaded->programs = admission_bpf__open();
  if (loaded->programs == nullptr) return fail_libbpf(errno, "opening the admission filter");
  if (int error = admission_bpf__load(loaded->programs); error != 0) {
    return fail_libbpf(-error, "loading the admission filter");
  }
  return AdmissionFilter(std::move(loaded));
}

Result<> AdmissionFilter::attach(int listener) {
  int program = bpf_program__fd(loaded_->programs->progs.admission);
  if (setsockopt(listener, SOL_SOCKET, SO_ATTACH_BPF, &program, sizeof program) != 0) {
    return fail_errno(errno, "attaching the admission filter to a listener");
  }
  return {};
}

int AdmissionFilter::rates_fd() const { return bpf_map__fd(loaded_->programs->maps.rates); }

AdmissionCounters AdmissionFilter::counters() const {
  AdmissionCounters counters{};
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return counters;
  std::vector<uint64_t> per_cpu(static_cast<size_t>(cpus));
  const int map = bpf_map__fd(loaded_->programs->maps.verdicts);
  for (uint32_t verdict = 0; verdict < ADMISSION_VERDICTS; ++verdict) {
    if (bpf_map_lookup_elem(map, &verdict, per_cpu.data()) != 0) continue;
    counters[verdict] = std::accumulate(per_cpu.begin(), per_cpu.end(), uint64_t{0});
  }
  return counters;
}

}  // namespace dormouse::ebpf
