#include "hibernate/watch/fanotify_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "hibernate/watch/fanotify_events.h"

namespace dormouse::hibernate {

Result<std::unique_ptr<FanotifySource>> FanotifySource::create(io::Loop& loop, io::Fd group,
                                                               std::vector<std::string> fsids,
                                                               const SipKey& key) {
  int flags = fcntl(group.get(), F_GETFL);
  if (flags < 0 || fcntl(group.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
    return fail_errno(errno, "making the fanotify group non-blocking");
  }
  return std::unique_ptr<FanotifySource>(
      new FanotifySource(loop, std::move(group), std::move(fsids), key));
}

FanotifySource::FanotifySource(io::Loop& loop, io::Fd group, std::vector<std::string> fsids,
                               const SipKey& key)
    : loop_(loop),
      group_(std::move(group)),
      fsids_(std::move(fsids)),
      key_(key),
      buffer_(kBufferBytes) {}

Result<DirectoryKey> FanotifySource::add(const wire::Directory& directory) {
  constexpr size_t kFsidAndTypeBytes = 12;
  const std::string& handle = directory.handle();
  if (handle.size() <= kFsidAndTypeBytes) {
    return fail(ErrorKind::kUnsupported, "the directory's file system has no handles");
  }
  bool marked = std::ranges::any_of(
      fsids_, [&](const std::string& fsid) { return handle.starts_with(fsid); });
  if (!fsids_.empty() && !marked) {
    return fail(ErrorKind::kUnsupported, "no file system at or below mail_root that is marked");
  }
  return directory_key(key_, handle);
}

Result<bool> FanotifySource::read_some(ChangeSink& sink) {
  uint64_t began_ms = loop_.now_ms();
  ssize_t got = read(group_.get(), buffer_.data(), buffer_.size());
  if (got < 0 && errno != EAGAIN && errno != EINTR) {
    return fail_errno(errno, "reading fanotify events");
  }
  bool interrupted = got < 0 && errno == EINTR;
  if (got > 0) {
    FanotifyBatch batch =
        read_fanotify_events(key_, std::span(buffer_.data(), size_t(got)),
                             [&](const Change& change) { sink.changed(change, empty_at_ms_); });
    events_ += batch.events;
    if (batch.overflow || batch.malformed) {
      ++overflows_;
      sink.lost(batch.overflow ? "fanotify queue overflow" : "fanotify events of unknown form");
    }
  }
  bool drained = !interrupted && (got <= 0 || buffer_.size() - size_t(got) > kEventBytesMax);
  if (drained) empty_at_ms_ = began_ms;
  return drained;
}

io::Task<Result<void>> FanotifySource::run(ChangeSink& sink) {
  while (true) {
    bool drained = false;
    for (int i = 0; i < kReadsPerTurn && !drained; ++i) {
      auto got = read_some(sink);
      if (!got) co_return std::unexpected(got.error());
      drained = *got;
    }
    sink.flush();
    if (drained) {
      auto ready = co_await loop_.poll(group_.get(), POLLIN);
      if (!ready) co_return std::unexpected(ready.error());
    } else if (auto next = co_await loop_.yield(); !next) {
      co_return next;
    }
  }
}

void FanotifySource::take_queued(ChangeSink& sink) {
  // An error comes again to run(), which says it.
  [[maybe_unused]] auto got = read_some(sink);
  sink.flush();
}

std::string FanotifySource::state() const {
  return fmt::format("file_systems={} events={} overflows={}", fsids_.size(), events_, overflows_);
}

}  // namespace dormouse::hibernate
