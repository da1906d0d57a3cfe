#include "io/socket_table.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

// user_data of a socket operation:
//   bit 0      1: not a Completion pointer
//   bits 1-3   kind (kPoll, kReceive, kSend)
//   bits 4-23  slot
//   bits 24-39 generation of the slot in this process
//   bits 40-63 incarnation: which process's

namespace dormouse::io {
namespace {

constexpr uint32_t kSlotsMax = 1u << 20;
constexpr uint64_t kIncarnationMask = (1u << 24) - 1;
constexpr int32_t kEnded = POLLRDHUP | POLLHUP | POLLERR;

}  // namespace

Result<std::unique_ptr<SocketTable>> SocketTable::create(Loop& loop, SocketEvents& events,
                                                         uint32_t slots, uint32_t generation) {
  if (slots == 0 || slots > kSlotsMax) return fail(ErrorKind::kInvalid, "slots of a shard");
  auto table = std::unique_ptr<SocketTable>(new SocketTable(loop, events));
  table->incarnation_ = uint32_t(generation & kIncarnationMask);
  table->generation_.assign(slots, 0);
  table->busy_.assign(slots, 0);
  if (auto done = table->register_buffers(); !done) return std::unexpected(done.error());
  loop.set_tagged(table.get());
  table->learn_former();
  return table;
}

void SocketTable::learn_former() {
  for (const Loop::Former& former : loop_.take_former()) {
    auto slot = uint32_t(former.user_data >> 4 & (kSlotsMax - 1));
    if (uint8_t(former.user_data >> 1 & 7) != kSend || slot >= busy_.size()) continue;
    // Two on one slot: one of them was a former occupant's, and nobody knows which.
    auto [known, fresh] = former_sends_.emplace(slot, former.result);
    if (!fresh) known->second = 0;
  }
}

std::optional<int32_t> SocketTable::former_send(uint32_t slot) const {
  auto found = former_sends_.find(slot);
  if (found == former_sends_.end()) return std::nullopt;
  return found->second;
}

SocketTable::~SocketTable() {
  loop_.set_tagged(nullptr);
  if (buffers_ != nullptr) {
    io_uring_unregister_buf_ring(loop_.ring(), kBufferGroup);
    munmap(buffers_, kBuffers * sizeof(io_uring_buf));
  }
}

Result<> SocketTable::register_buffers() {
  void* memory = mmap(nullptr, kBuffers * sizeof(io_uring_buf), PROT_READ | PROT_WRITE,
                      MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
  if (memory == MAP_FAILED) return fail_errno(errno, "mapping the provided-buffer ring");
  buffers_ = static_cast<io_uring_buf_ring*>(memory);
  buffer_bytes_ = std::make_unique<std::byte[]>(size_t(kBuffers) * kBufferBytes);
  io_uring_buf_ring_init(buffers_);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<uint64_t>(buffers_);
  registration.ring_entries = kBuffers;
  registration.bgid = kBufferGroup;
  // A former owner of the ring has left its own, whose memory is gone.
  io_uring_unregister_buf_ring(loop_.ring(), kBufferGroup);
  int error = io_uring_register_buf_ring(loop_.ring(), &registration, 0);
  if (error < 0) return fail_errno(-error, "IORING_REGISTER_PBUF_RING");
  for (uint16_t i = 0; i < kBuffers; ++i) give_back(i);
  return {};
}

void SocketTable::give_back(uint16_t buffer) {
  io_uring_buf_ring_add(buffers_, buffer_bytes_.get() + size_t(buffer) * kBufferBytes, kBufferBytes,
                        buffer, io_uring_buf_ring_mask(kBuffers), 0);
  io_uring_buf_ring_advance(buffers_, 1);
}

uint64_t SocketTable::tag(uint32_t slot, uint8_t kind) const {
  return 1u | uint64_t(kind) << 1 | uint64_t(slot) << 4 | uint64_t(generation_[slot]) << 24 |
         uint64_t(incarnation_) << 40;
}

Result<> SocketTable::install(uint32_t slot, int socket) {
  ++generation_[slot];
  busy_[slot] = 0;
  int error = io_uring_register_files_update(loop_.ring(), slot, &socket, 1);
  if (error < 0) return fail_errno(-error, "IORING_REGISTER_FILES_UPDATE");
  return {};
}

void SocketTable::arm(uint32_t slot) {
  if ((busy_[slot] & kPoll) != 0) return;
  busy_[slot] |= kPoll;
  io_uring_sqe* sqe = loop_.next_sqe();
  io_uring_prep_poll_add(sqe, int(slot), POLLIN | POLLRDHUP);
  sqe->flags |= IOSQE_FIXED_FILE;
  io_uring_sqe_set_data64(sqe, tag(slot, kPoll));
}

void SocketTable::receive(uint32_t slot) {
  if ((busy_[slot] & kReceive) != 0) return;
  busy_[slot] |= kReceive;
  io_uring_sqe* sqe = loop_.next_sqe();
  io_uring_prep_recv(sqe, int(slot), nullptr, kBufferBytes, MSG_DONTWAIT);
  sqe->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
  sqe->buf_group = kBufferGroup;
  io_uring_sqe_set_data64(sqe, tag(slot, kReceive));
}

void SocketTable::send(uint32_t slot, std::span<const std::byte> bytes) {
  DORMOUSE_CHECK((busy_[slot] & kSend) == 0, "one send at a time");
  busy_[slot] |= kSend;
  io_uring_sqe* sqe = loop_.next_sqe();
  io_uring_prep_send(sqe, int(slot), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  sqe->flags |= IOSQE_FIXED_FILE;
  io_uring_sqe_set_data64(sqe, tag(slot, kSend));
}

void SocketTable::send_now(uint32_t slot, std::span<const std::byte> bytes) {
  send(slot, bytes);
  loop_.submit();
}

void SocketTable::close(uint32_t slot, std::shared_ptr<void> keep_alive) {
  if ((busy_[slot] & kPoll) != 0) loop_.cancel(tag(slot, kPoll));
  if ((busy_[slot] & kReceive) != 0) loop_.cancel(tag(slot, kReceive));
  if ((busy_[slot] & kSend) != 0) {
    loop_.cancel(tag(slot, kSend));
    if (keep_alive) dying_sends_.emplace_back(tag(slot, kSend), std::move(keep_alive));
  }
  // What is queued must meet this socket, never the slot's next one.
  if (busy_[slot] != 0) io_uring_submit(loop_.ring());
  ++generation_[slot];
  busy_[slot] = 0;
  // The table's reference goes when the operations are done; the entry itself is free at once.
  int none = -1;
  int error = io_uring_register_files_update(loop_.ring(), slot, &none, 1);
  DORMOUSE_CHECK(error >= 0, "a slot can be emptied");
}

void SocketTable::complete_tagged(uint64_t user_data, int32_t result, uint32_t flags) {
  auto kind = uint8_t(user_data >> 1 & 7);
  auto slot = uint32_t(user_data >> 4 & (kSlotsMax - 1));
  bool has_buffer = (flags & IORING_CQE_F_BUFFER) != 0;
  auto buffer = uint16_t(flags >> IORING_CQE_BUFFER_SHIFT);
  bool mine = uint32_t(user_data >> 40) == incarnation_;
  bool current = mine && slot < generation_.size() && user_data == tag(slot, kind);
  if (current && kind == kSend) events_.socket_send_settled(slot, result);
  io_uring_cq_advance(loop_.ring(), 1);
  if (current) {
    busy_[slot] &= uint8_t(~kind);
    if (kind == kPoll) {
      events_.socket_readable(slot, result < 0 || (result & kEnded) != 0);
    } else if (kind == kSend) {
      events_.socket_sent(slot, result);
    } else if (result == -ENOBUFS) {
      receive(slot);
    } else {
      std::span<std::byte> bytes;
      if (result > 0 && has_buffer) {
        bytes = {buffer_bytes_.get() + size_t(buffer) * kBufferBytes, size_t(result)};
      }
      events_.socket_received(slot, result, bytes);
    }
  } else if (kind == kSend) {
    std::erase_if(dying_sends_, [&](auto& entry) { return entry.first == user_data; });
  }
  if (mine && has_buffer) give_back(buffer);
}

}  // namespace dormouse::io
