// The second half of store/files.h: small files read and replaced whole, locks, directory handles.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "store/files.h"
#include "store/maildir_name.h"
#include "store/try.h"

namespace dormouse::store {
namespace {

Result<> write_all(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_errno(errno, "write " + path);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

}  // namespace

Result<std::optional<std::string>> read_small_file(const std::string& path, size_t max_bytes) {
  // O_NONBLOCK: opening a FIFO that someone put there must not hang the worker.
  io::Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd && errno == ENOENT) return std::optional<std::string>();
  if (!fd) return fail_errno(errno, "open " + path);
  struct stat info{};
  if (fstat(fd.get(), &info) != 0) return fail_errno(errno, "stat " + path);
  if (!S_ISREG(info.st_mode)) return fail(ErrorKind::kInvalid, path + " is not a file");
  if (static_cast<uint64_t>(info.st_size) > max_bytes) {
    return fail(ErrorKind::kLimit, path + " is too long");
  }
  // Read to the end whatever st_size says: it may grow meanwhile, and files of /proc say 0.
  std::string bytes;
  bytes.reserve(static_cast<size_t>(info.st_size));
  char chunk[16384];
  while (true) {
    ssize_t got = read(fd.get(), chunk, sizeof chunk);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(errno, "read " + path);
    if (got == 0) break;
    bytes.append(chunk, static_cast<size_t>(got));
    if (bytes.size() > max_bytes) return fail(ErrorKind::kLimit, path + " is too long");
  }
  return std::optional<std::string>(std::move(bytes));
}

Result<> replace_file(const std::string& path, std::string_view bytes) {
  std::string temporary = path + "." + Guid::random().hex().substr(0, 16) + ".tmp";
  io::Fd fd(open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return fail_errno(errno, "create " + temporary);
  Result<> done = write_all(fd.get(), bytes, temporary);
  if (done && fsync(fd.get()) != 0) done = fail_errno(errno, "fsync " + temporary);
  if (done) done = rename_over(temporary, path);
  if (!done) unlink(temporary.c_str());
  return done;
}

Result<> fsync_directory(const std::string& directory) {
  io::Fd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, "open " + directory);
  if (fsync(fd.get()) != 0) return fail_errno(errno, "fsync " + directory);
  return {};
}

Result<std::string> directory_key(const std::string& directory) {
  struct statfs file_system{};
  if (statfs(directory.c_str(), &file_system) != 0) return fail_errno(errno, "statfs " + directory);
  alignas(struct file_handle) char space[sizeof(struct file_handle) + MAX_HANDLE_SZ] = {};
  auto* handle = reinterpret_cast<struct file_handle*>(space);
  handle->handle_bytes = MAX_HANDLE_SZ;
  int mount_id = 0;
  if (name_to_handle_at(AT_FDCWD, directory.c_str(), handle, &mount_id, 0) != 0) {
    if (errno == EOPNOTSUPP || errno == EPERM || errno == ENOSYS) return std::string();
    return fail_errno(errno, "name_to_handle_at " + directory);
  }
  std::string key;
  static_assert(sizeof file_system.f_fsid == 8, "fanotify reports fsid as two 32-bit words");
  key.append(reinterpret_cast<const char*>(&file_system.f_fsid), sizeof file_system.f_fsid);
  key.append(reinterpret_cast<const char*>(&handle->handle_type), sizeof handle->handle_type);
  key.append(space + sizeof(struct file_handle), handle->handle_bytes);
  return key;
}

Result<io::Fd> lock_directory(const std::string& directory) {
  io::Fd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, "open " + directory);
  while (flock(fd.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return fail_errno(errno, "flock " + directory);
  }
  return fd;
}

}  // namespace dormouse::store
