#include "hibernate/den_main.h"

#include <cstring>

#include "hibernate/den.h"
#include "role/log.h"
#include "role/process.h"

namespace dormouse::hibernate {
namespace {

using wire::MasterToRole;

Result<std::unique_ptr<Den>> make_den(role::Process& process) {
  auto rings = process.take_resources(MasterToRole::Resource::SHARD_RING);
  auto slabs = process.take_resources(MasterToRole::Resource::SHARD_SLAB);
  io_uring_params params;
  if (rings.size() != 1 || rings[0].fds.size() != 1 || slabs.size() != 1 ||
      slabs[0].fds.size() != 1 || rings[0].message.data().size() != sizeof params) {
    return fail(ErrorKind::kInvalid, "a den is given one ring and one slab");
  }
  std::memcpy(&params, rings[0].message.data().data(), sizeof params);
  auto slab = Slab::open(slabs[0].fds[0], process.settings().den().sockets_per_shard());
  if (!slab) return std::unexpected(slab.error());
  auto loop = io::Loop::adopt(std::move(rings[0].fds[0]), params, slab->incarnation());
  if (!loop) return std::unexpected(loop.error());
  process.use_loop(std::move(*loop));
  return Den::create(process, std::move(*slab));
}

}  // namespace

int den_main() {
  role::Process process;
  auto den = make_den(process);
  if (!den) {
    role::log_error("den-cannot-start", {{"error", den.error().message}});
    return 1;
  }
  process.set_sandbox({});
  return process.run(**den);
}

}  // namespace dormouse::hibernate
