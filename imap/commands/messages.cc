// EXPUNGE, UID EXPUNGE (RFC 4315), COPY, MOVE (RFC 6851), STORE (RFC 7162 3.1.3).

#include <fmt/format.h>

#include <algorithm>

#include "imap/commands/commands.h"
#include "imap/syntax/writer.h"
#include "imap/try.h"

namespace dormouse::imap {
namespace {

// UIDs of one store call: a rename each, some 10 ms in all, and then other sessions get their turn.
constexpr size_t kStoreBatch = 1000;

std::vector<uint32_t> all_of(const View& view, const UidSet& uids) {
  return view.next(uids, 0, SIZE_MAX);
}

UidSet to_set(std::span<const uint32_t> uids) {
  UidSet set;
  for (uint32_t uid : uids) set.add(uid);
  return set;
}

}  // namespace

Answer run(Session& session, const Expunge& arguments) {
  Selected& box = *session.selected();
  std::optional<std::vector<uint32_t>> only;
  if (arguments.uids) {
    auto named = resolve(session, *arguments.uids, true);
    only = all_of(box.view, *named);
  }
  auto expunged = only ? box.mailbox.expunge_deleted(std::span<const uint32_t>(*only))
                       : box.mailbox.expunge_deleted();
  if (!expunged) co_return refusal(expunged.error());
  if (!expunged->uids.empty()) session.tell_others(box.mailbox);
  if (!expunged->failed.empty()) co_return no("Some messages could not be expunged.");
  if (session.qresync() && !expunged->uids.empty()) {
    co_return ok(fmt::format("[HIGHESTMODSEQ {}] Expunge completed.", expunged->highest_mod_seq));
  }
  co_return ok("Expunge completed.");
}

Answer run(Session& session, const Copy& arguments) {
  Selected& box = *session.selected();
  auto uids = resolve(session, arguments.messages, arguments.uid);
  if (!uids) co_return bad_sequence();
  auto store = session.user().store();
  if (!store) co_return refusal(store.error());
  auto target = (*store)->open_mailbox(arguments.mailbox);
  if (!target && target.error().kind == ErrorKind::kNotFound) {
    co_return no("[TRYCREATE] No such mailbox.");
  }
  if (!target) co_return refusal(target.error());
  std::vector<uint32_t> messages = all_of(box.view, *uids);
  std::string_view name = arguments.move ? "Move completed." : "Copy completed.";
  if (messages.empty() && !uids->empty() && !arguments.uid) {
    co_return no("[EXPUNGEISSUED] The messages are gone.");
  }
  if (messages.empty()) co_return ok(std::string(name));
  auto copied =
      arguments.move ? box.mailbox.move(messages, *target) : box.mailbox.copy(messages, *target);
  if (!copied) co_return refusal(copied.error());
  session.tell_others(*target);
  session.made(*target, to_set(copied->to_uids));
  if (arguments.move) session.tell_others(box.mailbox);
  bool some_gone = copied->from_uids.size() < uids->count();
  if (copied->from_uids.empty()) co_return no("[EXPUNGEISSUED] The messages are gone.");
  std::string code = "[";
  put_copyuid(code, copied->uid_validity, to_set(copied->from_uids), to_set(copied->to_uids));
  code += "] ";
  if (arguments.move) {
    // Before the EXPUNGEs, untagged (RFC 6851 4.3).
    session.out().text() += fmt::format("* OK {}Moved.\r\n", code);
    code.clear();
  }
  if (some_gone && !arguments.uid) {
    co_return no("[EXPUNGEISSUED] Some messages were gone; the others are done.");
  }
  co_return ok(code + std::string(name));
}

namespace {

// What a STORE has found out over its batches.
struct StoreOutcome {
  UidSet modified;
  bool missing = false;
};

void say_stored(Session& session, const Store& arguments, const store::StoreFlagsResult& result) {
  Selected& box = *session.selected();
  // A silent STORE still owes a CONDSTORE client the new mod-sequence (RFC 7162 3.1.3).
  bool flags = !arguments.silent;
  bool mod_seq = session.condstore();
  if (!flags && !mod_seq) return;
  for (const store::Message& message : result.messages) {
    auto sequence = box.view.sequence_of(message.uid);
    if (!sequence) continue;
    FetchLine line(session.out().text(), *sequence);
    if (arguments.uid || session.qresync()) put_fetch_uid(line.item(), message.uid);
    if (flags) {
      put_fetch_flags(line.item(),
                      to_flag_list(message, box.keywords, box.recent.contains(message.uid)));
    }
    if (mod_seq) put_fetch_mod_seq(line.item(), message.mod_seq);
    line.end();
  }
}

}  // namespace

Answer run(Session& session, const Store& arguments) {
  Selected& box = *session.selected();
  auto uids = resolve(session, arguments.messages, arguments.uid);
  if (!uids) co_return bad_sequence();
  if (arguments.unchanged_since) session.enable_condstore();
  store::FlagsChange change;
  change.mode = arguments.mode == StoreMode::kAdd      ? store::FlagsMode::kAdd
                : arguments.mode == StoreMode::kRemove ? store::FlagsMode::kRemove
                                                       : store::FlagsMode::kReplace;
  change.flags = to_store_flags(arguments.flags.system);
  change.keywords = arguments.flags.keywords;
  change.unchanged_since = arguments.unchanged_since;
  StoreOutcome outcome;
  uint32_t after = 0;
  while (true) {
    auto batch = box.view.next(*uids, after, kStoreBatch);
    if (batch.empty()) break;
    after = batch.back();
    // What others changed is told first: a silent STORE says nothing of the flags it met.
    auto said = co_await session.report_changes(false);
    if (!said) co_return std::unexpected(said.error());
    auto stored = box.mailbox.store_flags(batch, change);
    if (!stored) co_return refusal(stored.error());
    if (!stored->changed.empty()) {
      box.own_mod_seqs.push_back(stored->highest_mod_seq);
      session.tell_others(box.mailbox);
    }
    store::Keywords used;
    for (const store::Message& message : stored->messages) used |= message.keywords;
    if (auto told = session.announce_keywords(used); !told) co_return refusal(told.error());
    say_stored(session, arguments, *stored);
    outcome.modified.add(to_set(stored->modified));
    outcome.missing = outcome.missing || !stored->missing.empty();
    if (session.out().full()) IMAP_CO_TRY(co_await session.out().drain());
    if (auto rested = co_await session.loop().yield(); !rested) {
      co_return std::unexpected(rested.error());
    }
  }
  if (!outcome.modified.empty()) {
    UidSet named = arguments.uid ? outcome.modified : box.view.sequences(outcome.modified);
    co_return ok(fmt::format("[MODIFIED {}] Conditional store failed for some.", named.format()));
  }
  bool missing = outcome.missing || !box.view.unreported().intersect(*uids).empty();
  if (missing && !arguments.uid) {
    co_return no("[EXPUNGEISSUED] Some messages were gone; the others are done.");
  }
  co_return ok("Store completed.");
}

}  // namespace dormouse::imap
