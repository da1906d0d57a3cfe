// One message into new/: the Maildir's own protocol, nothing of ours.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "store/files.h"
#include "store/maildir_name.h"
#include "store/store.h"
#include "store/try.h"

namespace dormouse::store {
namespace {

// Pipes hand out 64 KiB at the most.
constexpr size_t kReadChunkBytes = 64 * 1024;

Result<LineCounter> pump(int source_fd, int target_fd, const std::string& path) {
  LineCounter counter;
  std::string buffer(kReadChunkBytes, '\0');
  while (true) {
    ssize_t got = read(source_fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(errno, "read the message");
    if (got == 0) return counter;
    std::string_view left(buffer.data(), static_cast<size_t>(got));
    counter.feed(left);
    while (!left.empty()) {
      ssize_t written = write(target_fd, left.data(), left.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return fail_errno(errno, "write " + path);
      left.remove_prefix(static_cast<size_t>(written));
    }
  }
}

Result<std::string> write_and_move(const std::string& directory, const std::string& base,
                                   int source_fd) {
  std::string tmp_path = directory + "/tmp/" + base;
  io::Fd target(open(tmp_path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!target) return fail_errno(errno, "create " + tmp_path);
  auto finish = [&]() -> Result<std::string> {
    STORE_ASSIGN(LineCounter counter, pump(source_fd, target.get(), tmp_path));
    if (fsync(target.get()) != 0) return fail_errno(errno, "fsync " + tmp_path);
    std::string name = with_sizes(base, counter.file_size_bytes(), counter.rfc822_size_bytes());
    std::string new_path = directory + "/new/" + name;
    STORE_TRY(rename_new(tmp_path, new_path));
    STORE_TRY(fsync_directory(directory + "/new"));
    return new_path;
  };
  Result<std::string> result = finish();
  if (!result) (void)remove_file(tmp_path);
  return result;
}

}  // namespace

Result<std::string> deliver(const std::string& mail_path, std::string_view mailbox, int source_fd) {
  STORE_ASSIGN(std::string name, canonical_mailbox_name(mailbox));
  STORE_ASSIGN(std::string folder, folder_of(name));
  std::string directory = folder.empty() ? mail_path : mail_path + "/" + folder;
  if (!is_directory(directory + "/cur")) {
    STORE_TRY(make_maildir(mail_path, false));
    if (!folder.empty()) STORE_TRY(make_maildir(directory, true));
  }
  return write_and_move(directory, unique_base(), source_fd);
}

bool is_temporary(const Error& error) {
  switch (error.kind) {
    case ErrorKind::kInvalid:      // the mailbox's name
    case ErrorKind::kUnsupported:  // this build
      return false;
    default:
      // Space, permissions, a missing mount: an administrator mends those, and mail must wait.
      return true;
  }
}

}  // namespace dormouse::store
