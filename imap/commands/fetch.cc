// FETCH and UID FETCH (RFC 3501 6.4.5, 7.4.2; RFC 7162 for CHANGEDSINCE and VANISHED; RFC 9394 for
// PARTIAL). Literals are streamed: a body of any size passes through one piece of memory.

#include <fmt/format.h>

#include <algorithm>

#include "imap/commands/body_writer.h"
#include "imap/commands/commands.h"
#include "imap/commands/message_source.h"
#include "imap/syntax/structure_writer.h"
#include "imap/syntax/writer.h"
#include "imap/try.h"
#include "role/log.h"

namespace dormouse::imap {
namespace {

bool is_whole(const FetchBody& body) {
  return body.section.part.empty() && body.section.kind == mime::SectionKind::kAll;
}

class Fetcher {
 public:
  Fetcher(Session& session, const Fetch& arguments)
      : session_(session), arguments_(arguments), box_(*session.selected()) {
    items_ = arguments.items;
    if (arguments.uid) items_ |= kFetchUid;
    if (arguments.changed_since) items_ |= kFetchModSeq;
    constexpr FetchItems kOfStructure = kFetchEnvelope | kFetchBodyStructure | kFetchBody;
    needs_structure_ =
        (items_ & kOfStructure) != 0 ||
        !std::ranges::all_of(arguments.bodies, [](const auto& body) { return is_whole(body); });
    sets_seen_ = !box_.read_only &&
                 std::ranges::any_of(arguments.bodies, [](const auto& body) { return !body.peek; });
  }

  io::Task<Result<void>> batch(std::vector<uint32_t> uids);
  bool missing() const { return missing_; }
  bool failed() const { return failed_; }

 private:
  io::Task<Result<void>> message(MessageSource* source, bool seen_now);
  io::Task<Result<void>> put_message(MessageSource* source, uint32_t sequence, bool seen_now);
  // Sets \Seen on those of `rows` without it, and brings the rows up to date. Answers the UIDs.
  Result<UidSet> mark_seen(std::vector<store::Message>& rows);
  // Whether the message can be told now. False: gone or unreadable.
  io::Task<Result<bool>> ready(MessageSource* source);

  Session& session_;
  const Fetch& arguments_;
  Selected& box_;
  FetchItems items_ = 0;
  bool needs_structure_ = false;
  bool sets_seen_ = false;
  bool missing_ = false;
  bool failed_ = false;
};

Result<UidSet> Fetcher::mark_seen(std::vector<store::Message>& rows) {
  UidSet marked;
  std::vector<uint32_t> unseen;
  for (const store::Message& row : rows) {
    if (!row.flags.has(store::Flags::kSeen)) unseen.push_back(row.uid);
  }
  if (unseen.empty()) return marked;
  store::FlagsChange change;
  change.flags.bits = store::Flags::kSeen;
  auto stored = box_.mailbox.store_flags(unseen, change);
  if (!stored) return std::unexpected(stored.error());
  if (stored->changed.empty()) return marked;
  box_.own_mod_seqs.push_back(stored->highest_mod_seq);
  session_.tell_others(box_.mailbox);
  auto row = rows.begin();
  for (const store::Message& now : stored->messages) {
    row = std::ranges::find(row, rows.end(), now.uid, &store::Message::uid);
    if (row == rows.end()) break;
    *row = now;
    marked.add(now.uid);
  }
  return marked;
}

io::Task<Result<void>> Fetcher::batch(std::vector<uint32_t> uids) {
  auto rows = box_.mailbox.messages(uids);
  if (!rows) {
    failed_ = true;
    co_return Result<void>{};
  }
  missing_ = missing_ || rows->size() < uids.size();
  if (arguments_.changed_since) {
    std::erase_if(*rows, [&](const auto& row) { return row.mod_seq <= *arguments_.changed_since; });
  }
  UidSet seen_now;
  if (sets_seen_) {
    auto marked = mark_seen(*rows);
    // The bodies are given all the same: a mailbox that cannot be written can be read.
    if (marked) seen_now = std::move(*marked);
  }
  std::vector<std::pair<uint32_t, std::string>> blobs;
  if (needs_structure_) {
    std::vector<uint32_t> wanted;
    for (const auto& row : *rows) wanted.push_back(row.uid);
    if (auto cached = box_.mailbox.cached(std::span<const uint32_t>(wanted)); cached) {
      blobs = std::move(*cached);
    }
  }
  Findings findings(box_.mailbox);
  auto blob = blobs.begin();
  for (const store::Message& row : *rows) {
    while (blob != blobs.end() && blob->first < row.uid) ++blob;
    std::optional<std::string> kept;
    if (blob != blobs.end() && blob->first == row.uid) kept = std::move(blob->second);
    MessageSource source(session_.loop(), box_.mailbox, row, std::move(kept), findings);
    IMAP_CO_TRY(co_await message(&source, seen_now.contains(row.uid)));
  }
  findings.keep();
  co_return Result<void>{};
}

io::Task<Result<bool>> Fetcher::ready(MessageSource* source) {
  Result<void> got;
  if (needs_structure_) {
    got = co_await source->need_structure();
  } else if ((items_ & kFetchSize) != 0 || !arguments_.bodies.empty()) {
    got = co_await source->need_size();
  }
  // Opened before the first octet is promised.
  if (got && !arguments_.bodies.empty()) got = co_await source->reader().open();
  if (got) co_return true;
  if (got.error().kind == ErrorKind::kCancelled) co_return std::unexpected(got.error());
  if (got.error().kind == ErrorKind::kNotFound) {
    missing_ = true;
  } else {
    failed_ = true;
    role::log_warning("message-unreadable", {{"user", session_.user().name()},
                                             {"mailbox", box_.name},
                                             {"uid", source->row().uid},
                                             {"reason", got.error().message}});
  }
  co_return false;
}

io::Task<Result<void>> Fetcher::message(MessageSource* source, bool seen_now) {
  auto sequence = box_.view.sequence_of(source->row().uid);
  if (!sequence) co_return Result<void>{};
  auto can = co_await ready(source);
  if (!can) co_return std::unexpected(can.error());
  if (!*can) co_return Result<void>{};
  if ((items_ & kFetchFlags) != 0 || seen_now) {
    if (auto told = session_.announce_keywords(source->row().keywords); !told) failed_ = true;
  }
  IMAP_CO_TRY(co_await put_message(source, *sequence, seen_now));
  if (session_.out().full()) IMAP_CO_TRY(co_await session_.out().drain());
  co_return Result<void>{};
}

io::Task<Result<void>> Fetcher::put_message(MessageSource* source, uint32_t sequence,
                                            bool seen_now) {
  const store::Message& row = source->row();
  FetchLine line(session_.out().text(), sequence);
  if ((items_ & kFetchUid) != 0) put_fetch_uid(line.item(), row.uid);
  if ((items_ & kFetchFlags) != 0 || seen_now) {
    put_fetch_flags(line.item(), to_flag_list(row, box_.keywords, box_.recent.contains(row.uid)));
  }
  if ((items_ & kFetchModSeq) != 0 || (seen_now && session_.condstore())) {
    put_fetch_mod_seq(line.item(), row.mod_seq);
  }
  if ((items_ & kFetchInternalDate) != 0) {
    put_fetch_internal_date(line.item(), DateTime{row.internal_date_s, 0});
  }
  if ((items_ & kFetchSize) != 0) put_fetch_size(line.item(), source->octets());
  if ((items_ & kFetchEnvelope) != 0) {
    line.item() += "ENVELOPE ";
    put_envelope(session_.out().text(), source->structure().envelope);
  }
  if ((items_ & kFetchBodyStructure) != 0) {
    line.item() += "BODYSTRUCTURE ";
    put_body_structure(session_.out().text(), source->structure(), true);
  }
  if ((items_ & kFetchBody) != 0) {
    line.item() += "BODY ";
    put_body_structure(session_.out().text(), source->structure(), false);
  }
  for (const FetchBody& body : arguments_.bodies) {
    put_fetch_body_name(line.item(), body);
    mime::Range range;
    if (is_whole(body)) {
      range = source->whole();
    } else if (auto found = mime::find_section(source->structure(), body.section); found) {
      range = *found;
    } else {
      session_.out().text() += "NIL";
      continue;
    }
    IMAP_CO_TRY(co_await put_body(session_.out(), source->reader(), body, range));
  }
  line.end();
  co_return Result<void>{};
}

}  // namespace

io::Task<Result<void>> fetch_arrived(Session& session, Fetch wanted, std::vector<uint32_t> uids) {
  wanted.items |= kFetchUid;
  Fetcher fetcher(session, wanted);
  for (size_t at = 0; at < uids.size(); at += kBatchMessages) {
    size_t end = std::min(at + kBatchMessages, uids.size());
    std::vector<uint32_t> batch(uids.begin() + ptrdiff_t(at), uids.begin() + ptrdiff_t(end));
    IMAP_CO_TRY(co_await fetcher.batch(std::move(batch)));
  }
  co_return Result<void>{};
}

Answer run(Session& session, const Fetch& arguments) {
  if (arguments.vanished && (!arguments.uid || !session.qresync() || !arguments.changed_since)) {
    co_return bad("VANISHED needs UID FETCH, CHANGEDSINCE and QRESYNC enabled.");
  }
  auto uids = resolve(session, arguments.messages, arguments.uid);
  if (!uids) co_return bad_sequence();
  if (arguments.changed_since || (arguments.items & kFetchModSeq) != 0) {
    session.enable_condstore();
  }
  Selected& box = *session.selected();
  if (arguments.vanished) {
    UidSet named = arguments.messages.resolve(box.uid_next - 1, &box.saved_search);
    auto vanished = vanished_since(box, *arguments.changed_since, named);
    if (!vanished) co_return refusal(vanished.error());
    put_vanished_response(session.out().text(), true, *vanished);
  }
  Fetcher fetcher(session, arguments);
  uint32_t after = 0;
  bool all_known = box.view.unreported().intersect(*uids).empty();
  if (arguments.partial) {
    // Counted before CHANGEDSINCE picks from them (RFC 9394 3.4).
    uids->remove(box.view.unreported());
    auto [begin, end] = arguments.partial->within(uids->count());
    *uids = uids->slice(begin, end);
  }
  while (true) {
    auto batch = box.view.next(*uids, after, kBatchMessages);
    if (batch.empty()) break;
    after = batch.back();
    IMAP_CO_TRY(co_await fetcher.batch(std::move(batch)));
    if (auto rested = co_await session.loop().yield(); !rested) {
      co_return std::unexpected(rested.error());
    }
  }
  if (fetcher.failed()) co_return no("[SERVERBUG] Some messages could not be read.");
  bool missing = fetcher.missing() || !all_known;
  if (missing && !arguments.uid) co_return no("[EXPUNGEISSUED] Some messages are gone.");
  co_return ok("Fetch completed.");
}

}  // namespace dormouse::imap
