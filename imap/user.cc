#include "imap/user.h"

#include <fmt/format.h>

#include <algorithm>

namespace dormouse::imap {
namespace {

// A store idle for longer gives its pages and statements back: 390 KiB become 26. Making them anew
// costs a later refresh 0.5 ms (store_bench), so not while one delivery's refreshes follow another.
constexpr uint64_t kShrinkAfterMs = 1'000;
// Where nobody is awake, a store idle for longer is closed: what is left of it, the mapped -shm
// included, is some 60 KiB, and 200 of them would be more than everything else an idle worker has.
// Opening one again costs 1.3 ms; mail for one user often comes in bursts of seconds.
constexpr uint64_t kCloseAfterMs = 5'000;
// Closing takes 1 ms (checkpoint, two fsyncs), for which a session that comes now would wait; so
// the default 200 stores are gone after ten seconds.
constexpr size_t kClosesPerTidyMax = 20;

std::string key_of(const wire::Identity& identity) {
  // A user whose uid or mail moved is another one: the old store must not serve him.
  return fmt::format("{}\n{}\n{}\n{}\n{}", identity.uid(), identity.gid(), identity.user(),
                     identity.mail_path(), identity.home());
}

}  // namespace

User::User(io::Loop& loop, bool switching, const wire::Identity& identity)
    : loop_(loop),
      name_(identity.user()),
      mail_path_(identity.mail_path().empty() ? identity.home() + "/Maildir"
                                              : identity.mail_path()),
      identity_(loop, switching, identity.uid(), identity.gid()) {}

Result<store::UserStore*> User::store() {
  if (!store_) {
    if (mail_path_.empty() || mail_path_.front() != '/') {
      return fail(ErrorKind::kInvalid, "the user's mail path is not absolute");
    }
    auto opened = store::UserStore::open(mail_path_);
    if (!opened) return std::unexpected(opened.error());
    store_ = std::move(*opened);
  }
  if (store_->broken()) return fail(ErrorKind::kUnavailable, "the index was damaged and put aside");
  shrunk_ = false;
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
    auto user = std::make_unique<User>(loop_, switching_, identity);
    if (auto ready = user->identity_.prepare(); !ready) return std::unexpected(ready.error());
    users_.emplace_back(key, std::move(user));
    found = by_key_.emplace(std::move(key), std::prev(users_.end())).first;
  }
  users_.splice(users_.end(), users_, found->second);
  User* user = found->second->second.get();
  if (user->left_ms_ != 0) --idle_;
  user->left_ms_ = 0;
  ++user->sessions_;
  return user;
}

void UserCache::release(User* user) {
  DORMOUSE_CHECK(user->sessions_ > 0, "a user is released as often as acquired");
  if (--user->sessions_ != 0) return;
  user->left_ms_ = std::max<uint64_t>(loop_.now_ms(), 1);
  ++idle_;
  // Newest first finds this user at once; oldest first finds whom the bound drops.
  auto at = std::ranges::find(users_.rbegin(), users_.rend(), user,
                              [](const auto& entry) { return entry.second.get(); });
  auto here = std::prev(at.base());
  auto known = by_key_.find(here->first);
  bool current = known != by_key_.end() && known->second == here;
  if (!current || user->spent()) drop(here);
  for (auto old = users_.begin(); idle_ > idle_users_max_ && old != users_.end();) {
    auto next = std::next(old);
    if (old->second->sessions_ == 0) drop(old);
    old = next;
  }
}

bool UserCache::tidy(bool nobody_awake) {
  bool freed = false;
  size_t closed = 0;
  for (auto next = users_.begin(); next != users_.end();) {
    auto at = next++;
    User& user = *at->second;
    if (user.sessions_ != 0) continue;
    uint64_t idle_ms = loop_.now_ms() - user.left_ms_;
    if (nobody_awake && idle_ms >= kCloseAfterMs && closed < kClosesPerTidyMax) {
      drop(at);
      ++closed;
      freed = true;
    } else if (idle_ms >= kShrinkAfterMs && !user.shrunk_ && user.store_) {
      user.shrunk_ = true;
      user.identity_.enter();
      user.store_->shrink();
      user.identity_.leave();
      freed = true;
    }
  }
  return freed;
}

void UserCache::drop(Users::iterator at) {
  auto known = by_key_.find(at->first);
  if (known != by_key_.end() && known->second == at) by_key_.erase(known);
  // Closing an index may write and remove files: as their owner.
  at->second->identity_.enter();
  at->second->store_.reset();
  at->second->identity_.leave();
  if (at->second->left_ms_ != 0) --idle_;
  users_.erase(at);
}

}  // namespace dormouse::imap
