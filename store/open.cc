#include "store/open.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <ctime>

#include "store/boots.h"
#include "store/files.h"
#include "store/schema.h"
#include "store/try.h"

namespace dormouse::store {
namespace {

// After a power failure the last commits of the WAL may be missing, and with them UIDs and
// mod-sequences that clients have seen. Between two checkpoints (1,000 pages of 4 KB by default) at
// most 4 MB of rows plus one transaction are at risk, at 60 bytes a row under 70,000 messages;
// jumping ahead further than that keeps both from being given out twice.
constexpr uint32_t kUidGap = 100'000;
constexpr uint64_t kModSeqGap = 1'000'000;

Result<std::string> meta(StoreState& state, std::string_view key) {
  Cursor cursor = state.database.query("SELECT value FROM meta WHERE key = ?", key);
  std::string value(cursor.next() ? cursor.bytes(0) : std::string_view());
  STORE_TRY(cursor.status());
  return value;
}

Result<int64_t> pragma(StoreState& state, const char* sql) {
  Cursor cursor = state.database.query(sql);
  int64_t value = cursor.next() ? cursor.integer(0) : 0;
  STORE_TRY(cursor.status());
  return value;
}

Result<> after_power_failure(StoreState& state) {
  // Everything counts as changed and nothing as remembered: clients compare all, once.
  STORE_TRY(state.database.run(
      "UPDATE mailbox SET uid_next = min(uid_next + ?, 4294967294), "
      "highest_mod_seq = highest_mod_seq + ?, expunge_horizon = highest_mod_seq + ?, "
      "cur_mtime_ns = -1",
      kUidGap, kModSeqGap, kModSeqGap));
  return state.database.run(
      "UPDATE message SET mod_seq = "
      "(SELECT highest_mod_seq FROM mailbox WHERE mailbox.id = message.mailbox_id)");
}

Result<> remember_boot(StoreState& state) {
  return state.database.run("INSERT OR REPLACE INTO meta VALUES ('boot_id', ?)", this_boot());
}

Result<> change_boot(StoreState& state, bool wal_was_left, std::string_view clean_boots) {
  STORE_ASSIGN(Transaction transaction, Transaction::write(state.database));
  STORE_ASSIGN(std::string before, meta(state, "boot_id"));
  if (before == this_boot()) return {};  // another process was first
  bool lost = !before.empty() && wal_was_left && !is_clean_boot(clean_boots, before);
  if (lost) STORE_TRY(after_power_failure(state));
  STORE_TRY(remember_boot(state));
  return transaction.commit();
}

Result<> note_boot(StoreState& state, bool wal_was_left, std::string_view clean_boots) {
  STORE_ASSIGN(std::string before, meta(state, "boot_id"));
  if (before == this_boot()) return {};
  // On the disk before anything else of this boot: were it lost with what follows it, the next boot
  // would judge by the row of an older one.
  STORE_TRY(state.database.sync_commits(true));
  Result<> changed = change_boot(state, wal_was_left, clean_boots);
  STORE_TRY(state.database.sync_commits(false));
  return changed;
}

Result<> make_tables(StoreState& state) {
  STORE_TRY(state.database.make_wal());
  STORE_ASSIGN(Transaction transaction, Transaction::write(state.database));
  STORE_ASSIGN(int64_t version, pragma(state, "PRAGMA user_version"));
  STORE_ASSIGN(int64_t tables, pragma(state, "SELECT count(*) FROM sqlite_schema"));
  if (version != 0 || tables != 0) return {};  // another process was first
  STORE_TRY(state.database.script(kSchema));
  std::string numbers = fmt::format("PRAGMA application_id={};PRAGMA user_version={};",
                                    kApplicationId, kSchemaVersion);
  STORE_TRY(state.database.script(numbers.c_str()));
  STORE_TRY(remember_boot(state));
  return transaction.commit();
}

Result<> check_version(StoreState& state) {
  STORE_ASSIGN(int64_t version, pragma(state, "PRAGMA user_version"));
  if (version == 0) {
    STORE_TRY(make_tables(state));
    STORE_ASSIGN(version, pragma(state, "PRAGMA user_version"));
    state.made = true;
  }
  if (version > kSchemaVersion) {
    return fail(ErrorKind::kUnsupported,
                fmt::format("{}/{} is of version {}; this Dormouse knows {}", state.root,
                            kIndexName, version, kSchemaVersion));
  }
  STORE_ASSIGN(int64_t application, pragma(state, "PRAGMA application_id"));
  if (application != kApplicationId || version != kSchemaVersion) {
    state.database.set_damaged();
    return fail(ErrorKind::kUnavailable, "the index is some other SQLite file");
  }
  return {};
}

Result<> open_once(StoreState& state, std::string_view clean_boots) {
  std::string path = state.root + "/" + kIndexName;
  STORE_ASSIGN(auto wal, stat_file(path + "-wal"));
  STORE_ASSIGN(auto info, stat_file(path));
  if (!info) {
    // SQLite would make it 0644; its -wal and -shm take the mode of the index. O_EXCL, since
    // closing a descriptor of an index that this process has open would drop that connection's
    // locks (fcntl(2)).
    io::Fd made(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!made && errno != EEXIST) return fail_errno(errno, "create " + path);
    made.reset();
    STORE_ASSIGN(info, stat_file(path));
  }
  Result<> opened = state.database.open(path);
  // The inode first: putting aside asks whether the damaged file is the one that lies there.
  if (info) {
    state.index_device = info->st_dev;
    state.index_inode = info->st_ino;
  }
  STORE_TRY(opened);
  STORE_TRY(check_version(state));
  return note_boot(state, wal && wal->st_size > 0, clean_boots);
}

}  // namespace

Result<> put_index_aside(StoreState& state) {
  state.database.close();
  state.replaced = true;
  STORE_ASSIGN(io::Fd lock, lock_directory(state.root));
  std::string path = state.root + "/" + kIndexName;
  STORE_ASSIGN(auto info, stat_file(path));
  if (!info || info->st_ino != state.index_inode || info->st_dev != state.index_device) return {};
  std::string aside =
      fmt::format("{}.corrupt-{}-{}", path, time(nullptr), Guid::random().hex().substr(0, 8));
  for (const char* part : {"-wal", "-shm", ""}) {
    Result<> moved = rename_new(path + part, aside + part);
    if (!moved && moved.error().kind != ErrorKind::kNotFound) return moved;
  }
  return {};
}

Result<bool> write_wal_back(StoreState& state) {
  if (state.replaced || state.database.damaged()) return false;
  STORE_ASSIGN(auto wal, stat_file(state.root + "/" + kIndexName + "-wal"));
  if (!wal || wal->st_size <= (state.made ? 0 : kWalRestBytes)) return false;
  STORE_TRY(state.database.write_back());
  state.made = false;
  return true;
}

Result<> open_index(StoreState& state, std::string_view clean_boots) {
  Result<> opened = open_once(state, clean_boots);
  if (opened || !state.database.damaged()) return opened;
  STORE_TRY(put_index_aside(state));
  state.replaced = false;
  return open_once(state, clean_boots);
}

Result<> StoreState::check() {
  if (!replaced && database.damaged()) (void)put_index_aside(*this);
  if (replaced) return fail(ErrorKind::kUnavailable, "the index of " + root + " was put aside");
  return {};
}

Result<> StoreState::check_file() {
  STORE_TRY(check());
  STORE_ASSIGN(auto info, stat_file(root + "/" + kIndexName));
  if (!info || info->st_ino != index_inode || info->st_dev != index_device) {
    database.close();
    replaced = true;
  }
  return check();
}

}  // namespace dormouse::store
