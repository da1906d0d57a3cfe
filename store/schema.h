#pragma once
// The tables of the index, written down once (docs/store-format.md explains each). Version: the
// user_version of the file; an index of a newer version is refused, not rebuilt.

namespace dormouse::store {

// "dorm" in ASCII: tells our index from any other SQLite file.
inline constexpr int kApplicationId = 0x646f726d;
inline constexpr int kSchemaVersion = 1;

inline constexpr const char* kSchema = R"sql(
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;

-- AUTOINCREMENT: an id is never used again, so a stale Mailbox cannot mean another mailbox.
CREATE TABLE mailbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  guid BLOB NOT NULL UNIQUE,
  name TEXT NOT NULL UNIQUE,
  uid_validity INTEGER NOT NULL,
  uid_next INTEGER NOT NULL,
  highest_mod_seq INTEGER NOT NULL,
  first_recent_uid INTEGER NOT NULL,
  message_count INTEGER NOT NULL DEFAULT 0,
  unseen_count INTEGER NOT NULL DEFAULT 0,
  deleted_count INTEGER NOT NULL DEFAULT 0,
  expunged_count INTEGER NOT NULL DEFAULT 0,
  expunge_horizon INTEGER NOT NULL DEFAULT 0,
  special_use INTEGER NOT NULL DEFAULT 0,
  cur_mtime_ns INTEGER NOT NULL DEFAULT -1);

CREATE TABLE keyword (
  mailbox_id INTEGER NOT NULL,
  bit INTEGER NOT NULL,
  name TEXT NOT NULL,
  PRIMARY KEY (mailbox_id, bit)) WITHOUT ROWID;

CREATE TABLE message (
  mailbox_id INTEGER NOT NULL,
  uid INTEGER NOT NULL,
  flags INTEGER NOT NULL,
  keywords INTEGER NOT NULL,
  mod_seq INTEGER NOT NULL,
  created_mod_seq INTEGER NOT NULL,
  internal_date INTEGER NOT NULL,
  file_size INTEGER NOT NULL,
  rfc822_size INTEGER NOT NULL,
  base_hash INTEGER NOT NULL,
  base BLOB NOT NULL,
  suffix BLOB NOT NULL,
  PRIMARY KEY (mailbox_id, uid)) WITHOUT ROWID;
CREATE INDEX message_mod_seq ON message (mailbox_id, mod_seq);
CREATE INDEX message_base ON message (mailbox_id, base_hash);
CREATE INDEX message_unseen ON message (mailbox_id, uid) WHERE flags & 1 = 0;
CREATE INDEX message_deleted ON message (mailbox_id, uid) WHERE flags & 8 = 8;

-- How many messages have a UID in [chunk * 1024, chunk * 1024 + 1023].
CREATE TABLE chunk (
  mailbox_id INTEGER NOT NULL,
  chunk INTEGER NOT NULL,
  message_count INTEGER NOT NULL,
  PRIMARY KEY (mailbox_id, chunk)) WITHOUT ROWID;

-- Per bucket of base hashes: the sum, modulo 2^64, of the hashes of the file names in it.
CREATE TABLE bucket (
  mailbox_id INTEGER NOT NULL,
  bucket INTEGER NOT NULL,
  name_sum INTEGER NOT NULL,
  PRIMARY KEY (mailbox_id, bucket)) WITHOUT ROWID;

CREATE TABLE expunged (
  mailbox_id INTEGER NOT NULL,
  mod_seq INTEGER NOT NULL,
  uid INTEGER NOT NULL,
  created_mod_seq INTEGER NOT NULL,
  PRIMARY KEY (mailbox_id, mod_seq, uid)) WITHOUT ROWID;

-- key = mailbox_id << 32 | uid: one integer key, since blobs make poor WITHOUT ROWID rows.
CREATE TABLE cache (key INTEGER PRIMARY KEY, blob BLOB NOT NULL);
)sql";

}  // namespace dormouse::store
