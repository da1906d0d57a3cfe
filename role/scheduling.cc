#include "role/scheduling.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <string>

#include "io/fd.h"
#include "role/log.h"

namespace dormouse::role {
namespace {

constexpr pid_t kThisThread = 0;
// SCHED_FLAG_RESET_ON_FORK: the kernel's own threads that work for a ring are not of it.
constexpr uint64_t kNotInherited = 1;

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

Result<> add_nice(int by) {
  constexpr int kMost = 19;
  constexpr int kLeast = -20;
  errno = 0;
  int before = ::getpriority(PRIO_PROCESS, 0);
  if (before == -1 && errno != 0) return fail_errno(errno, "getpriority");
  int nice = std::clamp(before + by, kLeast, kMost);
  if (::setpriority(PRIO_PROCESS, 0, nice) != 0) return fail_errno(errno, "setpriority");
  // Somebody else's session is theirs to weigh.
  if (::getsid(0) != ::getpid()) return {};
  io::Fd group(::open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC));
  if (!group) return {};  // the kernel has none, and the nice value counts everywhere
  std::string text = fmt::format("{}", nice);
  // EINVAL: they are switched off (kernel.sched_autogroup_enabled).
  if (::write(group.get(), text.data(), text.size()) < 0 && errno != EINVAL) {
    return fail_errno(errno, "writing /proc/self/autogroup");
  }
  return {};
}

namespace {

Result<> schedule(const Scheduling& how) {
  if (::syscall(SYS_sched_setattr, kThisThread, &how, 0U) != 0) {
    return fail_errno(errno, "sched_setattr");
  }
  return {};
}

Result<> take_real_time() {
  return schedule({.policy = SCHED_RR, .flags = kNotInherited, .priority = 1});
}

// The flag stays: giving it up needs a privilege.
Result<> leave_real_time(int nice) {
  return schedule({.policy = SCHED_OTHER,
                   .flags = kNotInherited,
                   .nice = nice,
                   .runtime_ns = uint64_t(kShortSlice.count())});
}

}  // namespace

// Sleepers are served whatever is refused, later where the CPUs are busy.
WakeScheduling::WakeScheduling(std::string_view wanted) {
  std::string refused;
  auto had = [&refused](std::string_view what, const auto& done) {
    if (!done)
      refused += fmt::format("{}{}: {}", refused.empty() ? "" : "; ", what, done.error().message);
    return bool(done);
  };
  auto slice = take_time_slice(kShortSlice);
  if (had("short slices", slice) && !*slice) {
    log_debug("wake_scheduling", {{"without", "short slices"}, {"reason", "before Linux 6.12"}});
  }
  if (wanted == "weight" || wanted == "realtime") {
    had("weight", add_nice(kSleepersNice));
    nice_ = ::getpriority(PRIO_PROCESS, 0);
  }
  if (wanted == "realtime") {
    // So that it may come back once it has left.
    const rlimit lowest{.rlim_cur = 1, .rlim_max = 1};
    (void)::setrlimit(RLIMIT_RTPRIO, &lowest);
    may_real_time_ = real_time_ = had("real time", take_real_time());
  }
  if (!refused.empty()) log_info("wake_scheduling", {{"wanted", wanted}, {"refused", refused}});
}

void WakeScheduling::busy(unsigned permille) {
  if (!may_real_time_) return;
  quiet_times_ = permille < kQuietPermille ? quiet_times_ + 1 : 0;
  bool leave = real_time_ && permille > kBusyPermille;
  bool back = !real_time_ && quiet_times_ >= kQuietTimes;
  if (!leave && !back) return;
  auto done = leave ? leave_real_time(nice_) : take_real_time();
  log_info("wake_scheduling", {{"real_time", !leave},
                               {"busy_permille", permille},
                               {"error", done ? "" : done.error().message}});
  if (done) real_time_ = !leave;
}

}  // namespace dormouse::role
