#pragma once
// What the store does to directories and small files: listing, stamps, renames that never replace,
// the key of a directory for fanotify. Every function names its path in its Error.

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/fd.h"
#include "io/result.h"
#include "store/state.h"

namespace dormouse::store {

// Control files (uidlist, keywords, subscriptions) longer than this are refused: a uidlist line is
// about 100 bytes, so 256 MB is a mailbox of 2.6 million messages.
inline constexpr size_t kControlFileMaxBytes = 256u << 20;

// The stamp is taken before the directory is read. kNotFound when it is not there.
Result<DirectoryStamp> stamp_of(const std::string& directory);

// Calls `visit` with the name of every regular file that does not start with '.'. Symbolic links,
// directories and devices are no messages. `visit` returns false to stop.
Result<> list_files(const std::string& directory,
                    const std::function<bool(std::string_view)>& visit);
// Names of the folders of a Maildir++ root: entries ".x" that have a cur/ directory.
Result<std::vector<std::string>> list_folders(const std::string& root);
// Names of the directories that start with `prefix`.
Result<std::vector<std::string>> list_directories(const std::string& root, std::string_view prefix);

// EEXIST when `to` exists (renameat2 RENAME_NOREPLACE, or link and unlink where that is missing).
Result<> rename_new(const std::string& from, const std::string& to);
Result<> rename_over(const std::string& from, const std::string& to);
Result<> remove_file(const std::string& path);  // absent: no error
// Hard link, or a copy of the bytes and the mtime where links cannot be (other file system, too
// many).
Result<> link_or_copy(const std::string& from, const std::string& to);
Result<std::optional<struct stat>> stat_file(const std::string& path);  // does not follow links
bool exists(const std::string& path);
bool is_directory(const std::string& path);

// new/, cur/, tmp/ and the directory itself, mode 0700; and maildirfolder for a folder. Present: no
// error.
Result<> make_maildir(const std::string& directory, bool is_folder);
// Everything below, then the directory. Does not follow links.
Result<> remove_tree(const std::string& directory);

// The whole file; nothing when it does not exist; kLimit when longer than `max_bytes`.
Result<std::optional<std::string>> read_small_file(const std::string& path,
                                                   size_t max_bytes = kControlFileMaxBytes);
// Writes beside it, fsyncs, renames over it: readers see the old or the new, whole.
Result<> replace_file(const std::string& path, std::string_view bytes);
Result<> fsync_directory(const std::string& directory);

// See WatchedDirectory::key. Empty: this file system has no handles.
Result<std::string> directory_key(const std::string& directory);

// Exclusive flock on the Maildir's root, for what no transaction covers (putting a damaged index
// aside). Waits; the holder does it in milliseconds.
Result<io::Fd> lock_directory(const std::string& directory);

}  // namespace dormouse::store
