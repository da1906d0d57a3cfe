#include "loadtest/shard.h"

#include <poll.h>

#include "io/ring_setup.h"

namespace dormouse::loadtest {

Result<std::unique_ptr<Shard>> Shard::create(FleetEvents& events, uint32_t first, uint32_t slots) {
  auto shard = std::unique_ptr<Shard>(new Shard(events, first));
  auto ring = io::make_shared_ring({.sockets = slots});
  if (!ring) return std::unexpected(ring.error());
  auto loop = io::Loop::adopt(std::move(ring->fd), ring->params, 1);
  if (!loop) return std::unexpected(loop.error());
  shard->ring_ = std::move(*loop);
  auto sockets = io::SocketTable::create(*shard->ring_, *shard, slots, 1);
  if (!sockets) return std::unexpected(sockets.error());
  shard->sockets_ = std::move(*sockets);
  return shard;
}

void Shard::turn() { ring_->turn(); }

io::Task<void> Shard::run(io::Loop& loop) {
  for (;;) {
    auto ready = co_await loop.poll(ring_->ring_fd(), POLLIN);
    if (!ready) co_return;
    ring_->turn();
  }
}

void Shard::socket_readable(uint32_t slot, bool /*ended*/) { sockets_->receive(slot); }

void Shard::socket_received(uint32_t slot, int32_t result, std::span<std::byte> bytes) {
  events_.session_received(first_ + slot, result, bytes);
}

void Shard::socket_sent(uint32_t slot, int32_t result) {
  events_.session_sent(first_ + slot, result);
}

}  // namespace dormouse::loadtest
