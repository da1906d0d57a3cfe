#pragma once
// fanotify: one mark covers every mailbox of the file system, so watching one more costs the kernel
// nothing, and the watch needs neither the mail's path nor the right to see it.

#include <memory>
#include <string>
#include <vector>

#include "hibernate/watch/change_source.h"
#include "hibernate/watch/siphash.h"
#include "io/fd.h"

namespace dormouse::hibernate {

class FanotifySource final : public ChangeSource {
 public:
  // `fsids`: the first 8 bytes of the handles of each marked file system; none where unknown.
  // Directories of other file systems are refused: nothing would be heard of them.
  static Result<std::unique_ptr<FanotifySource>> create(io::Loop& loop, io::Fd group,
                                                        std::vector<std::string> fsids,
                                                        const SipKey& key);

  std::string_view name() const override { return "fanotify"; }
  bool by_handle() const override { return true; }
  Result<DirectoryKey> add(const wire::Directory& directory) override;
  void remove(DirectoryKey) override {}
  io::Task<Result<void>> run(ChangeSink& sink) override;
  void take_queued(ChangeSink& sink) override;
  std::string state() const override;

 private:
  FanotifySource(io::Loop& loop, io::Fd group, std::vector<std::string> fsids, const SipKey& key);
  // Some hundred events at a time: what a turn of the loop may cost.
  static constexpr size_t kBufferBytes = 64 * 1024;
  static constexpr int kReadsPerTurn = 4;
  // Above the longest event: two records of a file system id, a handle and a name, 700 bytes. A
  // read that leaves more room than this has emptied the queue.
  static constexpr size_t kEventBytesMax = 1024;

  // One read. True: the queue was empty at its end.
  Result<bool> read_some(ChangeSink& sink);

  io::Loop& loop_;
  io::Fd group_;
  std::vector<std::string> fsids_;
  SipKey key_;
  std::vector<std::byte> buffer_;
  uint64_t empty_at_ms_ = 0;  // the queue was found empty at this moment or later
  uint64_t events_ = 0;
  uint64_t overflows_ = 0;
};

}  // namespace dormouse::hibernate
