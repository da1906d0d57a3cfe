#include "hibernate/watch/fanotify_group.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/fanotify.h>
#include <sys/vfs.h>

#include <cerrno>
#include <cstring>

namespace dormouse::hibernate {
namespace {

// FAN_RENAME (Linux 5.17) names both ends of a move in one event.
constexpr uint64_t kEvents =
    FAN_CREATE | FAN_DELETE | FAN_RENAME | FAN_DELETE_SELF | FAN_MOVE_SELF | FAN_ONDIR;

}  // namespace

Result<io::Fd> make_fanotify_group() {
  io::Fd group(fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | FAN_REPORT_DFID_NAME,
                             O_RDONLY | O_CLOEXEC));
  if (!group) return fail_errno(errno, "fanotify_init (needs Linux 5.9 and CAP_SYS_ADMIN)");
  return group;
}

Result<> mark_file_system(const io::Fd& group, const std::string& path) {
  if (fanotify_mark(group.get(), FAN_MARK_ADD | FAN_MARK_FILESYSTEM, kEvents, AT_FDCWD,
                    path.c_str()) != 0) {
    return fail_errno(
        errno, fmt::format("fanotify mark of the file system of {} (needs CAP_SYS_ADMIN)", path));
  }
  return {};
}

void unmark_file_system(const io::Fd& group, const std::string& path) {
  fanotify_mark(group.get(), FAN_MARK_REMOVE | FAN_MARK_FILESYSTEM, kEvents, AT_FDCWD,
                path.c_str());
}

Result<io::Fd> make_fanotify_group(const std::string& path) {
  auto group = make_fanotify_group();
  if (!group) return group;
  if (auto done = mark_file_system(*group, path); !done) return std::unexpected(done.error());
  return group;
}

Result<std::string> directory_handle(const std::string& path) {
  struct statfs info{};
  if (statfs(path.c_str(), &info) != 0) return fail_errno(errno, fmt::format("statfs {}", path));
  union {
    file_handle handle;
    char room[sizeof(file_handle) + MAX_HANDLE_SZ];
  } out;
  out.handle.handle_bytes = MAX_HANDLE_SZ;
  int mount_id = 0;
  if (name_to_handle_at(AT_FDCWD, path.c_str(), &out.handle, &mount_id, 0) != 0) {
    return fail_errno(errno, fmt::format("handle of {}", path));
  }
  std::string text(sizeof info.f_fsid + sizeof out.handle.handle_type, '\0');
  std::memcpy(text.data(), &info.f_fsid, sizeof info.f_fsid);
  std::memcpy(text.data() + sizeof info.f_fsid, &out.handle.handle_type,
              sizeof out.handle.handle_type);
  text.append(reinterpret_cast<const char*>(out.handle.f_handle), out.handle.handle_bytes);
  return text;
}

}  // namespace dormouse::hibernate
