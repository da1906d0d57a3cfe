#pragma once
// How the kernel's scheduler (EEVDF, sched(7)) treats a process whose acts sleepers wait for. Such
// a role has little to do at a time; without this each may stand behind somebody's login for as
// long as the scheduler lets that run on, which is until the next tick (4 ms) at the worst.

#include <sys/types.h>

#include <chrono>
#include <string_view>

#include "io/result.h"

namespace dormouse::role {

// About what one wake takes of a den; the kernel allows 0.1 to 100 ms.
inline constexpr std::chrono::nanoseconds kShortSlice = std::chrono::microseconds(200);

// A task that wakes with a shorter slice (`sched_runtime` of sched_setattr(2)) interrupts a longer
// one that runs, Linux 6.12 and newer. It changes nothing about its share.
// For this thread and those it will start; needs no privilege, so call it before the sandbox.
// False: a kernel before 6.12, which takes the call and forgets it. An error is that of the system
// call.
Result<bool> take_time_slice(std::chrono::nanoseconds slice);

// Of any thread; 0 where the kernel has no slices of a task's own.
Result<std::chrono::nanoseconds> time_slice_of(pid_t thread);

// Nine times the weight of the others. A role that has had its share must wait until they have had
// theirs, whatever its slice is: hundreds of sessions that come in make a den such a one.
inline constexpr int kSleepersNice = -10;

// `by` is added to the nice value of this process (bounded by -20 and 19). Where the kernel makes
// each session (setsid(2)) a group of its own ("autogroup" in sched(7)), the groups share the CPUs,
// and a nice value counts within the group only: there a process that leads a session gives it the
// same. Negative values need CAP_SYS_NICE, so call it before the sandbox.
Result<> add_nice(int by);

// How a role that sleepers wait for gets a CPU that others want too, for the role's life
// (`server.wake_scheduling`).
class WakeScheduling {
 public:
  // Real time is for those who do little: one that takes more of a CPU than this goes back to its
  // weight until it has taken less than the other so many times in a row.
  static constexpr unsigned kBusyPermille = 500;
  static constexpr unsigned kQuietPermille = 250;
  static constexpr unsigned kQuietTimes = 5;

  // Before the sandbox; afterwards no privilege is needed. `wanted`: "realtime" (SCHED_RR, the
  // lowest priority of that), "weight" (short slices and kSleepersNice) or "fair" (short slices).
  // What is not permitted is said in the log, and the next of them taken.
  explicit WakeScheduling(std::string_view wanted);

  // How much of a CPU it has taken since it was told last: see Loop::tell_busy().
  void busy(unsigned permille);

 private:
  bool may_real_time_ = false;
  bool real_time_ = false;
  unsigned quiet_times_ = 0;  // in a row
  int nice_ = 0;
};

}  // namespace dormouse::role
