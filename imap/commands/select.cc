// SELECT and EXAMINE with CONDSTORE and QRESYNC (RFC 3501 6.3.1, RFC 7162), CLOSE, UNSELECT.

#include <fmt/format.h>

#include <algorithm>

#include "imap/commands/commands.h"
#include "imap/syntax/writer.h"
#include "imap/try.h"

namespace dormouse::imap {
namespace {

// Builds the view and says what SELECT says of any mailbox. An Error is the store's.
Result<> open_view(Session& session, store::Mailbox mailbox, bool examine) {
  if (auto synced = mailbox.sync(); !synced) return std::unexpected(synced.error());
  // Claimed before the snapshot: what arrives in between is recent here, not nowhere.
  std::optional<uint32_t> recent_from;
  if (!examine) {
    auto claimed = mailbox.claim_recent();
    if (!claimed) return std::unexpected(claimed.error());
    recent_from = *claimed;
  }
  auto now = mailbox.snapshot();
  if (!now) return std::unexpected(now.error());
  auto names = mailbox.keywords();
  if (!names) return std::unexpected(names.error());
  const store::MailboxStatus& status = now->status;
  Selected& box = session.selected().emplace(mailbox);
  box.guid = status.guid;
  box.name = status.name;
  box.uid_validity = status.uid_validity;
  box.uid_next = status.uid_next;
  box.read_only = examine;
  box.mod_seq = status.highest_mod_seq;
  box.view = View(now->uids);
  UidSet claimed;
  claimed.add(UidRange{recent_from.value_or(status.first_recent_uid), UINT32_MAX});
  box.recent = box.view.intersect(claimed);
  box.keywords = std::move(*names);
  std::string& out = session.out().text();
  put_flags_responses(out, box.keywords, examine, status.can_add_keywords);
  put_numbered_response(out, box.view.exists(), "EXISTS");
  put_numbered_response(out, box.recent_count(), "RECENT");
  if (auto unseen = box.view.sequence_of(status.first_unseen_uid);
      status.first_unseen_uid != 0 && unseen) {
    out += fmt::format("* OK [UNSEEN {}] First unseen.\r\n", *unseen);
  }
  out += fmt::format("* OK [UIDVALIDITY {}] UIDs valid.\r\n", status.uid_validity);
  out += fmt::format("* OK [UIDNEXT {}] Predicted next UID.\r\n", status.uid_next);
  out += fmt::format("* OK [HIGHESTMODSEQ {}] Highest.\r\n", status.highest_mod_seq);
  return {};
}

// What a client that knew the mailbox at `known.mod_seq` has missed (RFC 7162 3.2.5.2).
Answer resynchronize(Session& session, const Qresync& known) {
  Selected& box = *session.selected();
  if (known.uid_validity != box.uid_validity || known.mod_seq >= box.mod_seq) co_return ok("");
  UidSet wanted;
  wanted.add(UidRange{1, std::max<uint32_t>(box.uid_next - 1, 1)});
  if (known.known_uids) wanted = wanted.intersect(*known.known_uids);
  auto vanished = vanished_since(box, known.mod_seq, wanted);
  if (!vanished) co_return refusal(vanished.error());
  auto changes = box.mailbox.changes_since(known.mod_seq);
  if (!changes) co_return refusal(changes.error());
  // Before the FETCHes: the client drops messages, then learns flags.
  put_vanished_response(session.out().text(), true, *vanished);
  auto say = [&](const store::Message& message) {
    auto sequence = box.view.sequence_of(message.uid);
    if (!sequence || !wanted.contains(message.uid)) return;
    put_flags_update(session.out().text(), *sequence, message, box.keywords,
                     box.recent.contains(message.uid), true);
  };
  for (const auto* list : {&changes->changed, &changes->arrived}) {
    for (const store::Message& message : *list) {
      say(message);
      if (session.out().full()) IMAP_CO_TRY(co_await session.out().drain());
    }
  }
  co_return ok("");
}

}  // namespace

Result<UidSet> vanished_since(const Selected& box, uint64_t mod_seq, const UidSet& wanted) {
  UidSet vanished;
  store::Mailbox mailbox = box.mailbox;
  auto changes = mailbox.changes_since(mod_seq);
  if (!changes) return std::unexpected(changes.error());
  if (changes->complete) {
    for (const auto& gone : changes->expunged) {
      if (wanted.contains(gone.uid)) vanished.add(gone.uid);
    }
    return vanished;
  }
  // The log does not reach back: everything that does not exist (RFC 7162 3.2.5.1).
  vanished.add(UidRange{1, std::max<uint32_t>(box.uid_next - 1, 1)});
  vanished = vanished.intersect(wanted);
  vanished.remove(box.view.intersect(wanted));
  return vanished;
}

Answer run(Session& session, const Select& arguments) {
  if (arguments.qresync && !session.qresync()) co_return bad("QRESYNC was not enabled.");
  if (session.selected()) {
    session.drop_selected();
    session.out().text() += "* OK [CLOSED] Previous mailbox closed.\r\n";
  }
  if (arguments.condstore) session.enable_condstore();
  auto store = session.user().store();
  if (!store) co_return refusal(store.error());
  auto mailbox = (*store)->open_mailbox(arguments.mailbox);
  if (!mailbox) co_return refusal(mailbox.error());
  if (auto opened = open_view(session, *mailbox, arguments.examine); !opened) {
    session.drop_selected();
    co_return refusal(opened.error());
  }
  if (arguments.qresync) {
    auto told = co_await resynchronize(session, *arguments.qresync);
    if (!told) co_return std::unexpected(told.error());
    if (told->condition != Condition::kOk) {
      session.drop_selected();
      co_return *told;
    }
  }
  if (arguments.examine) co_return ok("[READ-ONLY] Examine completed.");
  co_return ok("[READ-WRITE] Select completed.");
}

Answer run(Session& session, const Close&) {
  Selected& box = *session.selected();
  std::string text = "Close completed.";
  store::Mailbox mailbox = box.mailbox;
  UidSet gone;
  if (!box.read_only) {
    auto expunged = box.mailbox.expunge_deleted();
    if (!expunged) co_return refusal(expunged.error());
    if (!expunged->uids.empty()) {
      session.tell_others(box.mailbox);
      for (uint32_t uid : expunged->uids) gone.add(uid);
      if (session.condstore()) {
        text = fmt::format("[HIGHESTMODSEQ {}] Close completed.", expunged->highest_mod_seq);
      }
    }
  }
  session.drop_selected();
  if (!gone.empty()) session.made(mailbox, gone);
  co_return ok(text);
}

Answer run(Session& session, const Unselect&) {
  session.drop_selected();
  co_return ok("Unselect completed.");
}

}  // namespace dormouse::imap
