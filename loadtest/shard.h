#pragma once
// Shard: a ring with a file table full of sockets, driven by the fleet's one loop. A table holds
// no more than RLIMIT_NOFILE sockets; more sessions are more shards.

#include <cstdint>
#include <memory>
#include <span>

#include "io/loop.h"
#include "io/socket_table.h"

namespace dormouse::loadtest {

// What a fleet does about its sockets; sessions are numbered over all shards.
class FleetEvents {
 public:
  virtual void session_received(uint32_t session, int32_t result, std::span<std::byte> bytes) = 0;
  virtual void session_sent(uint32_t session, int32_t result) = 0;

 protected:
  virtual ~FleetEvents() = default;
};

class Shard final : public io::SocketEvents {
 public:
  // Sessions `first` to `first + slots - 1`. Borrows `events`.
  static Result<std::unique_ptr<Shard>> create(FleetEvents& events, uint32_t first, uint32_t slots);

  uint32_t slot_of(uint32_t session) const { return session - first_; }
  io::SocketTable& sockets() { return *sockets_; }
  // Hands what is queued to the kernel and handles what is there. Not from inside FleetEvents.
  void turn();
  // Turns whenever the ring has something, until cancelled.
  io::Task<void> run(io::Loop& loop);

  void socket_readable(uint32_t slot, bool ended) override;
  void socket_received(uint32_t slot, int32_t result, std::span<std::byte> bytes) override;
  void socket_sent(uint32_t slot, int32_t result) override;

 private:
  Shard(FleetEvents& events, uint32_t first) : events_(events), first_(first) {}

  FleetEvents& events_;
  uint32_t first_;
  std::unique_ptr<io::Loop> ring_;
  std::unique_ptr<io::SocketTable> sockets_;  // before ring_ goes
};

}  // namespace dormouse::loadtest
