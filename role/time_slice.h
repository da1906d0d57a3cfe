#pragma once
// A shorter time slice makes the scheduler prefer a task when it wakes, and changes nothing about
// its share: Linux 6.12's EEVDF gives each task of SCHED_OTHER a deadline of its slice, and lets a
// shorter slice that wakes interrupt a longer one that runs (sched(7), `sched_runtime` of
// sched_setattr(2)). Roles that sleepers wait for ask for it: they have little to do at a time, and
// without it each may stand behind a whole slice (1.4 ms on two CPUs) of somebody's login.

#include <sys/types.h>

#include <chrono>

#include "io/result.h"

namespace dormouse::role {

// About what one wake takes of a den; the kernel allows 0.1 to 100 ms.
inline constexpr std::chrono::nanoseconds kShortSlice = std::chrono::microseconds(200);

// For this thread and those it will start; needs no privilege, so call it before the sandbox.
// False: a kernel before 6.12, which takes the call and forgets it. An error is that of the system
// call.
Result<bool> take_time_slice(std::chrono::nanoseconds slice);

// Of any thread; 0 where the kernel has no slices of a task's own.
Result<std::chrono::nanoseconds> time_slice_of(pid_t thread);

}  // namespace dormouse::role
