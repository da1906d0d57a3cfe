#include "ebpf/census.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "ebpf/census.skel.h"
#include "ebpf/support.h"
#include "io/fd.h"

namespace dormouse::ebpf {
namespace {

// One read of an iterator's descriptor: records come whole, as many as fit.
constexpr size_t kReadBytes = 1024 * sizeof(census_socket);

// The coarse clock moves once a jiffy.
uint64_t tick_ns() {
  timespec resolution{};
  if (clock_getres(CLOCK_MONOTONIC_COARSE, &resolution) != 0 || resolution.tv_nsec == 0) {
    return 4'000'000;  // 250 Hz, as Debian's kernels have it
  }
  return uint64_t(resolution.tv_nsec);
}

}  // namespace

struct Census::Loaded {
  census_bpf* programs = nullptr;
  std::vector<char> buffer = std::vector<char>(kReadBytes);
  ~Loaded() { census_bpf__destroy(programs); }
};

Census::Census(std::unique_ptr<Loaded> loaded) : loaded_(std::move(loaded)) {}
Census::Census(Census&&) noexcept = default;
Census& Census::operator=(Census&&) noexcept = default;
Census::~Census() = default;

Result<Census> Census::open(const std::vector<uint16_t>& ports) {
  if (ports.size() > CENSUS_PORTS_MAX) return fail(ErrorKind::kLimit, "census: too many ports");
  keep_complaints();
  auto loaded = std::make_unique<Loaded>();
  loaded->programs = census_bpf__open();
  if (loaded->programs == nullptr) return fail_libbpf(errno, "opening the census");
  auto& given = *loaded->programs->rodata;
  for (size_t i = 0; i < ports.size(); ++i) given.ports[i] = ports[i];
  given.ports_count = uint32_t(ports.size());
  given.tick_ns = tick_ns();
  if (int error = census_bpf__load(loaded->programs); error != 0) {
    return fail_libbpf(-error, "loading the census");
  }
  if (int error = census_bpf__attach(loaded->programs); error != 0) {
    return fail_libbpf(-error, "attaching the census");
  }
  return Census(std::move(loaded));
}

Result<census_totals> Census::take(const std::function<void(const census_socket&)>& each) {
  auto& shared = *loaded_->programs->bss;
  std::memset(&shared.totals, 0, sizeof shared.totals);
  shared.each_socket = bool(each);
  io::Fd pass(bpf_iter_create(bpf_link__fd(loaded_->programs->links.census)));
  if (!pass) return fail_libbpf(errno, "starting the census");
  while (true) {
    const ssize_t got = ::read(pass.get(), loaded_->buffer.data(), loaded_->buffer.size());
    if (got == 0) break;
    if (got < 0) {
      // The kernel takes a breath after a million sockets that gave no output.
      if (errno == EAGAIN || errno == EINTR) continue;
      return fail_errno(errno, "taking the census");
    }
    for (size_t at = 0; at + sizeof(census_socket) <= size_t(got); at += sizeof(census_socket)) {
      census_socket socket;
      std::memcpy(&socket, loaded_->buffer.data() + at, sizeof socket);
      if (each) each(socket);
    }
  }
  census_totals totals;
  std::memcpy(&totals, &shared.totals, sizeof totals);
  return totals;
}

}  // namespace dormouse::ebpf
