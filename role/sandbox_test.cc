#include "role/sandbox.h"

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <thread>

#include "role/log.h"

namespace dormouse::role {
namespace {

constexpr uint32_t kNobody = 65534;

// Runs `check` in a child that has entered the sandbox; the wait status. `check` answers 0, or the
// number of the expectation that failed.
int in_sandbox(const Sandbox& sandbox, Confinement who, int (*check)()) {
  std::string empty = std::filesystem::temp_directory_path() / "dormouse-sandbox-XXXXXX";
  who.privileged = geteuid() == 0;
  if (mkdtemp(empty.data()) == nullptr || chmod(empty.c_str(), 0755) != 0) return -1;
  who.root_directory = empty;
  pid_t child = fork();
  if (child == 0) {
    auto entered = enter_sandbox(sandbox, who);
    if (!entered) {
      log_error("not-entered", {{"reason", entered.error().message}});
      _exit(99);
    }
    _exit(check());
  }
  int status = -1;
  waitpid(child, &status, 0);
  std::filesystem::remove(empty);
  return status;
}

Confinement as(uint32_t uid) {
  Confinement who;
  who.uid = who.gid = uid;
  return who;
}

bool filter_is_built() {
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  return false;
#else
  return true;
#endif
}

#define SKIP_WITHOUT_FILTER() \
  if (!filter_is_built()) GTEST_SKIP() << "sanitizer builds have no system-call filter"
#define EXPECT_ENDS_WELL(status)                                               \
  do {                                                                         \
    int ended = (status);                                                      \
    EXPECT_TRUE(WIFEXITED(ended)) << "killed by " << WTERMSIG(ended);          \
    EXPECT_EQ(WEXITSTATUS(ended), 0) << "the number of the expectation above"; \
  } while (false)

int no_files_no_sockets() {
  if (open("/etc/passwd", O_RDONLY) >= 0 || errno != ENOENT) return 1;
  if (open("/new", O_CREAT | O_WRONLY, 0600) >= 0) return 2;
  if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != EPERM) return 3;
  struct stat info;
  if (stat("/", &info) == 0) return 4;
  if (fork() >= 0) return 5;
  if (kill(getppid(), 0) == 0) return 6;
  if (mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
    return 7;
  if (setuid(0) == 0 && getuid() == 0) return 8;
  return 0;
}

TEST(Sandbox, no_file_socket_or_process_can_be_made) {
  SKIP_WITHOUT_FILTER();
  EXPECT_ENDS_WELL(in_sandbox({}, as(kNobody), no_files_no_sockets));
}

int execute() {
  const char* arguments[] = {"/bin/true", nullptr};
  execve("/bin/true", const_cast<char**>(arguments), nullptr);
  return 0;
}

TEST(Sandbox, starting_a_program_kills_the_role_even_where_files_are_allowed) {
  SKIP_WITHOUT_FILTER();
  for (bool files : {false, true}) {
    int status = in_sandbox({.files = files, .keep_root_directory = files}, as(kNobody), execute);
    ASSERT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), SIGSYS);
  }
}

int daily_work() {
  void* memory = malloc(1 << 20);
  if (memory == nullptr) return 1;
  free(memory);
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0) return 2;
  if (send(ends[0], "x", 1, 0) != 1) return 3;
  char byte = 0;
  if (recv(ends[1], &byte, 1, 0) != 1 || byte != 'x') return 4;
  struct stat info;
  if (fstat(ends[0], &info) != 0) return 5;
  if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) return 6;
  log_info("sandboxed", {{"works", "yes"}});
  return 0;
}

TEST(Sandbox, memory_channels_and_log_lines_go_on_working) {
  EXPECT_ENDS_WELL(in_sandbox({}, as(kNobody), daily_work));
}

int thread_runs() {
  int seen = 0;
  std::thread thread([&seen] { seen = 1; });
  thread.join();
  return seen == 1 ? 0 : 1;
}

TEST(Sandbox, threads_start_where_they_are_allowed) {
  EXPECT_ENDS_WELL(in_sandbox({.threads = true}, as(kNobody), thread_runs));
}

int files_work() {
  int fd = open("/proc/self/status", O_RDONLY);
  if (fd < 0) return 1;
  char buffer[64];
  if (read(fd, buffer, sizeof buffer) <= 0) return 2;
  struct stat info;
  if (stat("/tmp", &info) != 0) return 3;
  if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != EPERM) return 4;
  return 0;
}

TEST(Sandbox, a_worker_has_files_and_still_no_network) {
  SKIP_WITHOUT_FILTER();
  EXPECT_ENDS_WELL(
      in_sandbox({.files = true, .keep_root_directory = true}, as(kNobody), files_work));
}

int is_nobody() {
  if (getuid() != kNobody || geteuid() != kNobody || getegid() != kNobody) return 1;
  if (getgroups(0, nullptr) > 0) return 2;
  if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 && errno != EPERM) return 3;
  return 0;
}

TEST(Sandbox, a_privileged_start_ends_as_the_roles_own_user) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  EXPECT_ENDS_WELL(in_sandbox({}, as(kNobody), is_nobody));
}

int switches() {
  if (setgroups(0, nullptr) != 0) return 1;
  if (setresgid(gid_t(-1), 1234, gid_t(-1)) != 0) return 2;
  if (setresuid(uid_t(-1), 1234, uid_t(-1)) != 0) return 3;
  if (open("/etc/shadow", O_RDONLY) >= 0) return 4;
  if (setresuid(uid_t(-1), 0, uid_t(-1)) != 0) return 5;
  if (setresgid(gid_t(-1), 0, gid_t(-1)) != 0) return 6;
  if (setresuid(uid_t(-1), 4321, uid_t(-1)) != 0) return 7;
  // uid 0 of the sandbox is not root: another user's directory stays shut.
  if (setresuid(uid_t(-1), 0, uid_t(-1)) != 0) return 8;
  if (chroot("/") == 0) return 9;
  return 0;
}

TEST(Sandbox, a_switching_worker_changes_users_back_and_forth_and_is_not_root) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  EXPECT_ENDS_WELL(in_sandbox({.files = true, .switch_identity = true, .keep_root_directory = true},
                              as(0), switches));
}

TEST(Sandbox, a_role_that_would_stay_root_is_refused) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  int status = in_sandbox({}, as(0), +[] { return 0; });
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 99);
}

}  // namespace
}  // namespace dormouse::role
