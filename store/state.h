#pragma once
// Inside of the store: what one open UserStore holds. Not for other rooms.

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "io/result.h"
#include "store/sqlite.h"
#include "store/store.h"
#include "store/types.h"

namespace dormouse::store {

inline constexpr const char* kIndexName = "dormouse.index";
// Kept in every mailbox's folder: GUID and UIDVALIDITY, for the day the index is lost.
inline constexpr const char* kMarkerName = "dormouse.mailbox";
// Folders being removed; unreachable as a mailbox because of its empty first level.
inline constexpr const char* kTrashPrefix = "..dormouse-trash.";
// A WAL longer than this is written back by the next UserStore that nobody waits for. Whoever opens
// a store reads its WAL to the end (4.5 us a page), and writing it back costs two fsyncs: an
// arrival adds 8 pages, so 64 pages make that 0.15 ms a visit and two fsyncs every eighth.
inline constexpr off_t kWalRestBytes = 64 * (4096 + 24);
// Mailboxes of one user. LIST answers all of them from memory: 10,000 at about 200 bytes is 2 MB.
inline constexpr size_t kMailboxesMax = 10000;

// What a directory looked like before it was last read.
struct DirectoryStamp {
  int64_t mtime_ns = -1;
  ino_t inode = 0;
  // The directory was older than the clock's grain when it was read, so that any later change shows
  // in its mtime. Unsettled: it must be read again however it looks.
  bool settled = false;
  bool same(const DirectoryStamp& other) const {
    return mtime_ns == other.mtime_ns && inode == other.inode;
  }
};

struct MailboxMemo {
  std::string directory;   // absolute, of the mailbox
  DirectoryStamp fresh;    // new/
  DirectoryStamp current;  // cur/
};

struct StoreState {
  std::string root;
  Database database;
  dev_t index_device = 0;
  ino_t index_inode = 0;
  bool made = false;      // by this opener, and never written back since
  bool replaced = false;  // the index file is not the one we opened
  std::unordered_map<int64_t, MailboxMemo> memos;

  // kUnavailable when the index was found damaged (which puts it aside) or replaced.
  Result<> check();
  // The same, and asks the file system whether the index is still the file that we have open.
  Result<> check_file();
  std::string directory_of_folder(std::string_view folder) const {
    return folder.empty() ? root : root + "/" + std::string(folder);
  }
  static Mailbox mailbox(StoreState& state, int64_t id) { return Mailbox(&state, id); }
};

}  // namespace dormouse::store
