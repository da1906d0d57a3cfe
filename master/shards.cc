#include "master/shards.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "hibernate/slab.h"
#include "io/ring_setup.h"

namespace dormouse::master {
namespace {

// A ring's table may be as large as RLIMIT_NOFILE; a den also has ordinary descriptors, two for
// each awake session while it is handed on. A tenth is room for thousands of those.
constexpr uint64_t sockets_within(uint64_t open_files) { return open_files - open_files / 10; }

// The kernel's own bound of a file table (IORING_MAX_FIXED_FILES).
constexpr uint64_t kFixedFilesMax = 1 << 20;

}  // namespace

Result<ShardPlan> plan_shards(uint64_t sessions, uint32_t sockets_max, uint64_t open_files) {
  uint64_t limit = std::min(sockets_within(open_files), kFixedFilesMax);
  if (sockets_max > limit) {
    return fail(ErrorKind::kLimit,
                fmt::format("den.sockets_per_shard: {} needs a higher RLIMIT_NOFILE: {} allows {} "
                            "(LimitNOFILE=, ulimit -Hn)",
                            sockets_max, open_files, limit));
  }
  if (sockets_max != 0) limit = sockets_max;
  uint64_t shards = (sessions + limit - 1) / limit;
  if (shards > kShardsMax) {
    return fail(ErrorKind::kLimit,
                fmt::format("den.sessions: {} at {} a shard are more than {} shards", sessions,
                            limit, kShardsMax));
  }
  return ShardPlan{.shards = uint32_t(shards),
                   .sockets_per_shard = uint32_t((sessions + shards - 1) / shards)};
}

Result<io::Fd> make_shared_memory(const char* name, uint64_t bytes) {
  io::Fd fd(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return fail_errno(errno, fmt::format("memfd_create {}", name));
  if (ftruncate(fd.get(), off_t(bytes)) != 0) {
    return fail_errno(errno, fmt::format("{} of {} bytes", name, bytes));
  }
  // A den that cut the memory short would kill the next one with SIGBUS.
  int seals = F_SEAL_SHRINK | (bytes != 0 ? F_SEAL_GROW | F_SEAL_SEAL : 0);
  if (fcntl(fd.get(), F_ADD_SEALS, seals) != 0) return fail_errno(errno, "sealing a memfd");
  return fd;
}

Result<std::vector<Shard>> make_shards(const ShardPlan& plan, uint32_t slab_bytes_per_session) {
  std::vector<Shard> shards;
  uint64_t bytes = hibernate::Slab::bytes_for(plan.sockets_per_shard, slab_bytes_per_session);
  for (uint32_t i = 0; i < plan.shards; ++i) {
    auto ring = io::make_shared_ring({.sockets = plan.sockets_per_shard});
    if (!ring) return std::unexpected(ring.error());
    auto slab = make_shared_memory("dormouse-slab", bytes);
    if (!slab) return std::unexpected(slab.error());
    shards.push_back(
        {.ring = std::move(ring->fd), .params = ring->params, .slab = std::move(*slab)});
  }
  return shards;
}

}  // namespace dormouse::master
