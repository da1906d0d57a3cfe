#include "loadtest/stress/view.h"

#include <fmt/format.h>

#include <algorithm>

namespace dormouse::loadtest::stress {

void MailboxView::select(const SavedView* saved) {
  messages_.clear();
  defined_flags_.clear();
  vanished_earlier_.clear();
  resync_.reset();
  if (saved != nullptr) resync_ = *saved;
  old_messages_ = 0;
  select_event_ = truth_.tick();
  selected_uid_next_ = 0;
  selected_mod_seq_ = 0;
  uid_next_floor_ = truth_.uid_next;
  mod_seq_floor_ = truth_.highest_mod_seq;
  selecting_ = true;
  resynchronised_ = false;
  exists_heard_ = false;
  keywords_allowed_ = false;
}

void MailboxView::closed() {
  messages_.clear();
  exists_heard_ = false;
}

void MailboxView::selected() {
  selecting_ = false;
  if (!exists_heard_) complain("SELECT must say EXISTS, and did not");
  if (truth_.uid_validity == 0) complain("SELECT must say UIDVALIDITY, and did not");
  // Some servers do not say UIDNEXT: then nothing is known of who was there at SELECT.
  old_messages_ = messages_.size();
  if (resync_) resynchronise();
}

// RFC 7162 3.2.5.2: what was known, less what vanished, is the front of the mailbox.
void MailboxView::resynchronise() {
  std::vector<ViewMessage> kept;
  for (ViewMessage& message : resync_->messages) {
    if (!vanished_earlier_.contains(message.uid)) kept.push_back(message);
  }
  if (kept.size() > messages_.size()) {
    complain(fmt::format("QRESYNC: of {} messages known, {} did not vanish, but only {} exist",
                         resync_->messages.size(), kept.size(), messages_.size()));
    return;
  }
  for (size_t i = 0; i < kept.size(); ++i) {
    ViewMessage fetched = messages_[i];
    learn_uid(i, kept[i].uid);
    if (messages_[i].uid != kept[i].uid) return;
    // A FETCH during SELECT was newer than what was kept, and was checked against the truth; it is
    // checked against what was kept as well.
    messages_[i] = kept[i];
    messages_[i].deleted_by_us = false;
    if (fetched.mod_seq != 0 && fetched.mod_seq < kept[i].mod_seq) {
      complain(fmt::format("QRESYNC: MODSEQ of UID {} fell from {} to {}", kept[i].uid,
                           kept[i].mod_seq, fetched.mod_seq));
    }
    if (fetched.flags_known) {
      FlagList flags{.tracked = fetched.flags};
      observe_flags(i, flags);
      messages_[i].mod_seq = fetched.mod_seq;
      messages_[i].flags_at_mod_seq = fetched.flags_at_mod_seq;
    }
  }
  resync_.reset();
  resynchronised_ = true;
}

SavedView MailboxView::save() const {
  if (selected_mod_seq_ == 0 || !all_known()) return {};
  return {.uid_validity = truth_.uid_validity, .mod_seq = selected_mod_seq_, .messages = messages_};
}

bool MailboxView::all_known() const {
  return std::ranges::none_of(messages_, [](const ViewMessage& m) { return m.uid == 0; });
}

ViewMessage* MailboxView::find(uint32_t uid) {
  uint32_t number = number_of(uid);
  return number == 0 ? nullptr : &messages_[number - 1];
}

uint32_t MailboxView::number_of(uint32_t uid) const {
  // Unknown ones stand between, so no binary search.
  for (size_t i = 0; i < messages_.size(); ++i) {
    if (messages_[i].uid == uid) return uint32_t(i + 1);
  }
  return 0;
}

void MailboxView::exists(uint64_t count) {
  if (count > kMessagesMax) return complain(fmt::format("{} EXISTS: out of all bounds", count));
  exists_heard_ = true;
  if (count < messages_.size()) {
    return complain(
        fmt::format("EXISTS may not shrink without EXPUNGE: {} after {}", count, messages_.size()));
  }
  messages_.resize(count);
}

void MailboxView::recent(uint64_t count) {
  // During SELECT it may come before EXISTS.
  if (!selecting_ && count > messages_.size()) {
    complain(fmt::format("{} RECENT, but only {} EXISTS", count, messages_.size()));
  }
}

void MailboxView::remove(size_t index) {
  uint32_t uid = messages_[index].uid;
  if (uid != 0) {
    TruthMessage* truth = truth_.find(uid);
    if (truth != nullptr && !truth->doomed) {
      complain(fmt::format("message {} (UID {}) went away, but nobody deleted it", index + 1, uid));
    }
    truth_.expunged(uid);
  }
  messages_.erase(messages_.begin() + std::ptrdiff_t(index));
  if (index < old_messages_) --old_messages_;
}

void MailboxView::expunge(uint64_t number, bool may_expunge) {
  if (qresync) complain("EXPUNGE after ENABLE QRESYNC: must be VANISHED");
  if (!may_expunge) complain("EXPUNGE while none is allowed (RFC 3501 7.4.1)");
  if (number == 0 || number > messages_.size()) {
    return complain(
        fmt::format("{} EXPUNGE, but the mailbox has {} messages", number, messages_.size()));
  }
  remove(number - 1);
}

void MailboxView::vanished(std::string_view set, bool earlier, bool may_expunge) {
  if (!qresync) complain("VANISHED without ENABLE QRESYNC");
  auto uids = parse_set(set, kMessagesMax);
  if (!uids) return complain("VANISHED: " + uids.error().message);
  if (earlier) {
    vanished_earlier_.insert(uids->begin(), uids->end());
    for (uint32_t uid : *uids) {
      TruthMessage* truth = truth_.find(uid);
      if (truth == nullptr) continue;
      if (!truth->doomed) {
        complain(fmt::format("VANISHED (EARLIER) names UID {}, which nobody deleted", uid));
      }
      truth_.expunged(uid);
    }
    return;
  }
  if (!may_expunge) complain("VANISHED while no EXPUNGE is allowed (RFC 7162 3.2.10)");
  for (uint32_t uid : *uids) vanish(uid);
}

void MailboxView::vanish(uint32_t uid) {
  size_t unknown = messages_.size();
  for (size_t i = 0; i < messages_.size(); ++i) {
    if (messages_[i].uid == uid) return remove(i);
    if (messages_[i].uid == 0 && unknown == messages_.size()) unknown = i;
    if (messages_[i].uid > uid) break;
    if (messages_[i].uid != 0) unknown = messages_.size();  // before it: another's place
  }
  if (unknown == messages_.size()) {
    return complain(fmt::format("VANISHED {}, which is not in the mailbox", uid));
  }
  learn_uid(unknown, uid);
  remove(unknown);
}

void MailboxView::uid_validity(uint64_t value) {
  if (value == 0) return complain("UIDVALIDITY 0");
  if (truth_.uid_validity == 0) truth_.uid_validity = uint32_t(value);
  if (truth_.uid_validity != value) {
    complain(fmt::format("UIDVALIDITY was {} and is {}", truth_.uid_validity, value));
  }
}

void MailboxView::uid_next(uint64_t value) {
  if (value < uid_next_floor_) {
    complain(fmt::format("UIDNEXT {}, after {} was known", value, uid_next_floor_));
  }
  if (selecting_) selected_uid_next_ = uint32_t(value);
  truth_.uid_next = std::max(truth_.uid_next, uint32_t(value));
}

void MailboxView::highest_mod_seq(uint64_t value) {
  if (selecting_) {
    if (value < mod_seq_floor_) {
      complain(fmt::format("HIGHESTMODSEQ {}, after {} was known", value, mod_seq_floor_));
    }
    selected_mod_seq_ = value;
  }
  truth_.highest_mod_seq = std::max(truth_.highest_mod_seq, value);
}

void MailboxView::permanent_flags(const Value& list) {
  keywords_allowed_ =
      std::ranges::any_of(list.list, [](const Value& flag) { return flag.is_atom("\\*"); });
}

}  // namespace dormouse::loadtest::stress
