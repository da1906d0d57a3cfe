// The system-call filter. One table per ability of a Sandbox; what stands in none is refused.

#include <asm/prctl.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/prctl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <span>

#include "role/sandbox.h"

namespace dormouse::role {
namespace {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
#else
constexpr bool kSanitized = false;
#endif

// Every role: the ring, messages on descriptors it was given, memory, time, its own end.
// clang-format off
constexpr std::array kBase = {
    SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register),
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(preadv),
    SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(pwrite64), SCMP_SYS(pwritev),
    SCMP_SYS(close), SCMP_SYS(close_range), SCMP_SYS(dup), SCMP_SYS(lseek), SCMP_SYS(fstat),
    SCMP_SYS(recvmsg), SCMP_SYS(recvmmsg), SCMP_SYS(recvfrom),
    SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg), SCMP_SYS(sendto),
    SCMP_SYS(shutdown), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt),
    SCMP_SYS(getsockname), SCMP_SYS(getpeername),
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2),
    SCMP_SYS(eventfd2), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime),
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(msync),
    SCMP_SYS(mlock), SCMP_SYS(mlock2), SCMP_SYS(munlock), SCMP_SYS(mincore),
    SCMP_SYS(futex), SCMP_SYS(membarrier), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity),
    SCMP_SYS(getcpu), SCMP_SYS(rseq), SCMP_SYS(set_robust_list), SCMP_SYS(set_tid_address),
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(restart_syscall),
    SCMP_SYS(alarm),
    SCMP_SYS(getrandom), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getppid),
    SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid),
    SCMP_SYS(getresuid), SCMP_SYS(getresgid), SCMP_SYS(getrusage), SCMP_SYS(times),
    SCMP_SYS(sysinfo), SCMP_SYS(uname),
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack), SCMP_SYS(exit), SCMP_SYS(exit_group)};

// The mail store: SQLite (with its locks and its mapped WAL index) and Maildir; directory handles
// for the watch; inotify and polling for a watch without fanotify.
constexpr std::array kFiles = {
    SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(openat2), SCMP_SYS(creat),
    SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(newfstatat), SCMP_SYS(statx),
    SCMP_SYS(statfs), SCMP_SYS(fstatfs),
    SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
    SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getcwd),
    SCMP_SYS(getdents64), SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2),
    SCMP_SYS(link), SCMP_SYS(linkat), SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(rmdir),
    SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(symlink), SCMP_SYS(symlinkat),
    SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(sync_file_range), SCMP_SYS(syncfs),
    SCMP_SYS(truncate), SCMP_SYS(ftruncate), SCMP_SYS(fallocate), SCMP_SYS(fadvise64),
    SCMP_SYS(flock), SCMP_SYS(utimensat), SCMP_SYS(umask), SCMP_SYS(copy_file_range),
    SCMP_SYS(sendfile), SCMP_SYS(chmod), SCMP_SYS(fchmod), SCMP_SYS(fchmodat),
    SCMP_SYS(fchown), SCMP_SYS(memfd_create), SCMP_SYS(name_to_handle_at),
    SCMP_SYS(inotify_init1), SCMP_SYS(inotify_add_watch), SCMP_SYS(inotify_rm_watch)};

// Where `files` is not given: as if nothing were there.
constexpr std::array kFilesAbsent = {
    SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(statx),
    SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink),
    SCMP_SYS(readlinkat)};

// Opcodes of fcntl that do not reach beyond the descriptor itself, and file locks.
constexpr std::array<uint64_t, 9> kDescriptorControls = {
    F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD, F_DUPFD_CLOEXEC, 1034 /* F_GET_SEALS */,
    1031 /* F_SETPIPE_SZ */, 1032 /* F_GETPIPE_SZ */};
constexpr std::array<uint64_t, 6> kLockControls = {F_GETLK, F_SETLK, F_SETLKW,
                                                   36 /* F_OFD_GETLK */, 37 /* F_OFD_SETLK */,
                                                   38 /* F_OFD_SETLKW */};

constexpr std::array kIdentity = {
    SCMP_SYS(setresuid), SCMP_SYS(setresgid), SCMP_SYS(setreuid), SCMP_SYS(setregid),
    SCMP_SYS(setgroups), SCMP_SYS(getgroups), SCMP_SYS(setfsuid), SCMP_SYS(setfsgid)};

// No code of ours makes these, in any role: whoever does has taken the process over.
constexpr std::array kDeadly = {
    SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev), SCMP_SYS(bpf), SCMP_SYS(init_module), SCMP_SYS(finit_module),
    SCMP_SYS(kexec_load), SCMP_SYS(mount), SCMP_SYS(pivot_root), SCMP_SYS(unshare),
    SCMP_SYS(setns), SCMP_SYS(keyctl), SCMP_SYS(userfaultfd), SCMP_SYS(perf_event_open)};
// clang-format on

scmp_arg_cmp equal(unsigned argument, uint64_t value) {
  return {.arg = argument, .op = SCMP_CMP_EQ, .datum_a = value, .datum_b = 0};
}
scmp_arg_cmp masked(unsigned argument, uint64_t mask, uint64_t value) {
  return {.arg = argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};
}

// Collects rules and keeps the first error.
class Filter {
 public:
  Filter() : context_(seccomp_init(SCMP_ACT_ERRNO(EPERM))) {}
  ~Filter() {
    if (context_ != nullptr) seccomp_release(context_);
  }
  Filter(const Filter&) = delete;
  Filter& operator=(const Filter&) = delete;

  void add(uint32_t action, std::span<const int> calls) {
    for (int call : calls) add(action, call, {});
  }
  void add(uint32_t action, int call, std::initializer_list<scmp_arg_cmp> conditions) {
    if (error_ != 0 || context_ == nullptr) return;
    error_ = seccomp_rule_add_array(context_, action, call, unsigned(conditions.size()),
                                    conditions.begin());
    if (error_ != 0) failed_call_ = call;
  }
  Result<> load() {
    if (context_ == nullptr) return fail_errno(ENOMEM, "seccomp_init");
    if (error_ != 0) {
      return fail_errno(-error_, fmt::format("the seccomp rule for call {}", failed_call_));
    }
    // Threads that exist already are filtered too.
    seccomp_attr_set(context_, SCMP_FLTATR_CTL_TSYNC, 1);
    seccomp_attr_set(context_, SCMP_FLTATR_CTL_OPTIMIZE, 2);  // binary tree: ~8 steps, not ~100
    if (int error = seccomp_load(context_); error != 0) {
      return fail_errno(-error, "loading the seccomp filter");
    }
    return {};
  }

 private:
  scmp_filter_ctx context_;
  int error_ = 0;
  int failed_call_ = 0;
};

// Calls that are fine with some arguments only.
void add_conditional(Filter& filter) {
  // Nothing becomes executable after the start.
  filter.add(SCMP_ACT_ALLOW, SCMP_SYS(mmap), {masked(2, PROT_EXEC, 0)});
  filter.add(SCMP_ACT_ALLOW, SCMP_SYS(mprotect), {masked(2, PROT_EXEC, 0)});
  // The den makes relay channels; no other socket can come into being.
  filter.add(SCMP_ACT_ALLOW, SCMP_SYS(socketpair), {equal(0, AF_UNIX)});
  // abort() and raise(): itself only.
  filter.add(SCMP_ACT_ALLOW, SCMP_SYS(tgkill), {equal(0, static_cast<scmp_datum_t>(getpid()))});
  filter.add(SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), {equal(2, 0)});  // reading limits
  filter.add(SCMP_ACT_ALLOW, SCMP_SYS(prctl), {equal(0, PR_SET_NAME)});
  // Itself; more than it had at the start needs a privilege.
  filter.add(SCMP_ACT_ALLOW, SCMP_SYS(sched_setattr), {equal(0, 0)});
  for (uint64_t opcode : kDescriptorControls) {
    filter.add(SCMP_ACT_ALLOW, SCMP_SYS(fcntl), {equal(1, opcode)});
  }
}

void add_files(Filter& filter) {
  filter.add(SCMP_ACT_ALLOW, kFiles);
  for (uint64_t opcode : kLockControls) {
    filter.add(SCMP_ACT_ALLOW, SCMP_SYS(fcntl), {equal(1, opcode)});
  }
}

void add_no_files(Filter& filter) {
  filter.add(SCMP_ACT_ERRNO(ENOENT), kFilesAbsent);
  // glibc's fstat() is newfstatat(fd, "", ..., AT_EMPTY_PATH).
  filter.add(SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), {masked(3, AT_EMPTY_PATH, AT_EMPTY_PATH)});
  filter.add(SCMP_ACT_ERRNO(ENOENT), SCMP_SYS(newfstatat), {masked(3, AT_EMPTY_PATH, 0)});
}

void add_threads(Filter& filter) {
  // clone3's flags lie in memory, out of the filter's sight: ENOSYS makes glibc use clone.
  filter.add(SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), {});
  filter.add(SCMP_ACT_ALLOW, SCMP_SYS(clone), {masked(0, CLONE_THREAD, CLONE_THREAD)});
  filter.add(SCMP_ACT_ALLOW, SCMP_SYS(sched_setaffinity), {});
}

}  // namespace

Result<bool> install_filter(const Sandbox& sandbox) {
  if constexpr (kSanitized) return false;
  Filter filter;
  filter.add(SCMP_ACT_ALLOW, kBase);
  filter.add(SCMP_ACT_KILL_PROCESS, kDeadly);
  add_conditional(filter);
  if (sandbox.files) {
    add_files(filter);
  } else {
    add_no_files(filter);
  }
  if (sandbox.threads) add_threads(filter);
  if (sandbox.switch_identity) filter.add(SCMP_ACT_ALLOW, kIdentity);
  if (sandbox.accept) {
    constexpr std::array kAccept = {SCMP_SYS(accept4), SCMP_SYS(accept)};
    filter.add(SCMP_ACT_ALLOW, kAccept);
  }
  if (auto loaded = filter.load(); !loaded) return std::unexpected(loaded.error());
  return true;
}

}  // namespace dormouse::role
