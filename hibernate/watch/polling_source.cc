#include "hibernate/watch/polling_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <cerrno>

namespace dormouse::hibernate {
namespace {

constexpr int64_t kNsPerMs = 1'000'000;
constexpr uint32_t kMask = STATX_INO | STATX_MTIME;

int64_t real_time_ns() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return int64_t(now.tv_sec) * 1000 * kNsPerMs + now.tv_nsec;
}

int64_t mtime_ns(const struct statx& info) {
  return int64_t(info.stx_mtime.tv_sec) * 1000 * kNsPerMs + info.stx_mtime.tv_nsec;
}

}  // namespace

PollingSource::PollingSource(io::Loop& loop, uint64_t interval_ms)
    : loop_(loop), interval_ms_(std::max(interval_ms, kIntervalMinMs)), budget_given_(loop) {}

PollingSource::~PollingSource() = default;

void PollingSource::set_interval(uint64_t interval_ms) {
  interval_ms_ = std::max(interval_ms, kIntervalMinMs);
}

void PollingSource::note(Entry& entry, uint64_t inode, int64_t mtime) {
  bool moved = entry.missing || entry.inode != inode || entry.mtime_ns != mtime;
  if (moved) entry.moved_ms = loop_.now_ms();
  entry.inode = inode;
  entry.mtime_ns = mtime;
  // Another clock's stamps say nothing of their age, but we know since when we see this one.
  entry.unsettled = entry.shared ? loop_.now_ms() <= entry.moved_ms + kGranuleMs
                                 : mtime > real_time_ns() - kGranuleMs * kNsPerMs;
  entry.missing = false;
}

Result<DirectoryKey> PollingSource::add_shared(const wire::Directory& directory) {
  auto key = add(directory);
  if (key) {
    Entry& entry = entries_[*key & ~kKeyOwnerMask];
    if (!entry.shared) entry.moved_ms = loop_.now_ms();
    entry.shared = entry.unsettled = true;
  }
  return key;
}

Result<DirectoryKey> PollingSource::add(const wire::Directory& directory) {
  if (directory.path().empty()) return fail(ErrorKind::kInvalid, "polling needs a path");
  // Not through the ring: from the answer on every change is told, so the first look comes before.
  std::string path = directory.path() + "/.";
  struct statx info{};
  if (statx(AT_FDCWD, path.c_str(), AT_STATX_FORCE_SYNC, kMask | STATX_TYPE, &info) != 0) {
    return fail_errno(errno, "statx");
  }
  if (!S_ISDIR(info.stx_mode)) return fail(ErrorKind::kNotFound, "no directory");
  // One that is polled already keeps what is known of it: its next look is everybody's.
  auto known = by_path_.find(path);
  if (known != by_path_.end()) return kPollingKey | known->second;
  if (by_path_.size() >= kDirectoriesMax) {
    return fail(ErrorKind::kLimit, "too many directories are polled");
  }
  uint32_t index = uint32_t(entries_.size());
  if (free_.empty()) {
    entries_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  Entry& entry = entries_[index];
  entry.path = std::move(path);
  ++entry.serial;
  note(entry, info.stx_ino, mtime_ns(info));
  by_path_.emplace(entry.path, index);
  return kPollingKey | index;
}

void PollingSource::remove(DirectoryKey key) {
  uint32_t index = uint32_t(key & ~kPollingKey);
  if (index >= entries_.size() || entries_[index].path.empty()) return;
  by_path_.erase(entries_[index].path);
  entries_[index].path = std::string();
  entries_[index].shared = false;
  ++entries_[index].serial;
  free_.push_back(index);
}

// Whether the directory is to be told as changed.
bool PollingSource::look(Entry& entry, const Result<uint32_t>& known, const struct statx& info) {
  if (!known) {
    bool gone = known.error().kind == ErrorKind::kNotFound && !entry.missing;
    entry.missing |= gone;
    return gone;
  }
  bool differs = entry.inode != info.stx_ino || entry.mtime_ns != mtime_ns(info) ||
                 entry.unsettled || entry.missing;
  if (differs) note(entry, info.stx_ino, mtime_ns(info));
  return differs;
}

io::Task<void> PollingSource::lane(ChangeSink& sink) {
  while (true) {
    if (budget_ == 0 || entries_.empty()) {
      sink.flush();
      budget_given_.clear();
      if (!co_await budget_given_.wait()) co_return;
      continue;
    }
    --budget_;
    size_t index = cursor_ = (cursor_ + 1) % entries_.size();
    if (entries_[index].path.empty()) continue;
    std::string path = entries_[index].path;
    uint32_t serial = entries_[index].serial;
    struct statx info{};
    auto known = co_await loop_.statx(path.c_str(), kMask, &info);
    if (!known && known.error().kind == ErrorKind::kCancelled) co_return;
    ++looks_;
    // Meanwhile it may have been removed, or its place taken by another.
    if (entries_[index].serial != serial) continue;
    if (!look(entries_[index], known, info)) continue;
    ++changes_;
    sink.changed(Change::of(kPollingKey | index), 0);
  }
}

io::Task<Result<void>> PollingSource::run(ChangeSink& sink) {
  io::Scope lanes(loop_, co_await io::current_scope());
  for (uint32_t i = 0; i < kLanes; ++i) lanes.spawn(lane(sink));
  uint64_t remainder = 0;
  while (true) {
    auto slept = co_await loop_.sleep(kTickMs);
    if (!slept) {
      lanes.cancel();
      co_await lanes.join();
      co_return slept;
    }
    // The budget of a tick that could not be spent is not added to the next: no bursts after a
    // server was away.
    uint64_t share = entries_.size() * kTickMs + remainder;
    budget_ = share / interval_ms_;
    remainder = share % interval_ms_;
    if (budget_ > 0) budget_given_.set();
  }
}

std::string PollingSource::state() const {
  return fmt::format("polled={} interval_ms={} looks={} changes={}", by_path_.size(), interval_ms_,
                     looks_, changes_);
}

}  // namespace dormouse::hibernate
