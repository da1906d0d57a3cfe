#pragma once
// What a role gives up before it looks at the first byte of anybody: root directory, user, groups,
// capabilities, and every system call it does not need. docs/processes.md has the table.
//
// Refused calls answer EPERM; those that name a file answer ENOENT, as in the empty directory that
// a privileged role is rooted in, so libraries see the same world with and without root; starting
// a program or looking into other processes kills the role at once (no code of ours does that).

#include <cstdint>
#include <string>

#include "io/result.h"

namespace dormouse::role {

// What a role may do once it runs.
struct Sandbox {
  bool files = false;                // open, read, write, rename... (worker; watch in polling mode)
  bool threads = false;              // auth's hashing
  bool switch_identity = false;      // worker of several uids: keeps CAP_SETUID and CAP_SETGID
  bool read_all = false;             // watch without fanotify: keeps CAP_DAC_READ_SEARCH
  bool accept = false;               // login
  bool keep_root_directory = false;  // worker: the mail lies outside any chroot
};

// Who the process becomes.
struct Confinement {
  bool privileged = false;     // started as root; else root directory, uid and gid stay
  std::string root_directory;  // empty directory; used unless keep_root_directory
  uint32_t uid = 0;            // 0 only with switch_identity
  uint32_t gid = 0;
};

// Enters the sandbox for good. After a failure the process is half confined: end it.
Result<> enter_sandbox(const Sandbox& sandbox, const Confinement& confinement);

// The system-call filter alone (seccomp.cc), for all threads. False: left out, because a sanitizer
// needs calls of its own.
Result<bool> install_filter(const Sandbox& sandbox);

// Keeps the memory of this process out of core dumps and of other processes of the same user.
Result<> forbid_dumps();

}  // namespace dormouse::role
