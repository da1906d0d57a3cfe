#include "master/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "role/process.h"

extern char** environ;

namespace dormouse::master {
namespace {

constexpr int kExecFailed = 127;  // as shells say

// What the service manager said is for the master alone.
constexpr std::array<std::string_view, 7> kManagerVariables = {
    "NOTIFY_SOCKET=", "WATCHDOG_PID=",   "WATCHDOG_USEC=", "LISTEN_FDS=",
    "LISTEN_PID=",    "LISTEN_FDNAMES=", "MAINPID="};

std::vector<char*> child_environment() {
  std::vector<char*> variables;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    bool keep = true;
    for (std::string_view name : kManagerVariables) {
      keep = keep && !std::string_view(*variable).starts_with(name);
    }
    if (keep) variables.push_back(*variable);
  }
  variables.push_back(nullptr);
  return variables;
}

// Between fork and exec: only calls that are safe there, nothing that allocates.
[[noreturn]] void become_role(const char* executable, char* const* arguments,
                              char* const* environment, int control, int inherited) {
  ::setsid();
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  // First out of the way of each other's places.
  constexpr int kAside = 10;
  control = ::fcntl(control, F_DUPFD_CLOEXEC, kAside);
  if (inherited >= 0) inherited = ::fcntl(inherited, F_DUPFD_CLOEXEC, kAside);
  if (::dup2(control, role::kControlFd) < 0) ::_exit(kExecFailed);
  ::close(role::kInheritedRingFd);
  if (inherited >= 0 && ::dup2(inherited, role::kInheritedRingFd) < 0) ::_exit(kExecFailed);
  int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0 || ::dup2(null, STDIN_FILENO) < 0 || ::dup2(null, STDOUT_FILENO) < 0) {
    ::_exit(kExecFailed);
  }
  ::close_range(role::kInheritedRingFd + 1, ~0U, 0);
  ::execve(executable, arguments, environment);
  ::_exit(kExecFailed);
}

}  // namespace

Result<Child> start_child(const std::string& executable, const std::string& role_name,
                          uint32_t index, const io::Channel& control, int inherited) {
  std::string program = "dormouse";
  std::string command = "role";
  std::string name = role_name;
  std::string number = fmt::format("{}", index);
  std::array<char*, 5> arguments = {program.data(), command.data(), name.data(), number.data(),
                                    nullptr};
  std::vector<char*> environment = child_environment();
  pid_t pid = ::fork();
  if (pid < 0) return fail_errno(errno, fmt::format("starting {}", role_name));
  if (pid == 0) {
    become_role(executable.c_str(), arguments.data(), environment.data(), control.fd(), inherited);
  }
  // The pid cannot be another's: only we reap it.
  Child child{.pid = pid, .pidfd = io::Fd(int(syscall(SYS_pidfd_open, pid, 0)))};
  DORMOUSE_CHECK(bool(child.pidfd), "a child not yet reaped has a pidfd");
  return child;
}

void send_signal(const Child& child, int signal_number) {
  if (!child.pidfd) return;
  // ESRCH: it has ended already, which is what was wanted.
  syscall(SYS_pidfd_send_signal, child.pidfd.get(), signal_number, nullptr, 0);
}

io::Task<Result<std::string>> wait_for_end(io::Loop& loop, const Child& child) {
  while (true) {
    siginfo_t info{};
    if (waitid(P_PIDFD, id_t(child.pidfd.get()), &info, WEXITED | WNOHANG) != 0) {
      co_return fail_errno(errno, "waitid");
    }
    if (info.si_pid != 0) {
      if (info.si_code == CLD_EXITED) co_return fmt::format("exited with {}", info.si_status);
      co_return fmt::format("killed by signal {} ({})", info.si_status, strsignal(info.si_status));
    }
    auto ready = co_await loop.poll(child.pidfd.get(), POLLIN);
    if (!ready) co_return std::unexpected(ready.error());
  }
}

}  // namespace dormouse::master
