// NOTIFY (RFC 5465): what is told unasked, by a session that is awake and in Begin(REFRESH).

#include "imap/session.h"
#include "imap/try.h"
#include "role/log.h"
#include "wire/validate.h"

namespace dormouse::imap {
namespace {

using Refreshed = wire::WorkerToDen::Refreshed;

constexpr std::string_view kOverflow =
    "* OK [NOTIFICATIONOVERFLOW] More mailboxes than can be watched; NOTIFY NONE is in force.\r\n";
// An Offer or Refreshed is one datagram of 48 KiB (io::kMaxMessageBytes) and has a state besides.
constexpr size_t kDirectoryBytesMax = 40 * 1024;

Refreshed bye(std::string text) {
  Refreshed answer;
  answer.set_bye(std::move(text));
  return answer;
}

}  // namespace

bool fit_an_offer(const std::vector<wire::Directory>& places) {
  size_t bytes = 0;
  for (const wire::Directory& place : places) bytes += place.ByteSizeLong() + 4;
  return places.size() <= size_t(wire::kMaxDirectories) && bytes <= kDirectoryBytesMax;
}

Notifier::Glance Session::glance() {
  Notifier::Glance glance{.user = user_, .out = out_, .self = this, .condstore = condstore_};
  if (selected_) {
    glance.selected = Notifier::SelectedMailbox{selected_->guid, selected_->mod_seq};
  }
  return glance;
}

io::Task<Result<Notifier::Seen>> Session::look(std::vector<std::string> own, bool directories) {
  Notifier::Seen nothing;
  if (!notify_ || !notify_->active()) co_return nothing;
  Notifier::Glance one = glance();
  one.own = std::move(own);
  one.directories = directories;
  auto seen = co_await notify_->look(std::move(one));
  if (!seen) {
    if (seen.error().kind == ErrorKind::kCancelled) co_return std::unexpected(seen.error());
    if (auto store = user_.store(); !store) co_return say_bye("The mail store must be reopened.");
    // Nothing is lost: the next look tells it.
    behind_ = true;
    role::log_warning("look-failed",
                      {{"user", user_.name()}, {"session", id_}, {"reason", seen.error().message}});
    co_return nothing;
  }
  if (seen->overflow) {
    notify_->stop();
    out_.text() += kOverflow;
    seen->said = true;
  }
  co_return std::move(*seen);
}

io::Task<Result<bool>> Session::look_around(std::vector<std::string> own) {
  auto seen = co_await look(std::move(own));
  if (!seen) co_return std::unexpected(seen.error());
  co_return seen->said;
}

void Session::made(store::Mailbox mailbox, const UidSet& uids) {
  if (notify_) notify_->made(mailbox, uids);
}

io::Task<Result<bool>> Session::push_changes() {
  bool said = false;
  if (selected_ && pushes() && tells_selected()) {
    auto told = co_await report_changes(idle_ || notify_->immediate());
    if (!told) co_return std::unexpected(told.error());
    said = *told;
  }
  auto seen = co_await look({});
  if (!seen) co_return std::unexpected(seen.error());
  co_return said || seen->said;
}

io::Task<Result<bool>> Session::watch_others(std::vector<wire::Directory>& places) {
  behind_ = false;
  auto seen = co_await look({}, true);
  if (!seen) co_return std::unexpected(seen.error());
  for (wire::Directory& place : seen->directories) places.push_back(std::move(place));
  co_return seen->said || behind_;
}

// Everything was reported, or there is nothing to report, and EXISTS is all that is wanted of an
// arrival, which no context must look at: the den may say it.
bool Session::announces(bool settled) const {
  return settled && selected_ && selected_->contexts.empty() && tells_selected() &&
         (!notify_ || notify_->fetch() == nullptr);
}

// Of the selected mailbox the difference is computed without a view where that is enough, as for
// any sleeper; the other mailboxes need none.
io::Task<Result<Refreshed>> Session::refresh_notify(wire::DenToWorker::Begin begin,
                                                    SessionState state, uint32_t told) {
  Notifier notifier(*state.notify);
  bool tells = state.mailbox && notifier.tells_messages();
  if (tells && (state.idle || notifier.active())) {
    auto changed = co_await has_changed(user_, *state.mailbox);
    if (!changed && changed.error().kind == ErrorKind::kNotFound) {
      co_return bye("The selected mailbox was deleted.");
    }
    if (!changed) co_return std::unexpected(changed.error());
    bool plain = notifier.fetch() == nullptr && !fetches_arrivals(*state.mailbox) &&
                 state.mailbox->unreported.empty() && (state.idle || notifier.immediate());
    bool news = *changed || told > 0;
    if (news && !plain) co_return co_await refresh_with_view(std::move(begin));
    if (news) {
      auto said = co_await refresh_mailbox(user_, out_, state, told, notifier.tells_flags());
      if (!said || !said->bye().empty()) co_return said;
    }
  }
  Notifier::Glance one{.user = user_, .out = out_, .self = this, .condstore = state.condstore};
  if (state.mailbox) {
    one.selected = Notifier::SelectedMailbox{state.mailbox->guid, state.mailbox->mod_seq};
  }
  auto seen = co_await notifier.look(std::move(one));
  if (!seen) co_return std::unexpected(seen.error());
  if (seen->overflow) {
    notifier.stop();
    out_.text() += kOverflow;
  }
  Refreshed answer;
  if (seen->moved && !seen->overflow) {
    std::vector<wire::Directory> places;
    if (tells) {
      auto own = watched_of(user_, state.mailbox->guid, state.mailbox->name);
      if (!own) co_return std::unexpected(own.error());
      places = std::move(*own);
    }
    for (wire::Directory& place : seen->directories) places.push_back(std::move(place));
    if (!fit_an_offer(places)) co_return bye("Too much to watch; connect again.");
    for (wire::Directory& place : places) *answer.add_directories() = std::move(place);
  }
  state.notify = notifier.state();
  bool settled = !state.mailbox || state.mailbox->unreported.empty();
  auto* parked = answer.mutable_parked();
  parked->set_mode(begin.mode());
  parked->set_idle_tag(state.idle_tag);
  parked->set_small_talk(settled);
  parked->set_pushes(notifier.active());
  bool plain = notifier.fetch() == nullptr && tells && state.mailbox->contexts.empty();
  if (settled && plain) {
    parked->set_announces(true);
    parked->set_exists(state.mailbox->exists);
  }
  auto bytes = encode_or_shed(state, out_.text());
  if (!bytes) co_return bye("The session has become too long to sleep; connect again.");
  parked->set_state(std::move(*bytes));
  co_return answer;
}

// As an awake session does it: for messages that are to be fetched (here or by a context), and for
// SELECTED-DELAYED.
io::Task<Result<Refreshed>> Session::refresh_with_view(wire::DenToWorker::Begin begin) {
  auto restored = co_await restore(begin);
  Result<bool> pushed = false;
  if (restored) pushed = co_await push_changes();
  if (!restored || !pushed) {
    if (!bye_text_.empty()) co_return bye(std::exchange(bye_text_, {}));
    co_return std::unexpected(restored ? pushed.error() : restored.error());
  }
  std::vector<wire::Directory> places;
  auto own = directories();
  if (!own) co_return std::unexpected(own.error());
  places = std::move(*own);
  [[maybe_unused]] auto more = co_await watch_others(places);
  if (!more) co_return std::unexpected(more.error());
  if (behind_) co_return fail(ErrorKind::kUnavailable, "the mail store is busy");
  if (!fit_an_offer(places)) co_return bye("Too much to watch; connect again.");
  Refreshed answer;
  for (wire::Directory& place : places) *answer.add_directories() = std::move(place);
  auto* parked = answer.mutable_parked();
  parked->set_mode(begin.mode());
  parked->set_idle_tag(idle_tag_);
  bool settled = !selected_ || selected_->view.unreported().empty();
  parked->set_small_talk(settled);
  parked->set_pushes(notify_ && notify_->active());
  if (announces(settled)) {
    parked->set_announces(true);
    parked->set_exists(selected_->view.exists());
  }
  auto bytes = freeze();
  while (!bytes && selected_ && shed_context(selected_->contexts, out_.text())) bytes = freeze();
  if (!bytes) co_return bye("The session has become too long to sleep; connect again.");
  parked->set_state(std::move(*bytes));
  co_return answer;
}

}  // namespace dormouse::imap
