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

// A move within what is watched is two events with one cookie, one right behind the other.
void InotifySource::take(std::span<const std::byte> bytes, ChangeSink& sink) {
  Change moved;  // the first half of a move
  std::string_view moved_name;
  uint32_t cookie = 0;
  auto settle = [&] {
    if (moved.from != 0) sink.changed(moved, empty_at_ms_);
    moved = Change();
  };
  while (bytes.size() >= sizeof(inotify_event)) {
    inotify_event event{};
    std::memcpy(&event, bytes.data(), sizeof event);
    size_t name_bytes = std::min<size_t>(event.len, bytes.size() - sizeof event);
    std::string_view name(reinterpret_cast<const char*>(bytes.data()) + sizeof event, name_bytes);
    name = name.substr(0, name.find('\0'));
    bytes = bytes.subspan(sizeof event + name_bytes);
    ++events_;
    if ((event.mask & IN_IGNORED) != 0) continue;
    auto where = DirectoryKey(event.wd);
    bool file = (event.mask & IN_ISDIR) == 0 && may_be_message(name);
    if ((event.mask & IN_MOVED_TO) != 0 && moved.from != 0 && event.cookie == cookie) {
      moved.to = where;
      moved.file = file;
      moved.as_it_was = file && moved_as_it_was(moved_name, name);
      settle();
      continue;
    }
    settle();
    if ((event.mask & IN_Q_OVERFLOW) != 0) {
      ++overflows_;
      sink.lost("inotify queue overflow");
    } else if ((event.mask & IN_MOVED_FROM) != 0) {
      moved = Change::of(where);
      moved_name = name;
      cookie = event.cookie;
    } else if ((event.mask & (IN_MOVED_TO | IN_CREATE)) != 0) {
      sink.changed(Change{0, where, file, false}, empty_at_ms_);
    } else {
      sink.changed(Change::of(where), empty_at_ms_);
      if ((event.mask & (IN_DELETE_SELF | IN_UNMOUNT)) != 0 && watches_ > 0) --watches_;
    }
  }
  settle();
}

Result<bool> InotifySource::read_some(ChangeSink& sink) {
  uint64_t began_ms = loop_.now_ms();
  ssize_t got = read(instance_.get(), buffer_.data(), buffer_.size());
  if (got < 0 && errno != EAGAIN && errno != EINTR) {
    return fail_errno(errno, "reading inotify events");
  }
  bool interrupted = got < 0 && errno == EINTR;
  if (got > 0) take(std::span(buffer_.data(), size_t(got)), sink);
  bool drained = !interrupted && (got <= 0 || buffer_.size() - size_t(got) > kEventBytesMax);
  if (drained) empty_at_ms_ = began_ms;
  return drained;
}

io::Task<Result<void>> InotifySource::run(ChangeSink& sink) {
  while (true) {
    bool drained = false;
    for (int i = 0; i < kReadsPerTurn && !drained; ++i) {
      auto got = read_some(sink);
      if (!got) co_return std::unexpected(got.error());
      drained = *got;
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

void InotifySource::take_queued(ChangeSink& sink) {
  // An error comes again to run(), which says it.
  [[maybe_unused]] auto got = read_some(sink);
  sink.flush();
}

std::string InotifySource::state() const {
  return fmt::format("watches={} max_user_watches={} refused={} events={} overflows={}", watches_,
                     kernel_max_, refused_, events_, overflows_);
}

}  // namespace dormouse::hibernate
