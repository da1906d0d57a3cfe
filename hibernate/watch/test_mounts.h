#pragma once
// File systems for a test, mounted where nobody else sees them and gone with the process: in a
// mount namespace of its own. As root only.

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

namespace dormouse::hibernate {

// One folder for images and mount points. The images are sparse: what is written to them is some
// megabytes of file system and a few hundred messages.
class TestMounts {
 public:
  // Why there are none to be had; empty: all is well.
  const std::string& hindered() const { return hindered_; }

  TestMounts() {
    if (geteuid() != 0) {
      hindered_ = "mounting takes root";
      return;
    }
    if (unshare(CLONE_NEWNS) != 0 || ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      hindered_ = fmt::format("a mount namespace: {}", std::strerror(errno));
      return;
    }
    std::string name = testing::TempDir() + "dormouse_mounts_XXXXXX";
    folder_ = mkdtemp(name.data());
  }
  ~TestMounts() {
    if (folder_.empty()) return;
    for (const auto& place : mounted_) ::umount2(place.c_str(), MNT_DETACH);
    if (mirror_ > 0) {
      kill(mirror_, SIGKILL);
      waitpid(mirror_, nullptr, 0);
    }
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  TestMounts(const TestMounts&) = delete;
  TestMounts& operator=(const TestMounts&) = delete;

  const std::filesystem::path& folder() const { return folder_; }

  // "ext4", "xfs", "btrfs": on a loop device; "tmpfs". Empty: hindered() says why.
  std::filesystem::path make(const std::string& kind) {
    std::filesystem::path place = point(kind);
    if (kind == "tmpfs") {
      return mount("tmpfs", place, "tmpfs", "size=64m") ? place : std::filesystem::path();
    }
    // mkfs.xfs wants 300 MiB at the least, mkfs.btrfs 109.
    std::string image = (folder_ / (kind + ".img")).string();
    int fd = open(image.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    bool sized = fd >= 0 && ftruncate(fd, off_t(320) << 20) == 0;
    if (fd >= 0) close(fd);
    if (!sized || !run(fmt::format("mkfs.{} -q {}", kind, image)) ||
        !run(fmt::format("mount -o loop {} {}", image, place.string()))) {
      return {};
    }
    mounted_.insert(mounted_.begin(), place);
    return place;
  }
  bool mount(const char* what, const std::filesystem::path& place, const char* kind,
             const std::string& options) {
    if (::mount(what, place.c_str(), kind, 0, options.c_str()) != 0) {
      hindered_ = fmt::format("mounting {} ({}): {}", kind, options, std::strerror(errno));
      return false;
    }
    mounted_.insert(mounted_.begin(), place);
    return true;
  }
  std::filesystem::path point(const std::string& name) {
    std::filesystem::path place = folder_ / name;
    std::filesystem::create_directory(place);
    return place;
  }
  // A program that does not come to an end within a minute is killed.
  bool run(const std::string& command) {
    pid_t child = fork();
    if (child == 0) {
      std::string bounded = "timeout 60 " + command + " >/dev/null 2>&1";
      execl("/bin/sh", "sh", "-c", bounded.c_str(), nullptr);
      _exit(127);
    }
    int status = -1;
    bool fine =
        waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!fine) hindered_ = fmt::format("\"{}\" failed with {}", command, status);
    return fine;
  }
  // `place` shows what `store` holds, through a FUSE program that ends with this process.
  bool mirror(const std::filesystem::path& store, const std::filesystem::path& place) {
    pid_t parent = getpid();
    mirror_ = fork();
    if (mirror_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(127);
      execlp("bindfs", "bindfs", "-f", "-o", "entry_timeout=0", store.c_str(), place.c_str(),
             nullptr);
      _exit(127);
    }
    constexpr int kWaitMs = 10'000;
    for (int waited = 0; waited < kWaitMs; waited += 10) {
      struct statfs info{};
      if (statfs(place.c_str(), &info) == 0 && uint32_t(info.f_type) == FUSE_SUPER_MAGIC) {
        mounted_.insert(mounted_.begin(), place);
        return true;
      }
      if (waitpid(mirror_, nullptr, WNOHANG) != 0) {
        mirror_ = -1;
        break;
      }
      usleep(10'000);
    }
    hindered_ = "no bindfs";
    return false;
  }

 private:
  std::filesystem::path folder_;
  std::vector<std::filesystem::path> mounted_;  // last first
  std::string hindered_;
  pid_t mirror_ = -1;
};

}  // namespace dormouse::hibernate
