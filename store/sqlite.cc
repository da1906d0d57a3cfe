#include "store/sqlite.h"

#include <fmt/format.h>

#include <chrono>
#include <thread>

#include "store/try.h"
#include "store/types.h"

namespace dormouse::store {
namespace {

// What a connection may hold, so that a store idling in the worker's cache stays small
// (docs/store-format.md has the measured figure). Negative cache_size is KiB. mmap off: a truncated
// file under a mapping would be a SIGBUS.
constexpr const char* kPragmas =
    // NORMAL: a crash of ours loses nothing, since the WAL is in the page cache; a power failure
    // may lose the last commits, never the structure. What was lost is found again in the Maildir,
    // and uid_next and mod_seq jump ahead after it (open.cc, after_power_failure). FULL would cost
    // one fsync on the session's path for every STORE.
    "PRAGMA synchronous=NORMAL;"
    "PRAGMA cache_size=-256;"
    "PRAGMA temp_store=MEMORY;"
    // A WAL that grew in one big transaction is cut back to this at the next checkpoint.
    "PRAGMA journal_size_limit=4194304;"
    "PRAGMA cell_size_check=ON;";

// Lookaside: 32 slots of 512 bytes instead of 40 KB; statements are prepared once, not on every
// call.
constexpr int kLookasideSlotBytes = 512;
constexpr int kLookasideSlots = 32;

}  // namespace

std::string_view Cursor::bytes(int column) const {
  const void* data = sqlite3_column_blob(statement_, column);
  int size = sqlite3_column_bytes(statement_, column);
  return data == nullptr
             ? std::string_view()
             : std::string_view(static_cast<const char*>(data), static_cast<size_t>(size));
}

bool Cursor::next() {
  if (code_ != SQLITE_OK && code_ != SQLITE_ROW) return false;
  code_ = sqlite3_step(statement_);
  return code_ == SQLITE_ROW;
}

Result<> Cursor::status() const {
  if (code_ == SQLITE_OK || code_ == SQLITE_ROW || code_ == SQLITE_DONE) return {};
  return database_->error(code_);
}

Result<> Database::open(const std::string& path) {
  damaged_ = false;
  int code =
      sqlite3_open_v2(path.c_str(), &handle_,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, nullptr);
  if (code != SQLITE_OK) {
    auto failure = error(code);
    close();
    return failure;
  }
  sqlite3_extended_result_codes(handle_, 1);
  sqlite3_busy_timeout(handle_, kBusyTimeoutMs);
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_LOOKASIDE, nullptr, kLookasideSlotBytes,
                    kLookasideSlots);
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  // Schema tricks in a file from elsewhere must not run functions on our behalf.
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  // Closing leaves the WAL: write_back() says when it goes.
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  return script(kPragmas);
}

// The change of mode wants the file to itself and answers BUSY at once where two processes make an
// index at the same time: the busy timeout does not hold for it.
Result<> Database::make_wal() {
  constexpr int kTryMs = 10;
  Result<> made = script("PRAGMA journal_mode=WAL");
  for (int waited_ms = 0; !made && !damaged_ && made.error().kind == ErrorKind::kUnavailable &&
                          waited_ms < kBusyTimeoutMs;
       waited_ms += kTryMs) {
    std::this_thread::sleep_for(std::chrono::milliseconds(kTryMs));
    made = script("PRAGMA journal_mode=WAL");
  }
  return made;
}

Result<> Database::sync_commits(bool on) {
  return script(on ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
}

Result<> Database::write_back() {
  sqlite3_busy_timeout(handle_, 0);
  int code =
      sqlite3_wal_checkpoint_v2(handle_, nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  sqlite3_busy_timeout(handle_, kBusyTimeoutMs);
  if (code != SQLITE_OK) return error(code);
  return {};
}

void Database::close() {
  for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  statements_.clear();
  if (handle_ != nullptr) sqlite3_close(handle_);
  handle_ = nullptr;
}

uint64_t Database::memory_bytes() const {
  uint64_t bytes = 0;
  for (int what : {SQLITE_DBSTATUS_CACHE_USED, SQLITE_DBSTATUS_STMT_USED}) {
    int now = 0;
    int highest = 0;
    if (handle_ == nullptr || sqlite3_db_status(handle_, what, &now, &highest, 0) != SQLITE_OK)
      continue;
    bytes += static_cast<uint64_t>(now);
  }
  return bytes;
}

void Database::shrink() {
  for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  statements_.clear();
  if (handle_ != nullptr) sqlite3_db_release_memory(handle_);
}

Result<> Database::script(const char* sql) {
  int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return error(code);
  return {};
}

int Database::prepare(const char* sql, sqlite3_stmt*& statement) {
  auto found = statements_.find(sql);
  if (found != statements_.end() && sqlite3_stmt_busy(found->second) == 0) {
    statement = found->second;
    return SQLITE_OK;
  }
  DORMOUSE_CHECK(found == statements_.end(), "a statement is not run inside its own loop");
  int code = sqlite3_prepare_v3(handle_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code == SQLITE_OK) statements_.emplace(sql, statement);
  return code;
}

int Database::bind(sqlite3_stmt* statement, int index, std::string_view text) {
  return sqlite3_bind_text64(statement, index, text.data() == nullptr ? "" : text.data(),
                             text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}

int Database::bind(sqlite3_stmt* statement, int index, const Blob& blob) {
  const char* data = blob.bytes.data() == nullptr ? "" : blob.bytes.data();
  return sqlite3_bind_blob64(statement, index, data, blob.bytes.size(), SQLITE_TRANSIENT);
}

std::unexpected<Error> Database::error(int code) {
  std::string text = fmt::format(
      "index: {} ({})", handle_ != nullptr ? sqlite3_errmsg(handle_) : sqlite3_errstr(code), code);
  switch (code & 0xff) {
    case SQLITE_FULL:
      return fail(ErrorKind::kNoSpace, text);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return fail(ErrorKind::kUnavailable, text);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      damaged_ = true;
      return fail(ErrorKind::kUnavailable, text);
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return fail(ErrorKind::kDenied, text);
    case SQLITE_NOMEM:
      return fail(ErrorKind::kLimit, text);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      if (int errno_value = handle_ != nullptr ? sqlite3_system_errno(handle_) : 0) {
        return fail_errno(errno_value, text);
      }
      return fail(ErrorKind::kSystem, text);
    default:
      return fail(ErrorKind::kSystem, text);
  }
}

Result<Transaction> Transaction::write(Database& database) {
  STORE_TRY(database.run("BEGIN IMMEDIATE"));
  return Transaction(&database);
}

Result<Transaction> Transaction::read(Database& database) {
  STORE_TRY(database.run("BEGIN"));
  return Transaction(&database);
}

Transaction::~Transaction() {
  // A failed statement may have rolled back already (disk full); a second ROLLBACK then only says
  // so.
  if (database_ != nullptr) (void)database_->run("ROLLBACK");
}

Result<> Transaction::commit() {
  STORE_TRY(database_->run("COMMIT"));
  database_ = nullptr;
  return {};
}

}  // namespace dormouse::store
