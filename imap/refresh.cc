// Begin(REFRESH): what a sleeper is owed since its state's mod-sequence, at a cost proportional to
// what changed: no view is built, no UID list read. The store gives every sequence number in the
// former view (store::Changes), which is the client's own. The order of what is said is that of
// session_changes.cc.

#include <fmt/format.h>

#include <algorithm>

#include "imap/announced.h"
#include "imap/context_updates.h"
#include "imap/session.h"
#include "imap/syntax/writer.h"
#include "imap/try.h"
#include "wire/topic.h"

namespace dormouse::imap {
namespace {

using Refreshed = wire::WorkerToDen::Refreshed;

Refreshed bye(std::string text) {
  Refreshed answer;
  answer.set_bye(std::move(text));
  return answer;
}

// Sequence numbers of the messages that changed, before and after the client has heard of it.
class Numbers {
 public:
  explicit Numbers(const store::Changes& changes) : changes_(changes) {
    for (const store::Expunged& gone : changes.expunged) {
      if (gone.former_sequence != 0) former_gone_.push_back(gone.former_sequence);
    }
    std::ranges::sort(former_gone_);
  }
  // Of one that was there. 0: it was not.
  uint32_t before(uint32_t uid) const {
    auto changed = std::ranges::lower_bound(changes_.changed, uid, {}, &store::Message::uid);
    if (changed != changes_.changed.end() && changed->uid == uid) {
      return changes_.changed_sequence[size_t(changed - changes_.changed.begin())];
    }
    auto gone = std::ranges::lower_bound(changes_.expunged, uid, {}, &store::Expunged::uid);
    return gone != changes_.expunged.end() && gone->uid == uid ? gone->former_sequence : 0;
  }
  // Of one that is there.
  uint32_t after(uint32_t uid) const {
    auto arrived = std::ranges::lower_bound(changes_.arrived, uid, {}, &store::Message::uid);
    if (arrived != changes_.arrived.end() && arrived->uid == uid) {
      auto left = changes_.former_exists - uint32_t(former_gone_.size());
      return left + uint32_t(arrived - changes_.arrived.begin()) + 1;
    }
    uint32_t former = before(uid);
    auto lower = std::ranges::lower_bound(former_gone_, former) - former_gone_.begin();
    return former - uint32_t(lower);
  }

 private:
  const store::Changes& changes_;
  std::vector<uint32_t> former_gone_;
};

// One refresh; the members are what its steps share.
class Refresh {
 public:
  // `told`: arrivals that the den has announced since.
  // `flags`: whether changes of flags are told.
  Refresh(io::Loop& loop, Output& out, SessionState& state, store::Mailbox mailbox, uint32_t told,
          bool flags)
      : loop_(loop),
        out_(out),
        state_(state),
        box_(*state.mailbox),
        mailbox_(mailbox),
        told_(told),
        flags_(flags) {}

  // Writes the responses and brings the state up to date.
  io::Task<Result<void>> say(store::Changes changes);

 private:
  Result<> know_keywords(const store::Changes& changes);
  io::Task<Result<void>> say_expunged(std::vector<store::Expunged> expunged, uint64_t since);
  io::Task<Result<void>> say_arrived(const store::Changes& changes);
  uint32_t take_arrivals(const store::Changes& changes);

  io::Loop& loop_;
  Output& out_;
  SessionState& state_;
  MailboxState& box_;
  store::Mailbox mailbox_;
  uint32_t told_;
  bool flags_;
  std::vector<std::string> names_;
};

Result<> Refresh::know_keywords(const store::Changes& changes) {
  bool any = std::ranges::any_of(
      changes.changed, [](const store::Message& message) { return message.keywords.any(); });
  if (!any) return {};
  auto names = mailbox_.keywords();
  if (!names) return std::unexpected(names.error());
  names_ = std::move(*names);
  size_t known = std::min<size_t>(box_.keyword_count, names_.size());
  bool same = keyword_digest(std::span(names_).first(known)) == box_.keyword_digest;
  bool unknown = std::ranges::any_of(changes.changed, [&](const store::Message& message) {
    return has_unknown_keyword(message.keywords, same ? known : 0);
  });
  if (!unknown) return {};
  put_flags_responses(out_.text(), names_, box_.read_only, names_.size() < store::kKeywordsMax);
  box_.keyword_count = uint32_t(names_.size());
  box_.keyword_digest = keyword_digest(names_);
  return {};
}

io::Task<Result<void>> Refresh::say(store::Changes changes) {
  if (flags_) IMAP_CO_TRY(know_keywords(changes));
  for (size_t i = 0; flags_ && i < changes.changed.size(); ++i) {
    const store::Message& message = changes.changed[i];
    put_flags_update(out_.text(), changes.changed_sequence[i], message, names_,
                     box_.recent.contains(message.uid), state_.condstore);
    if (out_.full()) IMAP_CO_TRY(co_await out_.drain());
  }
  // A context may ask what is \Recent.
  if (!changes.arrived.empty()) box_.recent_count += take_arrivals(changes);
  ContextUpdates updates(box_.contexts, {&loop_, mailbox_, &box_.recent}, out_);
  Numbers numbers(changes);
  if (!box_.contexts.empty()) {
    IMAP_CO_TRY(updates.prepare());
    IMAP_CO_TRY(co_await updates.find(&changes));
    updates.number_removed([&](uint32_t uid) { return numbers.before(uid); });
    IMAP_CO_TRY(co_await updates.say_removed());
  }
  IMAP_CO_TRY(co_await say_expunged(changes.expunged, changes.since));
  box_.uid_next = changes.status.uid_next;
  IMAP_CO_TRY(co_await say_arrived(changes));
  updates.number_added([&](uint32_t uid) { return numbers.after(uid); });
  IMAP_CO_TRY(co_await updates.say_added());
  box_.mod_seq = changes.status.highest_mod_seq;
  box_.name = changes.status.name;
  co_return Result<void>{};
}

io::Task<Result<void>> Refresh::say_expunged(std::vector<store::Expunged> expunged,
                                             uint64_t since) {
  std::erase_if(expunged, [&](const auto& gone) { return gone.created_mod_seq > since; });
  UidSet vanished;
  for (const auto& gone : expunged) vanished.add(gone.uid);
  for (const auto& gone : expunged) {
    if (box_.recent_count > 0 && box_.recent.contains(gone.uid)) --box_.recent_count;
  }
  box_.exists -= uint32_t(expunged.size());
  box_.recent.remove(vanished);
  if (box_.recent_count == 0) box_.recent.clear();
  box_.saved_search.remove(vanished);
  if (state_.qresync) {
    put_vanished_response(out_.text(), false, vanished);
    co_return Result<void>{};
  }
  for (auto gone = expunged.rbegin(); gone != expunged.rend(); ++gone) {
    put_numbered_response(out_.text(), gone->former_sequence, "EXPUNGE");
    if (out_.full()) IMAP_CO_TRY(co_await out_.drain());
  }
  co_return Result<void>{};
}

// The client counts `told_` messages more than the former view had: the first of what came since.
// Of those that are gone again it is told so; of what came beyond them too.
io::Task<Result<void>> Refresh::say_arrived(const store::Changes& changes) {
  auto came = Created::since(changes);
  if (auto done = came.cover(told_, mailbox_); !done) co_return std::unexpected(done.error());
  box_.uid_next = std::max(box_.uid_next, came.uid_next());
  UidSet vanished;
  uint32_t counted = box_.exists + told_;
  for (uint32_t i = told_; i-- > 0;) {
    const Created::Message& message = came.messages()[i];
    if (!message.gone) continue;
    --counted;
    vanished.add(message.uid);
    if (state_.qresync) continue;
    put_numbered_response(out_.text(), box_.exists + i + 1, "EXPUNGE");
    if (out_.full()) IMAP_CO_TRY(co_await out_.drain());
  }
  if (state_.qresync && !vanished.empty()) put_vanished_response(out_.text(), false, vanished);
  if (changes.arrived.empty()) co_return Result<void>{};
  box_.exists += uint32_t(changes.arrived.size());
  if (box_.exists > counted) put_numbered_response(out_.text(), box_.exists, "EXISTS");
  put_numbered_response(out_.text(), box_.recent_count, "RECENT");
  co_return Result<void>{};
}

// Answers how many of the arrived are \Recent here.
uint32_t Refresh::take_arrivals(const store::Changes& changes) {
  uint32_t recent_from = changes.status.first_recent_uid;
  if (!box_.read_only) {
    auto claimed = mailbox_.claim_recent();
    recent_from = claimed ? *claimed : UINT32_MAX;
  }
  uint32_t count = 0;
  uint32_t first = 0;
  for (const store::Message& message : changes.arrived) {
    if (message.uid < recent_from) continue;
    ++count;
    if (first == 0) first = message.uid;
  }
  // One range for all: what lies between the arrived does not exist.
  if (count != 0) box_.recent.add(UidRange{first, changes.arrived.back().uid});
  return count;
}

}  // namespace

io::Task<Result<Refreshed>> refresh_mailbox(User& user, Output& out, SessionState& state,
                                            uint32_t told, bool flags) {
  auto store = user.store();
  if (!store) co_return std::unexpected(store.error());
  auto mailbox = (*store)->open_mailbox(state.mailbox->guid);
  if (!mailbox) {
    if (mailbox.error().kind == ErrorKind::kNotFound) {
      co_return bye("The selected mailbox was deleted.");
    }
    co_return std::unexpected(mailbox.error());
  }
  auto synced = co_await user.shared_sync(*mailbox);
  if (synced && synced->any()) user.notify(mailbox->id(), nullptr);
  if (!synced && synced.error().kind != ErrorKind::kNotFound) {
    co_return std::unexpected(synced.error());
  }
  auto changes = mailbox->changes_since(state.mailbox->mod_seq);
  if (!changes) {
    if (changes.error().kind == ErrorKind::kNotFound) {
      co_return bye("The selected mailbox was deleted.");
    }
    co_return std::unexpected(changes.error());
  }
  if (changes->status.uid_validity != state.mailbox->uid_validity) {
    co_return bye("UIDVALIDITY of the selected mailbox changed.");
  }
  if (!changes->complete) co_return bye("Too much was expunged meanwhile; select again.");
  if (changes->former_exists != state.mailbox->exists) {
    co_return bye("The session cannot be resumed.");
  }
  Refresh difference(user.loop(), out, state, *mailbox, told, flags);
  IMAP_CO_TRY(co_await difference.say(std::move(*changes)));
  co_return Refreshed{};
}

Result<std::string> encode_or_shed(SessionState& state, std::string& out) {
  auto bytes = encode_state(state);
  while (!bytes && state.mailbox && shed_context(state.mailbox->contexts, out)) {
    bytes = encode_state(state);
  }
  return bytes;
}

bool fetches_arrivals(const MailboxState& box) {
  return std::ranges::any_of(box.contexts,
                             [](const Context& context) { return !context.fetch.empty(); });
}

io::Task<Result<bool>> has_changed(User& user, const MailboxState& box) {
  auto store = user.store();
  if (!store) co_return std::unexpected(store.error());
  auto mailbox = (*store)->open_mailbox(box.guid);
  if (!mailbox) co_return std::unexpected(mailbox.error());
  auto synced = co_await user.shared_sync(*mailbox);
  if (!synced) co_return std::unexpected(synced.error());
  if (synced->any()) user.notify(mailbox->id(), nullptr);
  auto status = mailbox->status();
  if (!status) co_return std::unexpected(status.error());
  co_return status->uid_validity != box.uid_validity || status->highest_mod_seq != box.mod_seq;
}

Result<std::vector<wire::Directory>> watched_of(User& user, const store::Guid& guid,
                                                std::string_view name) {
  auto store = user.store();
  if (!store) return std::unexpected(store.error());
  auto mailbox = (*store)->open_mailbox(guid);
  if (!mailbox) return std::unexpected(mailbox.error());
  auto watched = mailbox->watched_directories();
  if (!watched) return std::unexpected(watched.error());
  std::vector<wire::Directory> places;
  for (const auto& directory : *watched) {
    wire::Directory& place = places.emplace_back();
    place.set_handle(directory.key);
    place.set_path(directory.path);
  }
  if (!places.empty()) places[0].set_topic(wire::topic_of(user.name(), name));
  return places;
}

io::Task<Result<Refreshed>> refresh(Session& session, wire::DenToWorker::Begin begin) {
  auto state = decode_state(begin.state());
  if (!state) co_return bye("The session cannot be resumed.");
  state->idle = begin.mode() == wire::WorkerToDen::Parked::IDLE;
  state->idle_tag = state->idle ? begin.idle_tag() : std::string();
  // Only IDLE allows to say anything unasked; and the view with unreported messages is another one
  // than the store's. Both stay as they are, for the next command.
  bool due = state->idle && state->mailbox && state->mailbox->unreported.empty();
  auto told = told_since(begin, *state);
  if (!told) co_return bye("The session cannot be resumed.");
  if (state->notify) {
    co_return co_await session.refresh_notify(std::move(begin), std::move(*state), *told);
  }
  if (due && fetches_arrivals(*state->mailbox)) {
    co_return co_await session.refresh_with_view(std::move(begin));
  }
  Refreshed answer;
  if (due) {
    auto said = co_await refresh_mailbox(session.user(), session.out(), *state, *told, true);
    if (!said || !said->bye().empty()) co_return said;
  }
  bool settled = due || !state->mailbox;
  // Outside IDLE: whether a NOOP would have nothing to say, so that the den may answer it.
  if (!settled && state->mailbox->unreported.empty()) {
    auto changed = co_await has_changed(session.user(), *state->mailbox);
    settled = changed && !*changed;
  }
  auto bytes = encode_or_shed(*state, session.out().text());
  if (!bytes) co_return bye("The session has become too long to sleep; connect again.");
  auto* parked = answer.mutable_parked();
  parked->set_mode(begin.mode());
  parked->set_idle_tag(state->idle_tag);
  parked->set_state(std::move(*bytes));
  parked->set_small_talk(settled);
  if (state->mailbox) {
    // What was not looked at is still only told.
    parked->set_exists(state->mailbox->exists + (due ? 0 : *told));
    // Where there are contexts, a worker must look at what came.
    parked->set_announces((due || *told > 0) && state->mailbox->contexts.empty());
  }
  co_return answer;
}

}  // namespace dormouse::imap
