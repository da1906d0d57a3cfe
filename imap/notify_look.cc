// One look at the mailboxes that a NOTIFY names, and what is to be said of them.

#include <algorithm>
#include <set>
#include <tuple>

#include "imap/notify.h"
#include "imap/syntax/writer.h"
#include "imap/try.h"
#include "wire/topic.h"
#include "wire/validate.h"

namespace dormouse::imap {
namespace {

constexpr NotifyEvents kOfMessages = kNotifyMessageNew | kNotifyMessageExpunge | kNotifyFlagChange;
constexpr NotifyEvents kOfNames = kNotifyMailboxName | kNotifySubscriptionChange;

// Mailboxes renamed while they are looked at; each attempt takes a millisecond or less.
constexpr int kAttemptsMax = 20;
// The root, the selected mailbox, and two for each of the others.
static_assert(1 + 2 + 2 * kNotifyMailboxesMax <= wire::kMaxDirectories);

void mix(uint32_t& digest, std::string_view bytes) {  // FNV-1a
  for (char c : bytes) digest = (digest ^ uint8_t(c)) * 16777619u;
}

}  // namespace

// One look; the members are what its steps share.
class Notifier::Look {
 public:
  Look(Notifier& notifier, Glance glance) : notifier_(notifier), glance_(std::move(glance)) {}
  io::Task<Result<Seen>> run();

 private:
  // One mailbox of the store: an entry of `now_`, and what is to be said of it.
  io::Task<Result<void>> take(const store::MailboxInfo& info);
  Result<> take_messages(store::Mailbox mailbox, store::MailboxStatus status,
                         const store::MailboxInfo& info, NotifyEvents events, KnownMailbox& entry,
                         const KnownMailbox* known);
  Result<> find_directories();
  void say_name(store::Mailbox mailbox, const store::MailboxInfo& info, NotifyEvents events,
                const KnownMailbox& entry, const KnownMailbox* known);
  void put_status(const store::MailboxStatus& status, std::string_view name, NotifyEvents told,
                  NotifyEvents wanted, std::string& out) const;
  void say_renames();
  void take_subscriptions(const std::vector<std::string>& subscriptions);
  void say_gone(const KnownMailbox& known);
  void finish();

  bool is_first() const { return glance_.first != Glance::First::kNo; }
  bool is_own(std::string_view name) const {
    return std::ranges::any_of(glance_.own, [&](const auto& own) { return is_below(name, own); });
  }
  bool is_subscribed(const std::string& name) const {
    return std::ranges::binary_search(subscriptions_, name);
  }

  Notifier& notifier_;
  Glance glance_;
  store::UserStore* store_ = nullptr;
  std::optional<store::Mailbox> selected_;
  std::vector<store::MailboxInfo> infos_;
  std::vector<std::string> subscriptions_;
  std::vector<KnownMailbox> now_;
  std::set<uint32_t> marks_;  // of now_
  uint32_t digest_ = 2166136261u;
  std::vector<store::Mailbox> watched_;
  std::vector<std::string> watched_names_;  // parallel
  struct Rename {
    std::string name;
    std::string old_name;
    MailboxAttributes attributes = 0;
    std::string status;  // the whole response
  };
  std::vector<Rename> renames_;
  std::string lists_;  // LIST goes before STATUS: it says what the name of the latter means
  std::string statuses_;
  Seen seen_;
};

io::Task<Result<Notifier::Seen>> Notifier::look(Glance glance) {
  // A mailbox that is gone under its name may have another one now: only a new list tells.
  for (int attempt = 1;; ++attempt) {
    Look one(*this, glance);
    auto seen = co_await one.run();
    bool moved = !seen && seen.error().kind == ErrorKind::kNotFound;
    if (!moved || attempt == kAttemptsMax) co_return seen;
  }
}

io::Task<Result<Notifier::Seen>> Notifier::Look::run() {
  if (std::ranges::all_of(notifier_.state_.groups, is_selected_group)) co_return std::move(seen_);
  auto store = glance_.user.store();
  if (!store) co_return std::unexpected(store.error());
  store_ = *store;
  auto infos = store_->mailboxes();
  if (!infos) co_return std::unexpected(infos.error());
  infos_ = std::move(*infos);
  auto subscriptions = store_->subscriptions();
  if (!subscriptions) co_return std::unexpected(subscriptions.error());
  subscriptions_ = std::move(*subscriptions);
  if (glance_.selected) {
    // Where it is gone, the session will find out.
    if (auto selected = store_->open_mailbox(glance_.selected->guid)) selected_ = *selected;
  }
  for (const store::MailboxInfo& info : infos_) {
    if (info.no_select) continue;
    IMAP_CO_TRY(co_await take(info));
    if (watched_.size() <= kNotifyMailboxesMax) continue;
    seen_.overflow = true;
    co_return std::move(seen_);
  }
  take_subscriptions(subscriptions_);
  seen_.moved = digest_ != notifier_.state_.watched_digest;
  if (seen_.moved || glance_.directories) IMAP_CO_TRY(find_directories());
  finish();
  co_return std::move(seen_);
}

io::Task<Result<void>> Notifier::Look::take(const store::MailboxInfo& info) {
  NotifyEvents events = notifier_.events_of(info.name, info.subscribed);
  if (events == 0) co_return Result<void>{};
  auto mailbox = store_->open_mailbox(info.name);
  if (!mailbox) co_return std::unexpected(mailbox.error());
  bool messages = (events & kOfMessages) != 0;
  bool selected = selected_ && *selected_ == *mailbox;
  if (messages && !selected) {
    auto synced = co_await glance_.user.shared_sync(*mailbox);
    if (synced && synced->any()) glance_.user.notify(mailbox->id(), glance_.self);
    // One that cannot be read is as the index has it.
    bool passes = !synced && synced.error().kind != ErrorKind::kSystem &&
                  synced.error().kind != ErrorKind::kDenied;
    if (passes) co_return std::unexpected(synced.error());
  }
  auto status = mailbox->status();
  if (!status) co_return std::unexpected(status.error());
  KnownMailbox entry;
  entry.mark = mailbox_mark(status->guid);
  const KnownMailbox* known = notifier_.find(entry.mark);
  if ((events & kOfNames) != 0) {
    entry.name = info.name;
    entry.subscribed = info.subscribed;
  }
  if (messages && selected) {
    entry.mod_seq = glance_.selected->mod_seq;
  } else if (messages) {
    IMAP_CO_TRY(take_messages(*mailbox, std::move(*status), info, events, entry, known));
    mix(digest_, info.name);
    mix(digest_, {reinterpret_cast<const char*>(&entry.mark), sizeof entry.mark});
    watched_.push_back(*mailbox);
    watched_names_.push_back(info.name);
  }
  if (!is_first()) say_name(*mailbox, info, events, entry, known);
  marks_.insert(entry.mark);
  now_.push_back(std::move(entry));
  co_return Result<void>{};
}

namespace {

// What happened in the mailbox after `since`. `status` is of now, also afterwards.
Result<NotifyEvents> happened(store::Mailbox mailbox, uint64_t since,
                              store::MailboxStatus& status) {
  if (since == status.highest_mod_seq) return 0;
  // New to the filter (the client may remember it from before), or an index that was made anew.
  if (since == 0 || since > status.highest_mod_seq) return kOfMessages;
  auto changes = mailbox.changes_since(since);
  if (!changes) return std::unexpected(changes.error());
  status = std::move(changes->status);
  NotifyEvents events = changes->changed.empty() ? 0 : kNotifyFlagChange;
  if (!changes->arrived.empty()) events |= kNotifyMessageNew;
  if (!changes->expunged.empty() || !changes->complete) events |= kNotifyMessageExpunge;
  return events;
}

}  // namespace

Result<> Notifier::Look::take_messages(store::Mailbox mailbox, store::MailboxStatus status,
                                       const store::MailboxInfo& info, NotifyEvents events,
                                       KnownMailbox& entry, const KnownMailbox* known) {
  auto news = happened(mailbox, known == nullptr ? 0 : known->mod_seq, status);
  if (!news) return std::unexpected(news.error());
  entry.mod_seq = status.highest_mod_seq;
  NotifyEvents told = *news & events;
  if (glance_.first == Glance::First::kQuiet) told = 0;
  if (glance_.first == Glance::First::kStatus) told = events;
  if (known == nullptr && is_own(info.name)) told = 0;
  if (told == 0) return {};
  put_status(status, info.name, told, events, statuses_);
  return {};
}

void Notifier::Look::put_status(const store::MailboxStatus& status, std::string_view name,
                                NotifyEvents told, NotifyEvents wanted, std::string& out) const {
  StatusItems items = status_items(told, glance_.condstore);
  // The mod-sequence is what tells of flags, so whoever asked for those is told of every step.
  if ((wanted & kNotifyFlagChange) != 0) items |= kStatusHighestModSeq;
  StatusValues values;
  values.messages = status.exists;
  values.uid_next = status.uid_next;
  values.uid_validity = status.uid_validity;
  values.unseen = status.unseen;
  values.highest_mod_seq = status.highest_mod_seq;
  put_status_response(out, name, items, values);
}

Result<> Notifier::Look::find_directories() {
  auto add = [this](const store::WatchedDirectory& directory) -> wire::Directory& {
    wire::Directory& place = seen_.directories.emplace_back();
    place.set_handle(directory.key);
    place.set_path(directory.path);
    return place;
  };
  const std::string& user = glance_.user.name();
  auto root = store_->watched_root();
  if (!root) return std::unexpected(root.error());
  add(*root).set_topic(wire::topic_of(user, {}));
  for (size_t i = 0; i < watched_.size(); ++i) {
    auto watched = watched_[i].watched_directories();
    if (!watched) return std::unexpected(watched.error());
    uint64_t topic = wire::topic_of(user, watched_names_[i]);
    for (const auto& directory : *watched) add(directory).set_topic(std::exchange(topic, 0));
  }
  return {};
}

void Notifier::Look::say_name(store::Mailbox mailbox, const store::MailboxInfo& info,
                              NotifyEvents events, const KnownMailbox& entry,
                              const KnownMailbox* known) {
  bool named = known != nullptr && !known->name.empty();
  bool is_new = known == nullptr;
  bool renamed = named && known->name != info.name;
  bool changed = named && known->subscribed != info.subscribed;
  if (is_own(info.name) || (renamed && is_own(known->name))) return;
  if (is_new && info.subscribed) {
    changed = std::ranges::none_of(notifier_.state_.known, [&](const KnownMailbox& other) {
      return other.name == info.name && other.subscribed;
    });
  }
  bool tell = ((events & kNotifyMailboxName) != 0 && (is_new || renamed)) ||
              ((events & kNotifySubscriptionChange) != 0 && changed);
  if (!tell) return;
  MailboxAttributes attributes = info.has_children ? kHasChildren : kHasNoChildren;
  if (info.subscribed) attributes |= kSubscribed;
  if (!renamed || (events & kNotifyMailboxName) == 0) {
    put_list_response(lists_, false, attributes, store::kSeparator, info.name);
    return;
  }
  renames_.push_back(Rename{info.name, known->name, attributes, {}});
  auto status = mailbox.status();
  if (!status || entry.mod_seq == 0) return;
  put_status(*status, info.name, events, events, renames_.back().status);
}

// A name goes to its new mailbox after its old one has left it, so that a client can follow line by
// line. Where names went round in a circle one of them is given up, and told anew.
void Notifier::Look::say_renames() {
  while (!renames_.empty()) {
    auto is_taken = [&](const Rename& one) {
      return std::ranges::count(renames_, one.name, &Rename::old_name) != 0;
    };
    auto next = std::ranges::find_if_not(renames_, is_taken);
    bool circle = next == renames_.end();
    if (circle) next = renames_.begin();
    Rename one = std::move(*next);
    renames_.erase(next);
    put_list_renamed(glance_.out.text(), one.attributes, store::kSeparator, one.name, one.old_name);
    if (!circle) continue;
    auto lost = std::ranges::find(renames_, one.name, &Rename::old_name);
    put_list_response(lists_, false, lost->attributes, store::kSeparator, lost->name);
    statuses_ += lost->status;
    renames_.erase(lost);
  }
}

// Names that are subscribed, but no mailboxes (RFC 3501 6.3.9).
void Notifier::Look::take_subscriptions(const std::vector<std::string>& subscriptions) {
  for (const std::string& name : subscriptions) {
    if ((notifier_.events_of(name, true) & kNotifySubscriptionChange) == 0) continue;
    auto info = std::ranges::find(infos_, name, &store::MailboxInfo::name);
    if (info != infos_.end() && !info->no_select) continue;
    now_.push_back(KnownMailbox{.mark = 0, .mod_seq = 0, .name = name, .subscribed = true});
    // Of a mailbox that is gone, say_gone() tells; of one that was renamed, nobody else.
    bool was = std::ranges::any_of(notifier_.state_.known, [&](const KnownMailbox& known) {
      return known.name == name && known.subscribed && !marks_.contains(known.mark);
    });
    if (was || is_first() || is_own(name)) continue;
    put_list_response(lists_, false, kSubscribed | kNonExistent, store::kSeparator, name);
  }
}

// Was known by its name, and its mailbox is not among those of the filters now.
void Notifier::Look::say_gone(const KnownMailbox& known) {
  if (known.name.empty() || is_own(known.name)) return;
  NotifyEvents events = notifier_.events_of(known.name, known.subscribed);
  bool subscribed = is_subscribed(known.name);
  auto info = std::ranges::find(infos_, known.name, &store::MailboxInfo::name);
  bool exists = info != infos_.end() && !info->no_select;
  bool gone = known.mark != 0 && !exists && (events & kNotifyMailboxName) != 0;
  bool changed = known.subscribed && !subscribed && (events & kNotifySubscriptionChange) != 0;
  if (!gone && !changed) return;
  MailboxAttributes attributes = subscribed ? kSubscribed : 0;
  if (exists) {
    attributes |= info->has_children ? kHasChildren : kHasNoChildren;
  } else {
    attributes |= kNonExistent;
  }
  put_list_response(lists_, false, attributes, store::kSeparator, known.name);
}

void Notifier::Look::finish() {
  std::ranges::sort(now_, {}, [](const KnownMailbox& one) { return std::tie(one.name, one.mark); });
  if (!is_first()) {
    for (const KnownMailbox& known : notifier_.state_.known) {
      bool here = known.mark != 0 ? marks_.contains(known.mark)
                                  : std::ranges::any_of(now_, [&](const KnownMailbox& other) {
                                      return other.name == known.name;
                                    });
      if (!here) say_gone(known);
    }
  }
  seen_.said = !renames_.empty() || !lists_.empty() || !statuses_.empty();
  say_renames();
  glance_.out.text() += lists_;
  glance_.out.text() += statuses_;
  notifier_.state_.known = std::move(now_);
  notifier_.state_.watched_digest = digest_;
}

}  // namespace dormouse::imap
