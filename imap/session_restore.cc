// From a parked state back to an awake session. The view is rebuilt as it was at the state's
// mod-sequence; what changed since is then reported like to any session, at the next command or at
// once in IDLE.

#include <algorithm>
#include <iterator>

#include "imap/announced.h"
#include "imap/session.h"
#include "imap/try.h"
#include "role/log.h"

namespace dormouse::imap {
namespace {

// Another process may change the mailbox between two calls; each attempt takes microseconds.
constexpr int kSnapshotAttemptsMax = 20;

// The UIDs the client counted: those present now, less the arrived, plus the gone and the
// unreported.
std::vector<uint32_t> former_uids(const store::Snapshot& now, const store::Changes& changes,
                                  const UidSet& unreported) {
  UidSet lost = unreported;
  for (const store::Expunged& gone : changes.expunged) {
    if (gone.created_mod_seq <= changes.since) lost.add(gone.uid);
  }
  std::vector<uint32_t> kept;
  kept.reserve(now.uids.size());
  auto arrived = changes.arrived.begin();
  for (uint32_t uid : now.uids) {
    while (arrived != changes.arrived.end() && arrived->uid < uid) ++arrived;
    if (arrived == changes.arrived.end() || arrived->uid != uid) kept.push_back(uid);
  }
  if (lost.empty()) return kept;
  std::vector<uint32_t> gone;
  lost.each([&](uint32_t uid) {
    gone.push_back(uid);
    return true;
  });
  std::vector<uint32_t> uids;
  uids.reserve(kept.size() + gone.size());
  std::ranges::set_union(kept, gone, std::back_inserter(uids));
  return uids;
}

}  // namespace

io::Task<Result<void>> Session::restore(wire::DenToWorker::Begin begin) {
  auto state = decode_state(begin.state());
  if (!state) {
    role::log_error("session-state-refused",
                    {{"user", user_.name()}, {"session", id_}, {"reason", state.error().message}});
    co_return say_bye("The session cannot be resumed.");
  }
  auto store = user_.store();
  if (!store) co_return say_bye("The mail store cannot be opened.");
  condstore_ = state->condstore;
  qresync_ = state->qresync;
  client_id_ = state->client_id;
  if (auto rhythm = tuning::SessionRhythm::thaw(state->rhythm, host_.loop.now_ms(), unix_ms())) {
    rhythm_ = *rhythm;
  }
  compressed_ = begin.compressed();
  auto told = told_since(begin, *state);
  if (!told) co_return say_bye("The session cannot be resumed.");
  if (state->notify) notify_.emplace(std::move(*state->notify));
  if (state->mailbox) IMAP_CO_TRY(restore_mailbox(*state->mailbox, *told));
  // The den may have answered DONE or IDLE meanwhile.
  if (begin.mode() == wire::WorkerToDen::Parked::IDLE) {
    begin_idle(begin.idle_tag());
    if (auto said = co_await push_changes(); !said) co_return std::unexpected(said.error());
  } else if (*told > 0) {
    // The view has messages of after its mod-sequence: brought up to date before anything else.
    auto said = co_await report_changes(false);
    if (!said) co_return std::unexpected(said.error());
  }
  // What it was owed when it woke is told after the command that woke it.
  woken_ = !idle_ && pushes();
  disturbed();  // what it was woken for is on its way
  co_return Result<void>{};
}

Result<> Session::restore_mailbox(const MailboxState& state, uint32_t told) {
  auto store = user_.store();
  if (!store) return say_bye("The mail store cannot be opened.");
  auto mailbox = (*store)->open_mailbox(state.guid);
  if (!mailbox) {
    return say_bye(mailbox.error().kind == ErrorKind::kNotFound
                       ? "The selected mailbox was deleted."
                       : "The selected mailbox cannot be opened.");
  }
  if (told > 0) {
    auto synced = mailbox->sync();
    if (!synced) return say_bye("The selected mailbox cannot be read.");
    if (synced->any()) tell_here(*mailbox);
  }
  for (int attempt = 0; attempt < kSnapshotAttemptsMax; ++attempt) {
    auto now = mailbox->snapshot();
    if (!now) return say_bye("The selected mailbox cannot be opened.");
    if (now->status.uid_validity != state.uid_validity) {
      return say_bye("UIDVALIDITY of the selected mailbox changed.");
    }
    if (state.mod_seq > now->status.highest_mod_seq) {
      return say_bye("The session cannot be resumed.");
    }
    auto changes = mailbox->changes_since(state.mod_seq);
    if (!changes) return say_bye("The selected mailbox cannot be opened.");
    if (changes->status.highest_mod_seq != now->status.highest_mod_seq) continue;
    if (!changes->complete) return say_bye("Too much was expunged meanwhile; select again.");
    Selected& box = selected_.emplace(*mailbox);
    box.view = View(former_uids(*now, *changes, state.unreported));
    state.unreported.each([&](uint32_t uid) {
      box.view.mark_expunged(uid);
      return true;
    });
    if (box.view.exists() != state.exists) {
      selected_.reset();
      return say_bye("The session cannot be resumed.");
    }
    box.guid = state.guid;
    box.name = now->status.name;
    box.uid_validity = state.uid_validity;
    box.uid_next = state.uid_next;
    if (told > 0) {
      auto came = Created::since(*changes);
      if (!came.cover(told, *mailbox)) return say_bye("The selected mailbox cannot be written.");
      for (const Created::Message& message : came.messages().first(told)) {
        box.view.append(message.uid);
        if (message.gone) box.view.mark_expunged(message.uid);
      }
      box.uid_next = std::max(now->status.uid_next, came.uid_next());
    }
    box.read_only = state.read_only;
    box.mod_seq = state.mod_seq;
    box.recent = box.view.intersect(state.recent);
    box.saved_search = box.view.intersect(state.saved_search);
    box.contexts = state.contexts;
    for (Context& context : box.contexts) {
      context.found = box.view.intersect(context.found);
      if (!context.order.empty() && context.order.size() != context.found.count()) {
        selected_.reset();
        return say_bye("The session cannot be resumed.");
      }
    }
    auto names = mailbox->keywords();
    if (!names) return say_bye("The selected mailbox cannot be opened.");
    size_t known = std::min<size_t>(state.keyword_count, names->size());
    names->resize(known);
    // Other names than the client was told: as if none had been, so they are announced again.
    if (keyword_digest(*names) != state.keyword_digest) names->clear();
    box.keywords = std::move(*names);
    return {};
  }
  return say_bye("The selected mailbox is too busy.");
}

}  // namespace dormouse::imap
