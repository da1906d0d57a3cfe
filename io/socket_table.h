#pragma once
// SocketTable: the client sockets of a shard as direct descriptors of its ring. An idle socket is
// one armed poll and nothing else: 256 bytes of kernel memory, no buffer, no object of ours
// (docs/decisions.md; a multishot recv was not measured). Bytes are
// received into a small ring of provided buffers that all sockets share.
//
// Every socket has at most one poll, one receive and one send under way. Calls are by slot index;
// completions carry the slot's generation, so what belonged to a former occupant is dropped.

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "io/fd.h"
#include "io/loop.h"
#include "io/result.h"

namespace dormouse::io {

class SocketEvents {
 public:
  // The armed poll fired: data, end of file or an error can be received. The poll is used up.
  // `ended`: the peer has said all it will ever say, or the connection is broken; there may be data
  // before that.
  virtual void socket_readable(uint32_t slot, bool ended) = 0;
  // The receive ended. `bytes` are valid during the call. result > 0: bytes.size(); 0: end of
  // file; -EAGAIN: nothing there; other negative errno: the connection is broken.
  virtual void socket_received(uint32_t slot, int32_t result, std::span<std::byte> bytes) = 0;
  // The send ended: bytes taken (perhaps fewer than given) or a negative errno.
  virtual void socket_sent(uint32_t slot, int32_t result) = 0;
  // The same, while the completion is still in the ring, for an owner that keeps in memory that
  // outlives it which sends are over. socket_sent() follows; nothing may be submitted here.
  virtual void socket_send_settled(uint32_t /*slot*/, int32_t /*result*/) {}

 protected:
  virtual ~SocketEvents() = default;
};

class SocketTable final : public TaggedCompletions {
 public:
  // `slots`: the size of the ring's sparse file table. `generation`: different for every process
  // that uses this ring (a restart counter). Registers the provided buffers.
  static Result<std::unique_ptr<SocketTable>> create(Loop& loop, SocketEvents& events,
                                                     uint32_t slots, uint32_t generation);
  ~SocketTable() override;

  // Puts a connected socket into the slot; the table then has its own reference and the caller
  // closes `socket`. Replaces what was there.
  Result<> install(uint32_t slot, int socket);
  void arm(uint32_t slot);      // poll for input; no-op when armed
  void receive(uint32_t slot);  // takes what is there, never waits
  // `bytes` must live until socket_sent(). Waits in the kernel while the peer's window is full.
  void send(uint32_t slot, std::span<const std::byte> bytes);
  // The same, submitted at once: when it returns, either the socket has taken bytes and the ring
  // holds the completion, or nothing was taken yet. A call to the kernel each time.
  void send_now(uint32_t slot, std::span<const std::byte> bytes);
  // After the death of the ring's former owner: what its last send on this slot had come to, where
  // socket_send_settled() was not called or not done. 0: it cannot be told. Nothing: there was no
  // such send, or the kernel never saw it.
  std::optional<int32_t> former_send(uint32_t slot) const;
  void forget_former() { former_sends_ = {}; }
  bool sending(uint32_t slot) const { return (busy_[slot] & kSend) != 0; }
  bool receiving(uint32_t slot) const { return (busy_[slot] & kReceive) != 0; }
  bool armed(uint32_t slot) const { return (busy_[slot] & kPoll) != 0; }
  // Takes the socket out of the table, which closes it. Later completions of the slot's former
  // operations are dropped; a send under way is cancelled: its bytes must live until then, so they
  // are kept by giving them here.
  void close(uint32_t slot, std::shared_ptr<void> keep_alive = nullptr);

  void complete_tagged(uint64_t user_data, int32_t result, uint32_t flags) override;

 private:
  static constexpr uint8_t kPoll = 1;
  static constexpr uint8_t kReceive = 2;
  static constexpr uint8_t kSend = 4;

  // A TLS record (16 KiB + 261) fits a buffer; 64 of them cover a burst's turn: when they run out
  // the receive answers -ENOBUFS and is tried again.
  static constexpr uint32_t kBufferBytes = 17 * 1024;
  static constexpr uint32_t kBuffers = 64;
  static constexpr uint16_t kBufferGroup = 1;

  SocketTable(Loop& loop, SocketEvents& events) : loop_(loop), events_(events) {}
  Result<> register_buffers();
  void learn_former();
  uint64_t tag(uint32_t slot, uint8_t kind) const;
  void give_back(uint16_t buffer);

  Loop& loop_;
  SocketEvents& events_;
  uint32_t incarnation_ = 0;
  std::vector<uint16_t> generation_;
  std::vector<uint8_t> busy_;
  std::unique_ptr<std::byte[]> buffer_bytes_;
  io_uring_buf_ring* buffers_ = nullptr;
  std::vector<std::pair<uint64_t, std::shared_ptr<void>>> dying_sends_;
  std::unordered_map<uint32_t, int32_t> former_sends_;
};

}  // namespace dormouse::io
