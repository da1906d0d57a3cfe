#include "io/ring_setup.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
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

// What the operations of Loop submit on descriptors that are there already.
constexpr std::array kMessageOpcodes = {
    IORING_OP_NOP,   IORING_OP_POLL_ADD, IORING_OP_POLL_REMOVE,  IORING_OP_ACCEPT, IORING_OP_RECV,
    IORING_OP_SEND,  IORING_OP_RECVMSG,  IORING_OP_SENDMSG,      IORING_OP_READ,   IORING_OP_WRITE,
    IORING_OP_CLOSE, IORING_OP_SHUTDOWN, IORING_OP_ASYNC_CANCEL, IORING_OP_TIMEOUT};
// What the mail store needs beside them.
constexpr std::array kFileOpcodes = {IORING_OP_OPENAT,    IORING_OP_STATX,    IORING_OP_FSYNC,
                                     IORING_OP_FALLOCATE, IORING_OP_RENAMEAT, IORING_OP_LINKAT,
                                     IORING_OP_UNLINKAT,  IORING_OP_MKDIRAT};
// A worker's identities.
constexpr std::array kFileRegistrations = {IORING_REGISTER_PERSONALITY,
                                           IORING_UNREGISTER_PERSONALITY};

using Rules = std::vector<io_uring_restriction>;

template <class Opcodes>
void allow_opcodes(Rules& rules, const Opcodes& opcodes) {
  for (auto opcode : opcodes) {
    io_uring_restriction rule{};
    rule.opcode = IORING_RESTRICTION_SQE_OP;
    rule.sqe_op = uint8_t(opcode);
    rules.push_back(rule);
  }
}

template <class Registrations>
void allow_registrations(Rules& rules, const Registrations& registrations) {
  for (auto registration : registrations) {
    io_uring_restriction rule{};
    rule.opcode = IORING_RESTRICTION_REGISTER_OP;
    rule.register_op = uint8_t(registration);
    rules.push_back(rule);
  }
}

// Without a rule for them, no submission may carry any flag.
void allow_flags(Rules& rules, unsigned flags) {
  io_uring_restriction rule{};
  rule.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
  rule.sqe_flags = uint8_t(flags);
  rules.push_back(rule);
}

Result<> register_rules(int fd, const Rules& rules) {
  int error = ring_register(fd, IORING_REGISTER_RESTRICTIONS, rules.data(), unsigned(rules.size()));
  if (error < 0) return fail_errno(-error, "IORING_REGISTER_RESTRICTIONS");
  return {};
}

Result<> enable_ring(int fd) {
  int error = ring_register(fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  if (error < 0) return fail_errno(-error, "IORING_REGISTER_ENABLE_RINGS");
  return {};
}

Result<> restrict_shared_ring(int fd) {
  Rules rules;
  allow_opcodes(rules, kDenOpcodes);
  allow_registrations(rules, kDenRegistrations);
  allow_flags(rules, IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT | IOSQE_IO_LINK);
  return register_rules(fd, rules);
}

// Makes the kernel free some page cache: memory that is touched is found by reclaiming.
void reclaim_some() {
  constexpr size_t kBytes = size_t{16} << 20;  // dozens of rings
  void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory != MAP_FAILED) munmap(memory, kBytes);
  constexpr timespec kPause = {.tv_sec = 0, .tv_nsec = 5'000'000};
  nanosleep(&kPause, nullptr);
}

}  // namespace

int set_up_ring(const std::function<int()>& setup) {
  constexpr int kTries = 20;
  int result = setup();
  for (int i = 1; i < kTries && result == -ENOMEM; ++i) {
    reclaim_some();
    result = setup();
  }
  return result;
}

io_uring_params private_ring_params(RingUse use) {
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CLAMP;
  if (use != RingUse::kAnything) params.flags |= IORING_SETUP_R_DISABLED;
  return params;
}

Result<> restrict_private_ring(int ring_fd, RingUse use) {
  if (use == RingUse::kAnything) return {};
  Rules rules;
  allow_opcodes(rules, kMessageOpcodes);
  if (use == RingUse::kFiles) {
    allow_opcodes(rules, kFileOpcodes);
    allow_registrations(rules, kFileRegistrations);
  }
  if (auto done = register_rules(ring_fd, rules); !done) return done;
  return enable_ring(ring_fd);
}

Result<SharedRing> make_shared_ring(const SharedRingOptions& options) {
  SharedRing ring;
  ring.params.flags = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |
                      IORING_SETUP_R_DISABLED;
  ring.params.cq_entries = options.completion_entries;
  int fd = set_up_ring([&] {
    io_uring_params params = ring.params;
    long made = syscall(__NR_io_uring_setup, options.submission_entries, &params);
    if (made < 0) return -errno;
    ring.params = params;
    return int(made);
  });
  if (fd < 0) return fail_errno(-fd, "io_uring_setup for a shard");
  ring.fd = Fd(fd);

  io_uring_rsrc_register table{};
  table.nr = options.sockets;
  table.flags = IORING_RSRC_REGISTER_SPARSE;
  int error = ring_register(ring.fd.get(), IORING_REGISTER_FILES2, &table, sizeof table);
  if (error < 0) {
    return fail_errno(
        -error,
        fmt::format("a shard of {} direct descriptors (RLIMIT_NOFILE bounds it)", options.sockets));
  }
  if (auto done = restrict_shared_ring(ring.fd.get()); !done) return std::unexpected(done.error());
  if (auto done = enable_ring(ring.fd.get()); !done) return std::unexpected(done.error());
  return ring;
}

}  // namespace dormouse::io
