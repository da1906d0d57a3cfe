#pragma once
// Shards: a den each, with a ring whose file table holds the clients' sockets and a slab that holds
// the parked records. Both are made by the master and kept for the server's life, so a den that
// dies leaves its clients to the next one. The master maps neither.

#include <liburing.h>

#include <cstdint>
#include <vector>

#include "io/fd.h"
#include "io/result.h"
#include "master/settings.h"

namespace dormouse::master {

// 50 shards hold a million sessions where the hard limit of open files is 20,000; ten times that.
inline constexpr uint32_t kShardsMax = 512;

struct ShardPlan {
  uint32_t shards = 0;
  uint32_t sockets_per_shard = 0;
};

// `sessions` over shards of at most `sockets_max` (0: no own bound), evenly, each within what the
// limit of open files allows. kLimit names the limit when that is impossible.
Result<ShardPlan> plan_shards(uint64_t sessions, uint32_t sockets_max, uint64_t open_files);

struct Shard {
  io::Fd ring;
  io_uring_params params{};
  io::Fd slab;
};

Result<std::vector<Shard>> make_shards(const ShardPlan& plan, uint32_t slab_bytes_per_session);

// Memory that outlives the roles that map it: `bytes` of zeroes (0: the role makes it as long as
// it likes), never shrunk under the one who maps it.
Result<io::Fd> make_shared_memory(const char* name, uint64_t bytes);

}  // namespace dormouse::master
