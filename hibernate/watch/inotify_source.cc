#include "hibernate/watch/inotify_source.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace dormouse::hibernate {
namespace {

constexpr uint32_t kEvents = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF |
                             IN_MOVE_SELF | IN_ONLYDIR;

// 0 when it cannot be read (no /proc): the kernel then tells by ENOSPC.
uint64_t kernel_watches_max() {
  unsigned long long value = 0;
  std::FILE* file = std::fopen("/proc/sys/fs/inotify/max_user_watches", "re");
  if (file == nullptr) return 0;
  if (std::fscanf(file, "%llu", &value) != 1) value = 0;
  std::fclose(file);
  return value;
}

}  // namespace

Result<std::unique_ptr<InotifySource>> InotifySource::create(io::Loop& loop, uint64_t watches_max) {
  io::Fd instance(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!instance) return fail_errno(errno, "inotify_init1 (fs.inotify.max_user_instances?)");
  return std::unique_ptr<InotifySource>(
      new InotifySource(loop, std::move(instance), watches_max, kernel_watches_max()));
}

InotifySource::InotifySource(io::Loop& loop, io::Fd instance, uint64_t watches_max,
                             uint64_t kernel_max)
    : loop_(loop),
      instance_(std::move(instance)),
      watches_max_(watches_max),
      kernel_max_(kernel_max),
      buffer_(kBufferBytes) {}

Result<DirectoryKey> InotifySource::add(const wire::Directory& directory) {
  if (directory.path().empty()) return fail(ErrorKind::kInvalid, "inotify needs a path");
  bool full = watches_max_ != 0 && watches_ >= watches_max_;
  int watch = full ? -1 : inotify_add_watch(instance_.get(), directory.path().c_str(), kEvents);
  if (full || (watch < 0 && errno == ENOSPC)) {
    ++refused_;
    return fail(ErrorKind::kLimit,
                fmt::format("no inotify watch is left of fs.inotify.max_user_watches={}",
                            watches_max_ != 0 ? watches_max_ : kernel_max_));
  }
  if (watch < 0) return fail_errno(errno, "inotify_add_watch");
  if (watch > greatest_) {
    greatest_ = watch;
    ++watches_;
  }
  return DirectoryKey(watch);
}

void InotifySource::remove(DirectoryKey key) {
  // It fails when the directory is gone: the kernel removed its watch, and told so (IN_IGNORED).
  if (inotify_rm_watch(instance_.get(), int(key)) == 0 && watches_ > 0) --watches_;
}

void InotifySource::take(std::span<const std::byte> bytes, ChangeSink& sink) {
  while (bytes.size() >= sizeof(inotify_event)) {
    inotify_event event{};
    std::memcpy(&event, bytes.data(), sizeof event);
    ++events_;
    if ((event.mask & IN_Q_OVERFLOW) != 0) {
      ++overflows_;
      sink.lost("inotify queue overflow");
    } else if ((event.mask & IN_IGNORED) == 0) {
      sink.changed(DirectoryKey(event.wd));
      if ((event.mask & (IN_DELETE_SELF | IN_UNMOUNT)) != 0 && watches_ > 0) --watches_;
    }
    bytes = bytes.subspan(std::min(bytes.size(), sizeof event + event.len));
  }
}

io::Task<Result<void>> InotifySource::run(ChangeSink& sink) {
  while (true) {
    bool drained = false;
    for (int i = 0; i < kReadsPerTurn && !drained; ++i) {
      ssize_t got = read(instance_.get(), buffer_.data(), buffer_.size());
      if (got < 0 && errno != EAGAIN && errno != EINTR) {
        co_return fail_errno(errno, "reading inotify events");
      }
      drained = got <= 0;
      if (!drained) take(std::span(buffer_.data(), size_t(got)), sink);
    }
    sink.flush();
    if (drained) {
      auto ready = co_await loop_.poll(instance_.get(), POLLIN);
      if (!ready) co_return std::unexpected(ready.error());
    } else if (auto next = co_await loop_.yield(); !next) {
      co_return next;
    }
  }
}

std::string InotifySource::state() const {
  return fmt::format("watches={} max_user_watches={} refused={} events={} overflows={}", watches_,
                     kernel_max_, refused_, events_, overflows_);
}

}  // namespace dormouse::hibernate
