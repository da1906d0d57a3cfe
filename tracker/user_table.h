#pragma once
// UserTable: every user that has a session anywhere, awake or asleep. Made for a million of them:
// a fixed record, the name in an allocation of its own, and a hash table of 8 bytes a place
// (docs/tracker.md has the measured bytes). A user is in the table while it has sessions in some
// den, or at a worker or waiting for one; afterwards remove_if_unused() forgets it.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tracker/den_counts.h"
#include "tracker/path_templates.h"
#include "tracker/placement.h"
#include "wire/common.pb.h"

namespace dormouse::tracker {

class UserTable {
 public:
  // What the tracker may read and change. The identity goes through set_identity().
  struct User {
    DenCounts sessions;
    uint32_t sessions_max = 0;    // 0: the setting
    uint32_t awake = 0;           // sessions at a worker, refreshes included
    uint32_t waiting = 0;         // sessions that wait for a worker
    WorkerId worker = kNoWorker;  // where it was placed last. A hint: it may be gone
    bool lookup_pending = false;

    bool known() const { return known_; }
    uint32_t uid() const { return uid_; }
    uint32_t gid() const { return gid_; }

   private:
    friend class UserTable;
    bool known_ = false;
    bool in_use_ = false;
    bool has_own_paths_ = false;  // in own_paths_: the templates were full
    uint32_t uid_ = 0;
    uint32_t gid_ = 0;
    PathTemplates::Id home_ = PathTemplates::kNone;
    PathTemplates::Id mail_path_ = PathTemplates::kNone;
    std::unique_ptr<char[]> name_;  // length (2, machine's order), then the bytes
  };

  UserTable();
  // The user's number, or kNoUser.
  UserId find(std::string_view name) const;
  UserId find_or_add(std::string_view name);
  User& at(UserId id) { return chunks_[id / kChunk][id % kChunk]; }
  const User& at(UserId id) const { return chunks_[id / kChunk][id % kChunk]; }
  std::string_view name(UserId id) const;

  void set_identity(UserId id, const wire::Identity& identity);
  // The user must be known().
  wire::Identity identity(UserId id) const;
  // Forgets the user if it has no session, awake, waiting or asleep.
  void remove_if_unused(UserId id);

  size_t size() const { return size_; }
  // Numbers below this have been given; for sweeps: in_use(id) tells which still are.
  UserId id_end() const { return id_end_; }
  bool in_use(UserId id) const { return at(id).in_use_; }
  // All memory of the table, the allocator's own overhead apart.
  size_t bytes() const;

 private:
  static constexpr uint32_t kChunk = 4096;  // users: growth moves nobody, and wastes 0.3 MB at most
  struct Place {
    uint32_t hash;
    UserId id;
  };
  static constexpr UserId kTombstone = 0xfffffffe;

  uint32_t hash_of(std::string_view name) const;
  size_t place_of(std::string_view name, uint32_t hash) const;
  void rehash(size_t places);

  std::vector<std::unique_ptr<User[]>> chunks_;
  std::vector<UserId> free_;
  std::vector<Place> places_;  // a power of two, linear probing
  std::unordered_map<UserId, std::pair<std::string, std::string>> own_paths_;
  PathTemplates templates_;
  size_t size_ = 0;
  size_t taken_places_ = 0;  // users and tombstones
  size_t name_bytes_ = 0;
  UserId id_end_ = 0;
  uint64_t seed_;  // names come from outside: nobody shall choose collisions
};

}  // namespace dormouse::tracker
