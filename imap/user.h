#pragma once
// User: what all sessions of one user in this worker share: identity, mail store, and word of each
// other's changes. UserCache keeps the stores of users who were here last, since opening an index
// costs more than most wakes.
//
// A User lives while a session holds it (UserCache::acquire, release) and, within the cache's
// bound, for a while after. Used on the loop's thread only.

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "imap/identity.h"
#include "io/loop.h"
#include "store/store.h"
#include "wire/common.pb.h"

namespace dormouse::imap {

// Told when another session of the user in this process changed a mailbox.
class ChangeListener {
 public:
  virtual void mailbox_changed(int64_t mailbox_id) = 0;

 protected:
  virtual ~ChangeListener() = default;
};

class User {
 public:
  User(io::Loop& loop, bool switching, const wire::Identity& identity);
  User(const User&) = delete;
  User& operator=(const User&) = delete;

  const std::string& name() const { return name_; }
  Identity& identity() { return identity_; }

  // The store, opened at the first call; under the user's identity. Fails kUnavailable once the
  // store is broken: this User is then spent, and the next acquire() makes a new one.
  Result<store::UserStore*> store();
  bool spent() const { return store_ && store_->broken(); }

  // sync(), shared by all who ask within one turn of the loop: of the sessions that one change
  // wakes, the first does the work. The answer is of a sync that began after the call.
  io::Task<Result<store::SyncResult>> shared_sync(store::Mailbox mailbox);

  void add_listener(ChangeListener* listener) { listeners_.push_back(listener); }
  void remove_listener(ChangeListener* listener);
  // `from` is not told.
  void notify(int64_t mailbox_id, const ChangeListener* from);

 private:
  friend class UserCache;

  io::Loop& loop_;
  std::string name_;
  std::string mail_path_;
  Identity identity_;
  std::unique_ptr<store::UserStore> store_;
  std::map<int64_t, uint64_t> syncs_;  // per mailbox: how many were begun; bounded by its mailboxes
  std::vector<ChangeListener*> listeners_;
  uint32_t sessions_ = 0;
  uint64_t left_ms_ = 0;  // when the last session left; 0: one is here
  bool shrunk_ = true;
};

class UserCache {
 public:
  // `idle_users_max`: stores kept open without a session.
  UserCache(io::Loop& loop, bool switching, size_t idle_users_max)
      : loop_(loop), switching_(switching), idle_users_max_(idle_users_max) {}
  ~UserCache();

  // Outside any session's identity, as release(). kDenied: not a user to serve.
  Result<User*> acquire(const wire::Identity& identity);
  void release(User* user);
  // Once a second, outside any session's identity: stores that nobody used for a while give their
  // caches back; where no session is awake at all, they are closed. True: memory was freed.
  bool tidy(bool nobody_awake);
  size_t users() const { return users_.size(); }

 private:
  using Users = std::list<std::pair<std::string, std::unique_ptr<User>>>;
  void drop(Users::iterator at);

  io::Loop& loop_;
  bool switching_;
  size_t idle_users_max_;
  size_t idle_ = 0;  // users without a session
  Users users_;      // least recently used first
  std::map<std::string, Users::iterator, std::less<>> by_key_;
};

}  // namespace dormouse::imap
