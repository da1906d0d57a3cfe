#include "io/probe.h"

#include <fmt/format.h>
#include <liburing.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>

#include "io/fd.h"
#include "io/ring_setup.h"

namespace dormouse::io {
namespace {

struct Opcode {
  io_uring_op op;
  const char* name;
};

// Everything Loop, OpenOp and SocketTable submit.
constexpr std::array kOpcodes = {
    Opcode{IORING_OP_POLL_ADD, "POLL_ADD"}, Opcode{IORING_OP_ASYNC_CANCEL, "ASYNC_CANCEL"},
    Opcode{IORING_OP_ACCEPT, "ACCEPT"},     Opcode{IORING_OP_CONNECT, "CONNECT"},
    Opcode{IORING_OP_RECV, "RECV"},         Opcode{IORING_OP_SEND, "SEND"},
    Opcode{IORING_OP_READ, "READ"},         Opcode{IORING_OP_WRITE, "WRITE"},
    Opcode{IORING_OP_OPENAT, "OPENAT"},     Opcode{IORING_OP_FSYNC, "FSYNC"},
    Opcode{IORING_OP_RENAMEAT, "RENAMEAT"}, Opcode{IORING_OP_UNLINKAT, "UNLINKAT"},
    Opcode{IORING_OP_LINKAT, "LINKAT"},     Opcode{IORING_OP_MKDIRAT, "MKDIRAT"},
    Opcode{IORING_OP_STATX, "STATX"},       Opcode{IORING_OP_SHUTDOWN, "SHUTDOWN"},
    Opcode{IORING_OP_CLOSE, "CLOSE"},       Opcode{IORING_OP_FILES_UPDATE, "FILES_UPDATE"},
};

// A page of buffers is locked per ring: a few rings fit 64 KiB, a shard's do not need more.
constexpr uint64_t kLockedBytesWanted = 64 * 1024;
constexpr unsigned kProbeEntries = 8;

// -1 when the file is not there (before Linux 6.6).
int io_uring_disabled() {
  std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen("/proc/sys/kernel/io_uring_disabled", "re"),
                                             &std::fclose);
  int value = -1;
  if (file && std::fscanf(file.get(), "%d", &value) != 1) value = -1;
  return value;
}

void add_fatal(ProbeReport& report, std::string what, std::string cost) {
  report.findings.push_back({.fatal = true, .what = std::move(what), .cost = std::move(cost)});
}
void add_minor(ProbeReport& report, std::string what, std::string cost) {
  report.findings.push_back({.fatal = false, .what = std::move(what), .cost = std::move(cost)});
}

void probe_opcodes(ProbeReport& report, io_uring& ring) {
  std::unique_ptr<io_uring_probe, void (*)(io_uring_probe*)> probe(io_uring_get_probe_ring(&ring),
                                                                   &io_uring_free_probe);
  if (!probe) {
    add_fatal(report, "IORING_REGISTER_PROBE is missing", "Linux 6.1 or newer is needed");
    return;
  }
  for (const Opcode& opcode : kOpcodes) {
    if (io_uring_opcode_supported(probe.get(), opcode.op) != 0) continue;
    add_fatal(report, fmt::format("io_uring has no IORING_OP_{}", opcode.name),
              "Linux 6.1 or newer is needed");
  }
}

void probe_provided_buffers(ProbeReport& report, io_uring& ring) {
  long page = sysconf(_SC_PAGESIZE);
  void* memory =
      mmap(nullptr, size_t(page), PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
  if (memory == MAP_FAILED) return;
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<uint64_t>(memory);
  registration.ring_entries = 8;
  int error = io_uring_register_buf_ring(&ring, &registration, 0);
  if (error < 0) {
    add_fatal(report,
              fmt::format("io_uring has no provided-buffer rings (IORING_REGISTER_PBUF_RING: {})",
                          fail_errno(-error, "").error().message),
              "Linux 5.19 or newer is needed");
  } else {
    io_uring_unregister_buf_ring(&ring, 0);
  }
  munmap(memory, size_t(page));
}

void probe_private_ring(ProbeReport& report) {
  io_uring ring{};
  io_uring_params params = private_ring_params();
  int error = io_uring_queue_init_params(kProbeEntries, &ring, &params);
  if (error < 0) {
    int disabled = io_uring_disabled();
    std::string what = fail_errno(-error, "io_uring_setup").error().message;
    if (disabled > 0) {
      add_fatal(report, fmt::format("sysctl kernel.io_uring_disabled is {} ({})", disabled, what),
                "set it to 0 (or to 1, with us in kernel.io_uring_group)");
    } else if (error == -ENOSYS) {
      add_fatal(report, "this kernel has no io_uring (CONFIG_IO_URING)",
                "Linux 6.1 with it is needed");
    } else if (error == -EPERM) {
      add_fatal(report, what, "a seccomp filter or container policy forbids io_uring: allow it");
    } else if (error == -ENOMEM) {
      add_fatal(report, what, "RLIMIT_MEMLOCK or the memory cgroup is too small");
    } else {
      add_fatal(report, what, "Linux 6.1 or newer is needed (SINGLE_ISSUER, DEFER_TASKRUN)");
    }
    return;
  }
  probe_opcodes(report, ring);
  probe_provided_buffers(report, ring);
  io_uring_queue_exit(&ring);
}

void probe_limits(ProbeReport& report) {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  report.open_files_soft = files.rlim_cur;
  report.open_files_hard = files.rlim_max;
  constexpr uint64_t kFilesMin = 256;  // a role's channels, a store's files
  if (files.rlim_max < kFilesMin) {
    add_fatal(report, fmt::format("RLIMIT_NOFILE is {}", files.rlim_max),
              fmt::format("at least {} are needed (ulimit -Hn, LimitNOFILE=)", kFilesMin));
  }
  rlimit locked{};
  getrlimit(RLIMIT_MEMLOCK, &locked);
  if (locked.rlim_cur < kLockedBytesWanted && geteuid() != 0) {
    add_minor(report, fmt::format("RLIMIT_MEMLOCK is {} bytes", locked.rlim_cur),
              "memory with keys may reach the swap (ulimit -l, LimitMEMLOCK=)");
  }
}

// Empty, or why no BPF program can be loaded.
std::string why_no_bpf() {
  // A map of one number: the least there is.
  bpf_attr map{};
  map.map_type = BPF_MAP_TYPE_ARRAY;
  map.key_size = map.value_size = sizeof(uint32_t);
  map.max_entries = 1;
  Fd made(int(syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof map)));
  if (!made && errno == ENOSYS) return "this kernel has no bpf() (CONFIG_BPF_SYSCALL)";
  if (!made && errno == EPERM) return "bpf() is not permitted (CAP_BPF and CAP_NET_ADMIN)";
  if (!made) return fail_errno(errno, "bpf()").error().message;
  if (access("/sys/kernel/btf/vmlinux", R_OK) != 0) {
    return "no /sys/kernel/btf/vmlinux (CONFIG_DEBUG_INFO_BTF)";
  }
  return {};
}

void probe_bpf(ProbeReport& report) {
  report.no_bpf = why_no_bpf();
  if (report.no_bpf.empty()) return;
  add_minor(report, "BPF: " + report.no_bpf,
            "connections are paced by login and spread by a hash; no census of sockets");
}

}  // namespace

bool ProbeReport::fatal() const {
  return std::ranges::any_of(findings, [](const ProbeFinding& f) { return f.fatal; });
}

bool kernel_at_least(const std::string& release, unsigned major, unsigned minor) {
  unsigned have_major = 0;
  unsigned have_minor = 0;
  if (std::sscanf(release.c_str(), "%u.%u", &have_major, &have_minor) != 2) return false;
  return have_major > major || (have_major == major && have_minor >= minor);
}

ProbeReport probe_machine() {
  ProbeReport report;
  utsname name{};
  uname(&name);
  report.kernel = name.release;
  if (!kernel_at_least(report.kernel, 6, 1)) {
    add_minor(report, fmt::format("this is Linux {}", report.kernel),
              "6.1 is the oldest we know to work");
  }
  probe_private_ring(report);
  if (!report.fatal()) {
    auto shared = make_shared_ring({.sockets = 16});
    if (!shared) {
      add_fatal(report, shared.error().message,
                "a restricted ring with direct descriptors is needed (Linux 6.1)");
    }
  }
  // pidfd_open of ourselves: how the master waits for roles.
  Fd self(int(syscall(SYS_pidfd_open, getpid(), 0)));
  if (!self) add_fatal(report, "pidfd_open does not work", "Linux 5.3 or newer is needed");
  probe_limits(report);
  probe_bpf(report);
  return report;
}

uint64_t raise_open_files(uint64_t wanted) {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  if (wanted > files.rlim_max) {
    rlimit more{.rlim_cur = wanted, .rlim_max = wanted};
    if (setrlimit(RLIMIT_NOFILE, &more) == 0) return wanted;
  }
  files.rlim_cur = files.rlim_max;
  // Raising the soft limit to the hard one is always allowed.
  setrlimit(RLIMIT_NOFILE, &files);
  return files.rlim_cur;
}

}  // namespace dormouse::io
