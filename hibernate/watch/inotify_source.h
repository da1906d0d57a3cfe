#pragma once
// inotify: a kernel watch for every directory, in one instance (closing an instance takes the
// kernel 15 ms, removing a watch 2 us). Where the kernel's limit is reached, add() says kLimit.

#include <memory>
#include <string>
#include <vector>

#include "hibernate/watch/change_source.h"
#include "io/fd.h"

namespace dormouse::hibernate {

class InotifySource final : public ChangeSource {
 public:
  // `watches_max`: a bound of our own below the kernel's; 0: the kernel's.
  static Result<std::unique_ptr<InotifySource>> create(io::Loop& loop, uint64_t watches_max = 0);

  std::string_view name() const override { return "inotify"; }
  bool by_handle() const override { return false; }
  Result<DirectoryKey> add(const wire::Directory& directory) override;
  void remove(DirectoryKey key) override;
  io::Task<Result<void>> run(ChangeSink& sink) override;
  void take_queued(ChangeSink& sink) override;
  std::string state() const override;

 private:
  InotifySource(io::Loop& loop, io::Fd instance, uint64_t watches_max, uint64_t kernel_max);
  void take(std::span<const std::byte> bytes, ChangeSink& sink);
  // One read. True: the queue was empty at its end.
  Result<bool> read_some(ChangeSink& sink);

  static constexpr size_t kBufferBytes = 64 * 1024;
  static constexpr int kReadsPerTurn = 4;
  // The longest event is 16 bytes and a name of 255 with its end. A read that leaves more room than
  // this has emptied the queue.
  static constexpr size_t kEventBytesMax = 272;

  io::Loop& loop_;
  io::Fd instance_;
  uint64_t watches_max_;
  uint64_t kernel_max_;
  std::vector<std::byte> buffer_;
  // Watch descriptors count up, so the greatest one seen tells a new watch from one that was there.
  int greatest_ = 0;
  uint64_t watches_ = 0;
  uint64_t empty_at_ms_ = 0;  // the queue was found empty at this moment or later
  uint64_t events_ = 0;
  uint64_t overflows_ = 0;
  uint64_t refused_ = 0;
};

}  // namespace dormouse::hibernate
