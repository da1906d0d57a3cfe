#include "loadtest/clock.h"

#include <sys/timerfd.h>
#include <time.h>

#include <array>
#include <cerrno>
#include <cstddef>

namespace dormouse::loadtest {

uint64_t now_us() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return uint64_t(now.tv_sec) * 1'000'000 + uint64_t(now.tv_nsec) / 1000;
}

Result<PreciseTimer> PreciseTimer::create() {
  PreciseTimer timer;
  timer.fd_ = io::Fd(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer.fd_) return fail_errno(errno, "timerfd_create");
  return timer;
}

io::Task<Result<void>> PreciseTimer::until(io::Loop& loop, uint64_t due_us) {
  if (due_us <= now_us()) co_return Result<void>{};
  itimerspec when{};
  when.it_value = {.tv_sec = int64_t(due_us / 1'000'000),
                   .tv_nsec = int64_t(due_us % 1'000'000) * 1000};
  if (timerfd_settime(fd_.get(), TFD_TIMER_ABSTIME, &when, nullptr) != 0) {
    co_return fail_errno(errno, "timerfd_settime");
  }
  std::array<std::byte, 8> expirations{};
  auto got = co_await loop.read(fd_.get(), expirations, 0);
  if (!got) co_return std::unexpected(got.error());
  co_return Result<void>{};
}

}  // namespace dormouse::loadtest
