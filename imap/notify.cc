#include "imap/notify.h"

#include <algorithm>

#include "imap/syntax/parser.h"

namespace dormouse::imap {
namespace {

bool matches(const NotifyGroup& group, std::string_view name, bool subscribed) {
  switch (group.filter) {
    case NotifyFilter::kSelected:
    case NotifyFilter::kSelectedDelayed:
      return false;
    case NotifyFilter::kInboxes:  // where mail is delivered
      return name == "INBOX";
    case NotifyFilter::kPersonal:
      return true;
    case NotifyFilter::kSubscribed:
      return subscribed;
    case NotifyFilter::kSubtree:
      return std::ranges::any_of(group.mailboxes,
                                 [&](const auto& top) { return is_below(name, top); });
    case NotifyFilter::kMailboxes:
      return std::ranges::count(group.mailboxes, name) != 0;
  }
  return false;
}

}  // namespace

bool is_below(std::string_view name, std::string_view top) {
  return name == top || (name.size() > top.size() && name.starts_with(top) &&
                         name[top.size()] == store::kSeparator);
}

bool is_selected_group(const NotifyGroup& group) {
  return group.filter == NotifyFilter::kSelected || group.filter == NotifyFilter::kSelectedDelayed;
}

StatusItems status_items(NotifyEvents events, bool condstore) {
  StatusItems items = kStatusUidValidity;
  if ((events & (kNotifyMessageNew | kNotifyMessageExpunge)) != 0) {
    items |= kStatusMessages | kStatusUidNext | kStatusUnseen;
  }
  if ((events & kNotifyFlagChange) != 0) items |= kStatusUnseen | kStatusHighestModSeq;
  if (condstore) items |= kStatusHighestModSeq;
  return items;
}

Notifier::Notifier(NotifyState state) : state_(std::move(state)) {
  for (const NotifyGroup& group : state_.groups) {
    if (!is_selected_group(group)) continue;
    selected_events_ = group.events;
    immediate_ = group.filter == NotifyFilter::kSelected;
    if (!group.fetch.empty()) fetch_ = parse_fetch_list(group.fetch);
    if (!fetch_) continue;
    for (FetchBody& body : fetch_->bodies) body.peek = true;
  }
}

void Notifier::stop() { *this = Notifier(NotifyState{}); }

// Of several groups that name a mailbox the first one counts.
NotifyEvents Notifier::events_of(std::string_view name, bool subscribed) const {
  for (const NotifyGroup& group : state_.groups) {
    if (matches(group, name, subscribed)) return group.events;
  }
  return 0;
}

KnownMailbox* Notifier::find(uint32_t mark) {
  auto found = std::ranges::find(state_.known, mark, &KnownMailbox::mark);
  return mark == 0 || found == state_.known.end() ? nullptr : &*found;
}

void Notifier::left(const SelectedMailbox& mailbox) {
  KnownMailbox* known = find(mailbox_mark(mailbox.guid));
  if (known != nullptr && known->mod_seq != 0) known->mod_seq = mailbox.mod_seq;
}

void Notifier::made(store::Mailbox mailbox, const UidSet& uids) {
  auto status = mailbox.status();
  if (!status) return;
  KnownMailbox* known = find(mailbox_mark(status->guid));
  if (known == nullptr || known->mod_seq == 0 || known->mod_seq > status->highest_mod_seq) return;
  auto changes = mailbox.changes_since(known->mod_seq);
  if (!changes || !changes->complete || !changes->changed.empty()) return;
  auto is_own = [&](const auto& message) { return uids.contains(message.uid); };
  if (std::ranges::all_of(changes->arrived, is_own) &&
      std::ranges::all_of(changes->expunged, is_own)) {
    known->mod_seq = changes->status.highest_mod_seq;
  }
}

}  // namespace dormouse::imap
