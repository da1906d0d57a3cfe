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

// In place of a mailbox's id: the list of mailboxes or of subscriptions changed. No row has it.
inline constexpr int64_t kNamesChanged = 0;

class User {
 public:
  // `clean_boots`: for store::OpenOptions; outlives the User.
  User(io::Loop& loop, bool switching, const wire::Identity& identity,
       std::string_view clean_boots = {});
  User(const User&) = delete;
  User& operator=(const User&) = delete;

  const std::string& name() const { return name_; }
  io::Loop& loop() { return loop_; }
  Identity& identity() { return identity_; }

  // The store, opened at the first call; under the user's identity. Fails kUnavailable once the
  // store is broken: this User is then spent, and the next acquire() makes a new one.
  Result<store::UserStore*> store();
  bool spent() const { return store_ && store_->broken(); }

  // sync(), shared by all who ask within one turn of the loop: of the sessions that one change
  // wakes, the first does the work. The answer is of a sync that began after the call.
  io::Task<Result<store::SyncResult>> shared_sync(store::Mailbox mailbox);

  // How many were begun for this mailbox.
  uint64_t syncs(const store::Mailbox& mailbox) const;

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
  std::string_view clean_boots_;
  std::unique_ptr<store::UserStore> store_;
  std::map<int64_t, uint64_t> syncs_;  // per mailbox: how many were begun; bounded by its mailboxes
  std::vector<ChangeListener*> listeners_;
  uint32_t sessions_ = 0;
  uint64_t left_ms_ = 0;     // when the last session left; 0: one is here
  uint64_t idle_bytes_ = 0;  // what the store held when last looked at, while nobody is here
  bool rested_ = true;       // shrunk and written back since somebody used it
  bool shrinks_ = false;     // at the next tidy(), though somebody is here
};

class UserCache {
 public:
  // A store idle for longer gives its pages and statements back: 390 KiB become 26. Making them
  // anew costs a later refresh 0.5 ms (store_bench), so not while one delivery's refreshes follow
  // another.
  static constexpr uint64_t kRestAfterMs = 1'000;
  // Where nobody is awake, a store idle for longer is closed: what is left of it, the mapped -shm
  // included, is some 60 KiB, and 200 of them would be more than everything else an idle worker
  // has. Opening one again costs 0.5 ms; mail for one user often comes in bursts of seconds.
  static constexpr uint64_t kCloseAfterMs = 5'000;

  // Stores kept open without a session: neither more than `users`, each of which has three
  // descriptors, nor of more than `bytes`; and how long they keep what they hold (tidy()).
  struct IdleMax {
    size_t users;
    uint64_t bytes;
    uint64_t rest_after_ms = kRestAfterMs;
    uint64_t close_after_ms = kCloseAfterMs;
  };
  UserCache(io::Loop& loop, bool switching, IdleMax idle_max, std::string clean_boots = {})
      : loop_(loop),
        switching_(switching),
        idle_max_(idle_max),
        clean_boots_(std::move(clean_boots)) {}
  ~UserCache();

  // Outside any session's identity, as release(). kDenied: not a user to serve.
  Result<User*> acquire(const wire::Identity& identity);
  void release(User* user);
  // What was done since a round of tidying began.
  struct Tidied {
    size_t closed = 0;
    size_t written_back = 0;
  };
  // A round a second, outside any session's identity: what no answer should wait for. Stores that
  // nobody used for a while give their caches back and bring long logs into their indexes; where no
  // session is awake at all, they are closed. Does this for one store, some 0.2 ms; true: it did,
  // so let others run and call it again.
  bool tidy(bool nobody_awake, Tidied* round);
  // Less than before: the next tidy()s close stores until they fit, and make those that are in use
  // give their caches back, too.
  void set_bytes_max(uint64_t bytes);
  size_t users() const { return users_.size(); }
  uint64_t idle_bytes() const { return idle_bytes_; }

 private:
  using Users = std::list<std::pair<std::string, std::unique_ptr<User>>>;
  void drop(Users::iterator at);
  bool rest(User& user);
  void weigh(User& user);

  io::Loop& loop_;
  bool switching_;
  IdleMax idle_max_;
  std::string clean_boots_;
  size_t idle_ = 0;          // users without a session
  uint64_t idle_bytes_ = 0;  // of their stores
  Users users_;              // least recently used first
  std::map<std::string, Users::iterator, std::less<>> by_key_;
};

}  // namespace dormouse::imap
