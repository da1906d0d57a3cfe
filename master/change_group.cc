#include "master/change_group.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/fanotify.h>

#include <cerrno>

namespace dormouse::master {

Result<io::Fd> make_change_group(const std::string& mail_root) {
  // The queue is unlimited: an overflow would make every den look at every mailbox. Its memory is
  // bounded by the watch, which does nothing but read it.
  io::Fd group(fanotify_init(
      FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | FAN_REPORT_DFID_NAME | FAN_UNLIMITED_QUEUE,
      O_RDONLY | O_CLOEXEC | O_LARGEFILE));
  if (!group) {
    return fail_errno(errno, "fanotify_init (needs root with CAP_SYS_ADMIN and Linux 5.9)");
  }
  // What a Maildir knows: deliveries and flag changes are links, renames and unlinks in new/ and
  // cur/. Content is never changed in place.
  constexpr uint64_t kChanges = FAN_CREATE | FAN_MOVED_TO | FAN_MOVED_FROM | FAN_DELETE | FAN_ONDIR;
  if (fanotify_mark(group.get(), FAN_MARK_ADD | FAN_MARK_FILESYSTEM, kChanges, AT_FDCWD,
                    mail_root.c_str()) != 0) {
    return fail_errno(errno, fmt::format("fanotify_mark on the file system of {}", mail_root));
  }
  return group;
}

}  // namespace dormouse::master
