#include "imap/user.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace dormouse::imap {
namespace {

// Others run between two of them; this bounds what a second spends on it: 10 ms at 0.1 ms each.
constexpr size_t kClosesPerRoundMax = 100;
// Where a session leaves and the bound has become smaller, the rest is tidy()'s: 1 ms.
constexpr size_t kClosesPerReleaseMax = 10;
// Bringing a log into its index takes two fsyncs, of 0.1 to 5 ms by the disk, and the worker waits
// for them. A log needs it after eight deliveries, so 2 a second keep up with 16 deliveries a
// second; with more, it is the closing of the store or the 1,000th page that does it.
constexpr size_t kWriteBacksPerRoundMax = 2;

std::string key_of(const wire::Identity& identity) {
  // A user whose uid or mail moved is another one: the old store must not serve him.
  return fmt::format("{}\n{}\n{}\n{}\n{}", identity.uid(), identity.gid(), identity.user(),
                     identity.mail_path(), identity.home());
}

}  // namespace

User::User(io::Loop& loop, bool switching, const wire::Identity& identity,
           std::string_view clean_boots)
    : loop_(loop),
      name_(identity.user()),
      mail_path_(identity.mail_path().empty() ? identity.home() + "/Maildir"
                                              : identity.mail_path()),
      identity_(loop, switching, identity.uid(), identity.gid()),
      clean_boots_(clean_boots) {}

Result<store::UserStore*> User::store() {
  if (!store_) {
    if (mail_path_.empty() || mail_path_.front() != '/') {
      return fail(ErrorKind::kInvalid, "the user's mail path is not absolute");
    }
    auto opened = store::UserStore::open(mail_path_, {.clean_boots = clean_boots_});
    if (!opened) return std::unexpected(opened.error());
    store_ = std::move(*opened);
  }
  if (store_->broken()) return fail(ErrorKind::kUnavailable, "the index was damaged and put aside");
  rested_ = false;
  return store_.get();
}

io::Task<Result<store::SyncResult>> User::shared_sync(store::Mailbox mailbox) {
  uint64_t before = syncs_[mailbox.id()];
  if (auto waited = co_await loop_.yield(); !waited) co_return std::unexpected(waited.error());
  uint64_t& begun = syncs_[mailbox.id()];
  if (begun != before) co_return store::SyncResult{};
  ++begun;
  co_return mailbox.sync();
}

uint64_t User::syncs(const store::Mailbox& mailbox) const {
  auto found = syncs_.find(mailbox.id());
  return found == syncs_.end() ? 0 : found->second;
}

void User::remove_listener(ChangeListener* listener) { std::erase(listeners_, listener); }

void User::notify(int64_t mailbox_id, const ChangeListener* from) {
  for (ChangeListener* listener : listeners_) {
    if (listener != from) listener->mailbox_changed(mailbox_id);
  }
}

UserCache::~UserCache() {
  while (!users_.empty()) drop(users_.begin());
}

Result<User*> UserCache::acquire(const wire::Identity& identity) {
  std::string key = key_of(identity);
  auto found = by_key_.find(key);
  if (found != by_key_.end() && found->second->second->spent()) {
    // Sessions that still hold it end by themselves; the last one's release() drops it.
    auto at = found->second;
    by_key_.erase(found);
    if (at->second->sessions_ == 0) drop(at);
    found = by_key_.end();
  }
  if (found == by_key_.end()) {
    auto user = std::make_unique<User>(loop_, switching_, identity, clean_boots_);
    if (auto ready = user->identity_.prepare(); !ready) return std::unexpected(ready.error());
    users_.emplace_back(key, std::move(user));
    found = by_key_.emplace(std::move(key), std::prev(users_.end())).first;
  }
  users_.splice(users_.end(), users_, found->second);
  User* user = found->second->second.get();
  if (user->left_ms_ != 0) {
    --idle_;
    idle_bytes_ -= std::exchange(user->idle_bytes_, 0);
  }
  user->left_ms_ = 0;
  ++user->sessions_;
  return user;
}

void UserCache::release(User* user) {
  DORMOUSE_CHECK(user->sessions_ > 0, "a user is released as often as acquired");
  if (--user->sessions_ != 0) return;
  user->left_ms_ = std::max<uint64_t>(loop_.now_ms(), 1);
  ++idle_;
  weigh(*user);
  // Newest first finds this user at once; oldest first finds whom the bound drops.
  auto at = std::ranges::find(users_.rbegin(), users_.rend(), user,
                              [](const auto& entry) { return entry.second.get(); });
  auto here = std::prev(at.base());
  auto known = by_key_.find(here->first);
  bool current = known != by_key_.end() && known->second == here;
  if (!current || user->spent()) drop(here);
  auto too_much = [&] { return idle_ > idle_max_.users || idle_bytes_ > idle_max_.bytes; };
  size_t closed = 0;
  for (auto old = users_.begin();
       too_much() && old != users_.end() && closed < kClosesPerReleaseMax;) {
    auto next = std::next(old);
    if (old->second->sessions_ == 0) {
      drop(old);
      ++closed;
    }
    old = next;
  }
}

void UserCache::weigh(User& user) {
  idle_bytes_ -= user.idle_bytes_;
  user.idle_bytes_ = user.store_ ? user.store_->memory_bytes() : 0;
  idle_bytes_ += user.idle_bytes_;
}

void UserCache::set_bytes_max(uint64_t bytes) {
  if (bytes < idle_max_.bytes) {
    for (auto& [key, user] : users_) user->shrinks_ = user->sessions_ != 0 && user->store_;
  }
  idle_max_.bytes = bytes;
}

// Gives back what the store holds beyond its bare self. True: its log was brought into its index.
bool UserCache::rest(User& user) {
  user.rested_ = true;
  user.identity_.enter();
  user.store_->shrink();
  bool written_back = user.store_->write_back();
  user.identity_.leave();
  weigh(user);
  return written_back;
}

bool UserCache::tidy(bool nobody_awake, Tidied* round) {
  for (auto at = users_.begin(); at != users_.end(); ++at) {
    User& user = *at->second;
    if (user.sessions_ != 0) {
      if (!std::exchange(user.shrinks_, false) || !user.store_) continue;
      user.identity_.enter();
      user.store_->shrink();
      user.identity_.leave();
      return true;
    }
    uint64_t idle_ms = loop_.now_ms() - user.left_ms_;
    bool over = idle_bytes_ > idle_max_.bytes;
    bool forgotten = nobody_awake && idle_ms >= idle_max_.close_after_ms;
    if ((over || forgotten) && round->closed < kClosesPerRoundMax) {
      drop(at);
      ++round->closed;
      return true;
    }
    if (idle_ms >= idle_max_.rest_after_ms && !user.rested_ && user.store_ &&
        round->written_back < kWriteBacksPerRoundMax) {
      if (rest(user)) ++round->written_back;
      return true;
    }
  }
  return false;
}

void UserCache::drop(Users::iterator at) {
  auto known = by_key_.find(at->first);
  if (known != by_key_.end() && known->second == at) by_key_.erase(known);
  // Closing an index may write and remove files: as their owner.
  at->second->identity_.enter();
  at->second->store_.reset();
  at->second->identity_.leave();
  if (at->second->left_ms_ != 0) --idle_;
  idle_bytes_ -= at->second->idle_bytes_;
  users_.erase(at);
}

}  // namespace dormouse::imap
