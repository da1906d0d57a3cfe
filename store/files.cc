#include "store/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <memory>

#include "store/maildir_name.h"
#include "store/try.h"

namespace dormouse::store {
namespace {

// A stamp is trusted when it is older than the grain of the clock that writes mtimes. With
// nanoseconds in it that is the kernel's tick, at most 10 ms (CONFIG_HZ=100), taken five times;
// without, the file system may count seconds (or, FAT, two).
constexpr int64_t kGrainFine_ns = 50'000'000;
constexpr int64_t kGrainCoarse_ns = 2'500'000'000;

constexpr size_t kCopyChunkBytes = 1u << 20;

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

Result<Directory> open_directory(const std::string& path) {
  DIR* directory = opendir(path.c_str());
  if (directory == nullptr) return fail_errno(errno, "open directory " + path);
  return Directory(directory);
}

bool entry_is(int directory_fd, const dirent& entry, unsigned char type, mode_t mode) {
  if (entry.d_type != DT_UNKNOWN) return entry.d_type == type;
  struct stat info{};
  return fstatat(directory_fd, entry.d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
         (info.st_mode & S_IFMT) == mode;
}

int64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

Result<> copy_bytes(const std::string& from, const std::string& to) {
  io::Fd source(open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!source) return fail_errno(errno, "open " + from);
  struct stat info{};
  if (fstat(source.get(), &info) != 0) return fail_errno(errno, "stat " + from);
  io::Fd target(open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!target) return fail_errno(errno, "create " + to);
  int code = 0;
  while (true) {
    ssize_t copied =
        copy_file_range(source.get(), nullptr, target.get(), nullptr, kCopyChunkBytes, 0);
    if (copied == 0) break;
    if (copied < 0 && errno == EINTR) continue;
    if (copied < 0) {
      code = errno;
      break;
    }
  }
  const timespec times[2] = {info.st_atim, info.st_mtim};
  if (code == 0 && (futimens(target.get(), times) != 0 || fsync(target.get()) != 0)) code = errno;
  if (code == 0) return {};
  unlink(to.c_str());
  return fail_errno(code, "copy " + from + " to " + to);
}

}  // namespace

Result<DirectoryStamp> stamp_of(const std::string& directory) {
  int64_t now = now_ns();
  struct stat info{};
  if (stat(directory.c_str(), &info) != 0) return fail_errno(errno, "stat " + directory);
  DirectoryStamp stamp;
  stamp.mtime_ns = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec;
  stamp.inode = info.st_ino;
  int64_t grain = info.st_mtim.tv_nsec != 0 ? kGrainFine_ns : kGrainCoarse_ns;
  stamp.settled = stamp.mtime_ns < now - grain;
  return stamp;
}

Result<> list_files(const std::string& directory,
                    const std::function<bool(std::string_view)>& visit) {
  STORE_ASSIGN(Directory handle, open_directory(directory));
  while (true) {
    errno = 0;
    dirent* entry = readdir(handle.get());
    if (entry == nullptr) {
      if (errno != 0) return fail_errno(errno, "read directory " + directory);
      return {};
    }
    if (entry->d_name[0] == '.' || !entry_is(dirfd(handle.get()), *entry, DT_REG, S_IFREG))
      continue;
    if (!visit(entry->d_name)) return {};
  }
}

Result<std::vector<std::string>> list_directories(const std::string& root,
                                                  std::string_view prefix) {
  std::vector<std::string> names;
  STORE_ASSIGN(Directory handle, open_directory(root));
  while (true) {
    errno = 0;
    dirent* entry = readdir(handle.get());
    if (entry == nullptr) {
      if (errno != 0) return fail_errno(errno, "read directory " + root);
      return names;
    }
    std::string_view name = entry->d_name;
    if (!name.starts_with(prefix) || name == "." || name == "..") continue;
    if (entry_is(dirfd(handle.get()), *entry, DT_DIR, S_IFDIR)) names.emplace_back(name);
  }
}

Result<std::vector<std::string>> list_folders(const std::string& root) {
  STORE_ASSIGN(std::vector<std::string> names, list_directories(root, "."));
  std::erase_if(names, [&](const std::string& name) {
    return name[1] == '.' || !is_directory(root + "/" + name + "/cur");
  });
  if (names.size() > kMailboxesMax) {
    return fail(ErrorKind::kLimit, "too many mailboxes in " + root);
  }
  return names;
}

Result<> rename_new(const std::string& from, const std::string& to) {
  if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return {};
  if (errno != EINVAL && errno != ENOSYS) return fail_errno(errno, "rename " + from + " to " + to);
  if (link(from.c_str(), to.c_str()) != 0) return fail_errno(errno, "link " + from + " to " + to);
  if (unlink(from.c_str()) != 0 && errno != ENOENT) return fail_errno(errno, "unlink " + from);
  return {};
}

Result<> rename_over(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) == 0) return {};
  return fail_errno(errno, "rename " + from + " to " + to);
}

Result<> remove_file(const std::string& path) {
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return fail_errno(errno, "unlink " + path);
}

Result<> link_or_copy(const std::string& from, const std::string& to) {
  if (linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), 0) == 0) return {};
  if (errno == EXDEV || errno == EMLINK || errno == EPERM || errno == EOPNOTSUPP) {
    return copy_bytes(from, to);
  }
  return fail_errno(errno, "link " + from + " to " + to);
}

Result<std::optional<struct stat>> stat_file(const std::string& path) {
  struct stat info{};
  if (lstat(path.c_str(), &info) == 0) return std::optional<struct stat>(info);
  if (errno == ENOENT || errno == ENOTDIR) return std::optional<struct stat>();
  return fail_errno(errno, "stat " + path);
}

bool exists(const std::string& path) {
  struct stat info{};
  return lstat(path.c_str(), &info) == 0;
}

bool is_directory(const std::string& path) {
  struct stat info{};
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

Result<> make_maildir(const std::string& directory, bool is_folder) {
  // tmp and new before cur: a folder counts as a mailbox once cur/ is there.
  for (const char* part : {"", "/tmp", "/new", "/cur"}) {
    std::string path = directory + part;
    if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
      return fail_errno(errno, "mkdir " + path);
  }
  if (!is_folder) return {};
  std::string mark = directory + "/maildirfolder";
  io::Fd fd(open(mark.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return fail_errno(errno, "create " + mark);
  return {};
}

Result<> remove_tree(const std::string& directory) {
  {
    STORE_ASSIGN(Directory handle, open_directory(directory));
    while (dirent* entry = readdir(handle.get())) {
      std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      std::string path = directory + "/" + entry->d_name;
      if (entry_is(dirfd(handle.get()), *entry, DT_DIR, S_IFDIR)) {
        STORE_TRY(remove_tree(path));
      } else {
        STORE_TRY(remove_file(path));
      }
    }
  }
  if (rmdir(directory.c_str()) != 0 && errno != ENOENT)
    return fail_errno(errno, "rmdir " + directory);
  return {};
}

}  // namespace dormouse::store
