#pragma once
// How rings are made. A private ring belongs to one process. A shard's ring is made by the master
// and only lent to a den: it must survive the den, so it is not SINGLE_ISSUER, and it is created
// disabled and restricted to the operations a den needs (IORING_REGISTER_RESTRICTIONS) before it
// is enabled, because seccomp does not see what a ring does.

#include <liburing.h>

#include <cstdint>
#include <functional>

#include "io/fd.h"
#include "io/result.h"

namespace dormouse::io {

// What a private ring may be asked for. seccomp does not see what a ring does, so a role that has
// no network or no files must not get them from its ring either.
enum class RingUse {
  kAnything,  // the master, tests
  kMessages,  // sockets and descriptors it was given
  kFiles,     // those, and the mail store's files; no new sockets
};

// Calls `setup`, which answers -errno or something else, again (up to 20 times, some 5 ms apart,
// with page cache freed between) while it answers -ENOMEM: the kernel wants a ring's pages in one
// piece of work and does not reclaim for them (Linux 6.18), and a mail server's memory is full of
// page cache.
int set_up_ring(const std::function<int()>& setup);

io_uring_params private_ring_params(RingUse use = RingUse::kAnything);
// Restricts a ring made with these parameters and enables it; the calling thread owns it from then
// on. Nothing to do for kAnything.
Result<> restrict_private_ring(int ring_fd, RingUse use);

struct SharedRing {
  Fd fd;
  io_uring_params params{};  // what a process needs to map it: pass as bytes beside the descriptor
};

struct SharedRingOptions {
  // Direct descriptors. The kernel refuses more than RLIMIT_NOFILE of the creating process.
  uint32_t sockets = 0;
  uint32_t submission_entries = 1024;   // one turn's batch
  uint32_t completion_entries = 16384;  // a burst of readiness; beyond it the kernel queues
};

// The ring of a shard, enabled and restricted. Fails with what is missing or too small.
Result<SharedRing> make_shared_ring(const SharedRingOptions& options);

}  // namespace dormouse::io
