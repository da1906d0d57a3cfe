// The epoch log reads memory that a dying process may have left in any state: it must never read
// outside it, and must be able to go on.

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

#include "tracker/epoch_log.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using dormouse::tracker::EpochLog;
  constexpr size_t kHalf = 1024;
  dormouse::io::Fd file(memfd_create("epochs", MFD_CLOEXEC));
  if (!file || write(file.get(), data, size) != ssize_t(size)) return 0;
  auto log = EpochLog::open(dormouse::io::Fd(dup(file.get())), kHalf);
  if (!log) return 0;
  uint32_t before = log->epoch("alice");
  auto raised = log->raise("alice");
  if (!raised) return 0;
  auto next = EpochLog::open(std::move(file), kHalf);
  DORMOUSE_CHECK(next && next->epoch("alice") == before + 1, "what was raised is kept");
  return 0;
}
