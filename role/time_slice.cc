#include "role/time_slice.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace dormouse::role {
namespace {

constexpr pid_t kThisThread = 0;

// struct sched_attr of sched_setattr(2), first version. Written down here, since the kernel's
// header and Debian 12's glibc both define sched_param.
struct Scheduling {
  uint32_t size = sizeof(Scheduling);
  uint32_t policy = 0;
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t runtime_ns = 0;
  uint64_t deadline_ns = 0;
  uint64_t period_ns = 0;
};
static_assert(sizeof(Scheduling) == 48);

Result<Scheduling> scheduling_of(pid_t thread) {
  Scheduling scheduling;
  if (::syscall(SYS_sched_getattr, thread, &scheduling, sizeof scheduling, 0U) != 0) {
    return fail_errno(errno, "sched_getattr");
  }
  return scheduling;
}

}  // namespace

Result<std::chrono::nanoseconds> time_slice_of(pid_t thread) {
  auto scheduling = scheduling_of(thread);
  if (!scheduling) return std::unexpected(scheduling.error());
  return std::chrono::nanoseconds(scheduling->runtime_ns);
}

Result<bool> take_time_slice(std::chrono::nanoseconds slice) {
  // Policy and nice value stay what whoever started the server made them.
  auto scheduling = scheduling_of(kThisThread);
  if (!scheduling) return std::unexpected(scheduling.error());
  scheduling->runtime_ns = uint64_t(slice.count());
  if (::syscall(SYS_sched_setattr, kThisThread, &*scheduling, 0U) != 0) {
    return fail_errno(errno, "sched_setattr");
  }
  auto now = time_slice_of(kThisThread);
  if (!now) return std::unexpected(now.error());
  return *now == slice;
}

}  // namespace dormouse::role
