// Telling the client what changed in its mailbox. Order matters: flags first (their sequence
// numbers are those before any EXPUNGE), then what is gone, then EXISTS and RECENT, which count
// what is left. What leaves a context is told before EXPUNGE, what enters it after EXISTS.

#include <algorithm>

#include "imap/commands/commands.h"
#include "imap/context_updates.h"
#include "imap/session.h"
#include "imap/syntax/parser.h"
#include "imap/syntax/writer.h"
#include "imap/try.h"
#include "role/log.h"
#include "wire/topic.h"

namespace dormouse::imap {

void Session::tell_others(store::Mailbox mailbox) {
  tell_here(mailbox);
  if (host_.publisher == nullptr || !host_.publisher->wanted()) return;
  // Gone again already: whoever made it so has published its name.
  if (auto status = mailbox.status()) publish(status->name);
}

void Session::publish(std::string_view mailbox) {
  if (host_.publisher == nullptr || !host_.publisher->wanted()) return;
  host_.publisher->publish(wire::topic_of(user_.name(), mailbox));
}

io::Task<Result<bool>> Session::report_changes(bool allow_expunge) {
  if (!tells_selected()) {
    // The view stays as it is; nobody will ask whose these changes were.
    selected_->own_mod_seqs.clear();
    co_return false;
  }
  co_return co_await report_all_changes(allow_expunge);
}

io::Task<Result<bool>> Session::report_all_changes(bool allow_expunge) {
  DORMOUSE_CHECK(selected_, "changes are of a selected mailbox");
  auto synced = selected_->mailbox.sync();
  if (synced && synced->any()) tell_here(selected_->mailbox);
  if (!synced && synced.error().kind != ErrorKind::kNotFound) {
    // The index is as it was; the next command tries again.
    role::log_warning(
        "sync-failed",
        {{"user", user_.name()}, {"session", id_}, {"reason", synced.error().message}});
  }
  auto changes = selected_->mailbox.changes_since(selected_->mod_seq);
  if (!changes) {
    if (changes.error().kind == ErrorKind::kNotFound) {
      co_return say_bye("The selected mailbox was deleted.");
    }
    if (auto store = user_.store(); !store) co_return say_bye("The mail store must be reopened.");
    behind_ = true;
    co_return false;  // busy: nothing is lost, it is still to be reported
  }
  if (changes->status.uid_validity != selected_->uid_validity) {
    co_return say_bye("UIDVALIDITY of the selected mailbox changed.");
  }
  if (!changes->complete) co_return say_bye("Too much was expunged meanwhile; select again.");
  co_return co_await say_changes(std::move(*changes), allow_expunge);
}

io::Task<Result<bool>> Session::say_changes(store::Changes changes, bool allow_expunge) {
  Selected& box = *selected_;
  bool said = false;
  bool flags = !notify_ || notify_->tells_flags();
  ContextUpdates updates(box.contexts, {&host_.loop, box.mailbox, &box.recent}, out_);
  bool contexts = !box.contexts.empty() &&
                  changes.changed.size() + changes.expunged.size() + changes.arrived.size() > 0;
  if (contexts && !updates.prepare()) {
    behind_ = true;
    co_return false;  // busy, as in report_changes()
  }
  for (const store::Message& message : changes.changed) {
    if (!flags || std::ranges::count(box.own_mod_seqs, message.mod_seq) != 0) continue;
    auto sequence = box.view.sequence_of(message.uid);
    if (!sequence) continue;
    if (auto done = announce_keywords(message.keywords); !done) {
      co_return std::unexpected(done.error());
    }
    put_flags_update(out_.text(), *sequence, message, box.keywords,
                     box.recent.contains(message.uid), condstore_);
    said = true;
    if (out_.full()) IMAP_CO_TRY(co_await out_.drain());
  }
  for (const store::Expunged& gone : changes.expunged) box.view.mark_expunged(gone.uid);
  uint32_t counted = box.view.exists();
  bool arrived = !changes.arrived.empty();
  if (arrived) IMAP_CO_TRY(take_arrivals(changes));
  if (contexts) {
    auto found = co_await updates.find(&changes);
    if (!found && found.error().kind == ErrorKind::kCancelled) {
      co_return std::unexpected(found.error());
    }
    if (!found) co_return say_bye("The mail store must be reopened.");
    updates.number_removed([&](uint32_t uid) { return *box.view.sequence_of(uid); });
    IMAP_CO_TRY(co_await updates.say_removed());
    said = said || updates.any();
  }
  // The den may have announced them all (restore_mailbox).
  bool more = box.view.exists() > counted;
  box.mod_seq = changes.status.highest_mod_seq;
  box.uid_next = changes.status.uid_next;
  box.name = changes.status.name;
  box.own_mod_seqs.clear();
  if (allow_expunge && !box.view.unreported().empty()) {
    IMAP_CO_TRY(co_await say_expunged());
    said = true;
  }
  if (arrived) {
    if (more) put_numbered_response(out_.text(), box.view.exists(), "EXISTS");
    put_numbered_response(out_.text(), box.recent_count(), "RECENT");
    said = true;
  }
  if (contexts) {
    updates.number_added([&](uint32_t uid) { return *box.view.sequence_of(uid); });
    IMAP_CO_TRY(co_await updates.say_added());
    if (arrived) IMAP_CO_TRY(co_await fetch_for_contexts(&changes.arrived));
  }
  if (arrived && notify_ && notify_->fetch() != nullptr) {
    std::vector<uint32_t> uids;
    for (const store::Message& message : changes.arrived) uids.push_back(message.uid);
    IMAP_CO_TRY(co_await fetch_arrived(*this, *notify_->fetch(), std::move(uids)));
  }
  co_return said;
}

// RFC 5465 7, after ADDTO (5.2).
io::Task<Result<void>> Session::fetch_for_contexts(const std::vector<store::Message>* arrived) {
  for (const Context& context : selected_->contexts) {
    auto items = context.fetch.empty() ? std::nullopt : parse_fetch_list(context.fetch);
    if (!items) continue;
    for (FetchBody& body : items->bodies) body.peek = true;  // being told of it is not reading it
    std::vector<uint32_t> uids;
    for (const store::Message& message : *arrived) {
      if (context.found.contains(message.uid)) uids.push_back(message.uid);
    }
    IMAP_CO_TRY(co_await fetch_arrived(*this, std::move(*items), std::move(uids)));
  }
  co_return Result<void>{};
}

Result<> Session::take_arrivals(const store::Changes& changes) {
  Selected& box = *selected_;
  uint32_t recent_from = changes.status.first_recent_uid;
  if (!box.read_only) {
    auto claimed = box.mailbox.claim_recent();
    // Not claimed: the next session to look has them; \Recent promises no more (RFC 3501 2.3.2).
    recent_from = claimed ? *claimed : UINT32_MAX;
  }
  uint32_t counted = box.view.last_uid();
  for (const store::Message& message : changes.arrived) {
    if (message.uid > counted) box.view.append(message.uid);
    if (message.uid >= recent_from) box.recent.add(message.uid);
  }
  return {};
}

io::Task<Result<void>> Session::say_expunged() {
  Selected& box = *selected_;
  auto gone = box.view.take_unreported();
  UidSet vanished;
  for (const View::Gone& message : gone) vanished.add(message.uid);
  box.recent.remove(vanished);
  box.saved_search.remove(vanished);
  if (qresync_) {
    put_vanished_response(out_.text(), false, vanished);
    co_return Result<void>{};
  }
  for (auto message = gone.rbegin(); message != gone.rend(); ++message) {
    put_numbered_response(out_.text(), message->sequence_number, "EXPUNGE");
    if (out_.full()) IMAP_CO_TRY(co_await out_.drain());
  }
  co_return Result<void>{};
}

Result<> Session::announce_keywords(const store::Keywords& keywords) {
  Selected& box = *selected_;
  if (!has_unknown_keyword(keywords, box.keywords.size())) return {};
  auto names = box.mailbox.keywords();
  if (!names) return std::unexpected(names.error());
  box.keywords = std::move(*names);
  put_flags_responses(out_.text(), box.keywords, box.read_only,
                      box.keywords.size() < store::kKeywordsMax);
  return {};
}

}  // namespace dormouse::imap
