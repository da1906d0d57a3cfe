#include "io/wakeup.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <cerrno>

namespace dormouse::io {

Result<Wakeup> Wakeup::create() {
  int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) return fail_errno(errno, "eventfd");
  Wakeup wakeup;
  wakeup.fd_ = Fd(fd);
  return wakeup;
}

void Wakeup::notify() {
  uint64_t one = 1;
  // EAGAIN means that the counter is full, so the waiter is woken anyway.
  [[maybe_unused]] ssize_t ignored = ::write(fd_.get(), &one, sizeof one);
}

Task<Result<void>> Wakeup::wait(Loop& loop) {
  Result<uint32_t> ready = co_await loop.poll(fd_.get(), POLLIN);
  if (!ready) co_return std::unexpected(ready.error());
  uint64_t count = 0;
  [[maybe_unused]] ssize_t ignored = ::read(fd_.get(), &count, sizeof count);
  co_return Result<void>();
}

}  // namespace dormouse::io
