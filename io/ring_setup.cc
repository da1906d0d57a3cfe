#include "io/ring_setup.h"

#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <vector>

namespace dormouse::io {
namespace {

int ring_register(int fd, unsigned opcode, const void* argument, unsigned count) {
  long answer = syscall(__NR_io_uring_register, fd, opcode, argument, count);
  return answer < 0 ? -errno : int(answer);
}

// What SocketTable and the coroutine operations of a den submit.
constexpr std::array kDenOpcodes = {
    IORING_OP_NOP,          IORING_OP_POLL_ADD,    IORING_OP_POLL_REMOVE, IORING_OP_RECV,
    IORING_OP_SEND,         IORING_OP_SENDMSG,     IORING_OP_CLOSE,       IORING_OP_SHUTDOWN,
    IORING_OP_ASYNC_CANCEL, IORING_OP_FILES_UPDATE};
// What a new den registers on the ring it adopts.
constexpr std::array kDenRegistrations = {
    IORING_REGISTER_FILES_UPDATE, IORING_REGISTER_FILES_UPDATE2, IORING_REGISTER_PBUF_RING,
    IORING_UNREGISTER_PBUF_RING, IORING_REGISTER_ENABLE_RINGS};

Result<> restrict_ring(int fd) {
  std::vector<io_uring_restriction> rules;
  for (auto opcode : kDenOpcodes) {
    io_uring_restriction rule{};
    rule.opcode = IORING_RESTRICTION_SQE_OP;
    rule.sqe_op = uint8_t(opcode);
    rules.push_back(rule);
  }
  for (auto opcode : kDenRegistrations) {
    io_uring_restriction rule{};
    rule.opcode = IORING_RESTRICTION_REGISTER_OP;
    rule.register_op = uint8_t(opcode);
    rules.push_back(rule);
  }
  io_uring_restriction flags{};
  flags.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
  flags.sqe_flags = IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT | IOSQE_IO_LINK;
  rules.push_back(flags);
  int error = ring_register(fd, IORING_REGISTER_RESTRICTIONS, rules.data(), unsigned(rules.size()));
  if (error < 0) return fail_errno(-error, "IORING_REGISTER_RESTRICTIONS");
  return {};
}

}  // namespace

io_uring_params private_ring_params() {
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CLAMP;
  return params;
}

Result<SharedRing> make_shared_ring(const SharedRingOptions& options) {
  SharedRing ring;
  ring.params.flags = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |
                      IORING_SETUP_R_DISABLED;
  ring.params.cq_entries = options.completion_entries;
  long fd = syscall(__NR_io_uring_setup, options.submission_entries, &ring.params);
  if (fd < 0) return fail_errno(errno, "io_uring_setup for a shard");
  ring.fd = Fd(int(fd));

  io_uring_rsrc_register table{};
  table.nr = options.sockets;
  table.flags = IORING_RSRC_REGISTER_SPARSE;
  int error = ring_register(ring.fd.get(), IORING_REGISTER_FILES2, &table, sizeof table);
  if (error < 0) {
    return fail_errno(
        -error,
        fmt::format("a shard of {} direct descriptors (RLIMIT_NOFILE bounds it)", options.sockets));
  }
  if (auto done = restrict_ring(ring.fd.get()); !done) return std::unexpected(done.error());
  error = ring_register(ring.fd.get(), IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  if (error < 0) return fail_errno(-error, "IORING_REGISTER_ENABLE_RINGS");
  return ring;
}

}  // namespace dormouse::io
