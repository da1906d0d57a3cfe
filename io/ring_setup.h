#pragma once
// How rings are made. A private ring belongs to one process. A shard's ring is made by the master
// and only lent to a den: it must survive the den, so it is not SINGLE_ISSUER, and it is created
// disabled and restricted to the operations a den needs (IORING_REGISTER_RESTRICTIONS) before it
// is enabled, because seccomp does not see what a ring does.

#include <liburing.h>

#include <cstdint>

#include "io/fd.h"
#include "io/result.h"

namespace dormouse::io {

io_uring_params private_ring_params();

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
