#pragma once
// The fanotify group that the watch works with. The master makes it (a mark on a file system needs
// CAP_SYS_ADMIN) and hands it over as Resource FANOTIFY.

#include <string>

#include "io/fd.h"
#include "io/result.h"

namespace dormouse::hibernate {

// A group without a mark. kDenied, kUnsupported: as the text says.
Result<io::Fd> make_fanotify_group();
// From now on it hears of entries that come, go or are renamed in any directory of the file system
// that `path` lies on. kUnsupported, kSystem: this one cannot be watched so (a subvolume of btrfs,
// a file system without an id).
Result<> mark_file_system(const io::Fd& group, const std::string& path);
void unmark_file_system(const io::Fd& group, const std::string& path);
// A group with a mark.
Result<io::Fd> make_fanotify_group(const std::string& path);

// A directory's handle as wire/common.proto has it: fsid (8), type (4, little endian), handle.
// kUnsupported: its file system has no handles.
Result<std::string> directory_handle(const std::string& path);

}  // namespace dormouse::hibernate
