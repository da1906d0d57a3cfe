#include "role/sandbox.h"

#include <fmt/format.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "role/log.h"

namespace dormouse::role {
namespace {

uint64_t kept_capabilities(const Sandbox& sandbox) {
  uint64_t kept = 0;
  if (sandbox.switch_identity) kept |= (1ULL << CAP_SETUID) | (1ULL << CAP_SETGID);
  if (sandbox.read_all) kept |= 1ULL << CAP_DAC_READ_SEARCH;
  return kept;
}

// Without the bounding set no capability can come back, whatever is executed.
Result<> drop_bounding_set() {
  for (unsigned capability = 0; capability < 64; ++capability) {
    int held = prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
    if (held < 0) break;  // beyond the last one this kernel knows
    if (held == 1 && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) {
      return fail_errno(errno, fmt::format("dropping capability {}", capability));
    }
  }
  return {};
}

Result<> set_capabilities(uint64_t kept) {
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  for (size_t word = 0; word < sets.size(); ++word) {
    sets[word].permitted = sets[word].effective = uint32_t(kept >> (32 * word));
  }
  if (syscall(SYS_capset, &header, sets.data()) != 0) return fail_errno(errno, "capset");
  return {};
}

Result<> become(const Confinement& who, bool stay_root, bool keep_capabilities) {
  if (keep_capabilities && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) {
    return fail_errno(errno, "PR_SET_KEEPCAPS");
  }
  if (setgroups(0, nullptr) != 0) return fail_errno(errno, "setgroups");
  if (setresgid(who.gid, who.gid, who.gid) != 0) {
    return fail_errno(errno, fmt::format("setresgid {}", who.gid));
  }
  if (stay_root) return {};
  if (setresuid(who.uid, who.uid, who.uid) != 0) {
    return fail_errno(errno, fmt::format("setresuid {}", who.uid));
  }
  return {};
}

Result<> drop_privileges(const Sandbox& sandbox, const Confinement& who) {
  // A switching worker keeps uid 0 for returning to it between users; without the capabilities
  // that make uid 0 root, it owns root's files and no more.
  if (who.uid == 0 && !sandbox.switch_identity) {
    return fail(ErrorKind::kInvalid, "this role may not run as uid 0");
  }
  if (!sandbox.keep_root_directory) {
    if (who.root_directory.empty() || chroot(who.root_directory.c_str()) != 0) {
      return fail_errno(errno, fmt::format("chroot \"{}\"", who.root_directory));
    }
  }
  if (chdir("/") != 0) return fail_errno(errno, "chdir /");
  if (auto done = drop_bounding_set(); !done) return done;
  uint64_t kept = kept_capabilities(sandbox);
  if (auto done = become(who, who.uid == 0, kept != 0); !done) return done;
  if (auto done = set_capabilities(kept); !done) return done;
  if (!sandbox.switch_identity && setresuid(uid_t(-1), 0, uid_t(-1)) == 0) {
    return fail(ErrorKind::kInvalid, "uid 0 can be had again after giving it up");
  }
  return {};
}

}  // namespace

Result<> forbid_dumps() {
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return fail_errno(errno, "PR_SET_DUMPABLE");
  return {};
}

Result<> enter_sandbox(const Sandbox& sandbox, const Confinement& confinement) {
  if (confinement.privileged) {
    if (auto done = drop_privileges(sandbox, confinement); !done) return done;
  } else {
    log_debug("sandbox-partial", {{"chroot", "no"}, {"setuid", "no"}, {"reason", "not-root"}});
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno(errno, "PR_SET_NO_NEW_PRIVS");
  Result<bool> filtered = install_filter(sandbox);
  if (!filtered) return std::unexpected(filtered.error());
  if (!*filtered) log_warning("sandbox-without-seccomp", {{"reason", "sanitizer build"}});
  return {};
}

}  // namespace dormouse::role
