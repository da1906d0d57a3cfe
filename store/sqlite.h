#pragma once
// The only file of this room that speaks to SQLite: a connection with its statements prepared once,
// a cursor over one statement, a transaction. Errors become Result kinds in one place
// (Database::error).

#include <sqlite3.h>

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "io/result.h"

namespace dormouse::store {

// Bytes bound as a BLOB (file names may hold any byte). The caller keeps them until the cursor is
// done.
struct Blob {
  std::string_view bytes;
};

class Database;

// One run of a statement. Resets it when it goes, so that no read transaction stays open.
class Cursor {
 public:
  Cursor(Cursor&& other) noexcept : database_(other.database_), statement_(other.statement_) {
    code_ = other.code_;
    other.statement_ = nullptr;
  }
  Cursor& operator=(Cursor&&) = delete;
  ~Cursor() {
    if (statement_ != nullptr) sqlite3_reset(statement_);
  }

  // True: a row is there. False: the end, or an error, which status() tells.
  bool next();
  Result<> status() const;

  int64_t integer(int column) const { return sqlite3_column_int64(statement_, column); }
  uint64_t number(int column) const { return static_cast<uint64_t>(integer(column)); }
  uint32_t number32(int column) const { return static_cast<uint32_t>(integer(column)); }
  bool null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
  // Valid until the next step.
  std::string_view bytes(int column) const;

 private:
  friend class Database;
  Cursor(Database* database, sqlite3_stmt* statement, int code)
      : database_(database), statement_(statement), code_(code) {}
  Database* database_;
  sqlite3_stmt* statement_;
  int code_;
};

class Database {
 public:
  Database() = default;
  ~Database() { close(); }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // `path` exists; it may be empty.
  Result<> open(const std::string& path);
  // For a file just made: from now on, and for every other opener, it has a WAL.
  Result<> make_wal();
  // Whether a commit waits for the disk (synchronous=FULL). Not inside a transaction.
  Result<> sync_commits(bool on);
  // Everything in the WAL goes to the database, durably, and the WAL is cut to nothing. Waits for
  // nobody: kUnavailable when another connection is at work.
  Result<> write_back();
  // Leaves the WAL as it is.
  void close();
  // Cached pages and prepared statements.
  uint64_t memory_bytes() const;
  // Finalizes the prepared statements and frees cached pages.
  void shrink();

  // `sql` must be a literal: its address is the key of the statement cache.
  template <class... Args>
  Cursor query(const char* sql, const Args&... args) {
    sqlite3_stmt* statement = nullptr;
    int code = prepare(sql, statement);
    if (code == SQLITE_OK) {
      int index = 0;
      (void)std::initializer_list<int>{
          (code = code == SQLITE_OK ? bind(statement, ++index, args) : code, 0)..., 0};
    }
    return Cursor(this, statement, code);
  }
  // For a statement without rows.
  template <class... Args>
  Result<> run(const char* sql, const Args&... args) {
    Cursor cursor = query(sql, args...);
    while (cursor.next()) {
    }
    return cursor.status();
  }
  // Several statements, not cached: the schema.
  Result<> script(const char* sql);

  int64_t last_insert_id() const { return sqlite3_last_insert_rowid(handle_); }
  int changes() const { return sqlite3_changes(handle_); }
  // SQLITE_CORRUPT or SQLITE_NOTADB was met.
  bool damaged() const { return damaged_; }
  void set_damaged() { damaged_ = true; }
  // Turns a result code of this connection into an Error.
  std::unexpected<Error> error(int code);

 private:
  friend class Cursor;
  int prepare(const char* sql, sqlite3_stmt*& statement);
  template <std::integral T>
  static int bind(sqlite3_stmt* statement, int index, T value) {
    return sqlite3_bind_int64(statement, index, static_cast<sqlite3_int64>(value));
  }
  static int bind(sqlite3_stmt* statement, int index, std::string_view text);
  static int bind(sqlite3_stmt* statement, int index, const Blob& blob);

  sqlite3* handle_ = nullptr;
  std::unordered_map<const void*, sqlite3_stmt*> statements_;
  bool damaged_ = false;
};

// BEGIN IMMEDIATE for writers (the write lock is taken at once, so that what is read inside cannot
// be stale), BEGIN for readers that need several statements of one moment. Rolls back unless
// committed.
class Transaction {
 public:
  static Result<Transaction> write(Database& database);
  static Result<Transaction> read(Database& database);
  Transaction(Transaction&& other) noexcept : database_(other.database_) {
    other.database_ = nullptr;
  }
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  Result<> commit();

 private:
  explicit Transaction(Database* database) : database_(database) {}
  Database* database_;
};

}  // namespace dormouse::store
