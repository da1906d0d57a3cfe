#pragma once
// Which file systems the mail lies on, and whether fanotify tells of their changes. The master asks
// at its start, with the rights that marks need; the watch works with the answer.

#include <string>
#include <string_view>
#include <vector>

#include "io/fd.h"
#include "io/result.h"
#include "wire/control.pb.h"

namespace dormouse::hibernate {

struct FileSystemKind {
  std::string name;         // "ext4", "nfs"; "0x<magic>" where it is none that we know
  bool shared = false;      // other machines may write there, which the kernel here is not told
  bool subvolumes = false;  // directories below may have another file system id (btrfs)
};
// By its magic number (statfs(2)).
FileSystemKind file_system_kind(uint64_t magic);
Result<FileSystemKind> file_system_of(const std::string& path);

// The mount points below `root`, or `root` itself first, in a table like /proc/self/mountinfo
// (proc(5)); at most kMaxStores of wire/validate.h, each file system once.
std::vector<std::string> stores_below(const std::string& root, std::string_view mountinfo);

// "auto": by the kind of the file system; "yes", "no": it is known to be so.
enum class SharedStore { kAuto, kYes, kNo };
SharedStore shared_store_from(std::string_view setting);

struct MarkedStores {
  io::Fd group;                       // none: nothing could be marked
  wire::MasterToRole::Stores stores;  // reasons also where there is no group
};
// One group for all file systems at and below `mail_root` that it works on. Each is tried: a
// directory of a moment is made there, and what the group tells of it must bear the handle that
// name_to_handle_at(2) gives. Fails only where there is no group at all (kDenied, kUnsupported).
Result<MarkedStores> mark_stores(const std::string& mail_root, SharedStore shared);

}  // namespace dormouse::hibernate
