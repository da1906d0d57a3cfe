// SEARCH and UID SEARCH (RFC 3501 6.4.4) with ESEARCH (RFC 4731), SEARCHRES (RFC 5182), WITHIN
// (RFC 5032) and MODSEQ (RFC 7162).

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "imap/commands/commands.h"
#include "imap/commands/search_content.h"
#include "imap/commands/search_program.h"
#include "imap/syntax/writer.h"
#include "imap/try.h"

namespace dormouse::imap {
namespace {

// The messages found, and what the answer says of mod-sequences.
struct Found {
  UidSet uids;
  uint64_t highest_mod_seq = 0;
  uint64_t first_mod_seq = 0;
  uint64_t last_mod_seq = 0;

  void add(const store::Message& row) {
    if (uids.empty()) first_mod_seq = row.mod_seq;
    last_mod_seq = row.mod_seq;
    highest_mod_seq = std::max(highest_mod_seq, row.mod_seq);
    uids.add(row.uid);
  }
};

// One batch of candidates through both passes.
io::Task<Result<void>> search_batch(Session* session, const SearchProgram* program,
                                    std::vector<uint32_t> batch, Found* found) {
  Selected& box = *session->selected();
  auto rows = box.mailbox.messages(std::span<const uint32_t>(batch));
  if (!rows) co_return Result<void>{};
  Findings findings(box.mailbox);
  for (const store::Message& row : *rows) {
    bool recent = box.recent.contains(row.uid);
    Truth matches = program->evaluate(row, recent, nullptr);
    if (matches == Truth::kUnknown) {
      std::optional<std::string> blob;
      if (auto cached = box.mailbox.cached(row.uid); cached) blob = std::move(*cached);
      MessageSource source(*session, box.mailbox, row, std::move(blob), findings);
      Content content;
      auto looked = co_await look_into(&source, &program->content_keys(), &content);
      if (!looked && looked.error().kind == ErrorKind::kCancelled) {
        co_return std::unexpected(looked.error());
      }
      // A message that is gone or cannot be read has no text.
      if (looked) matches = program->evaluate(row, recent, &content);
    }
    if (matches == Truth::kYes) found->add(row);
  }
  findings.keep();
  co_return Result<void>{};
}

// RFC 5182 2.1: with MIN or MAX alone, only those are saved.
UidSet to_save(const Found& found, SearchReturn options) {
  bool all =
      (options & (kReturnAll | kReturnCount)) != 0 || (options & (kReturnMin | kReturnMax)) == 0;
  if (all || found.uids.empty()) return found.uids;
  UidSet saved;
  if ((options & kReturnMin) != 0) saved.add(found.uids.min());
  if ((options & kReturnMax) != 0) saved.add(found.uids.max());
  return saved;
}

// RFC 7162 3.1.5: the highest of what is returned.
uint64_t mod_seq_of(const Found& found, SearchReturn options) {
  if ((options & (kReturnAll | kReturnCount)) != 0) return found.highest_mod_seq;
  bool min = (options & kReturnMin) != 0;
  bool max = (options & kReturnMax) != 0;
  if (min && max) return std::max(found.first_mod_seq, found.last_mod_seq);
  if (min) return found.first_mod_seq;
  if (max) return found.last_mod_seq;
  return found.highest_mod_seq;
}

void put_found(Session& session, const Command& command, const Search& search, const Found& found) {
  std::string& out = session.out().text();
  UidSet numbers = search.uid ? found.uids : session.selected()->view.sequences(found.uids);
  if (!search.return_options) {
    put_search_response(out, numbers, search.has_mod_seq ? found.highest_mod_seq : 0);
    return;
  }
  SearchReturn options = *search.return_options;
  // SAVE alone: nothing is said (RFC 5182 2.1).
  if ((options & ~kReturnSave) == 0) return;
  put_esearch_response(out, command.tag, search.uid, options, numbers,
                       search.has_mod_seq ? mod_seq_of(found, options) : 0);
}

}  // namespace

Answer run_search(Session& session, const Command& command) {
  const Search& search = *command.as<Search>();
  Selected& box = *session.selected();
  bool save = search.return_options && (*search.return_options & kReturnSave) != 0;
  if (search.has_mod_seq) session.enable_condstore();
  auto keywords = box.mailbox.keywords();
  if (!keywords) co_return refusal(keywords.error());
  auto program = SearchProgram::compile(search, box, std::move(*keywords), std::time(nullptr));
  if (!program) {
    if (save) box.saved_search.clear();
    co_return no(program.error());
  }
  Found found;
  uint32_t after = 0;
  while (true) {
    auto batch = box.view.next(program->candidates(), after, kBatchMessages);
    if (batch.empty()) break;
    after = batch.back();
    IMAP_CO_TRY(co_await search_batch(&session, &*program, std::move(batch), &found));
    if (auto rested = co_await session.loop().yield(); !rested) {
      co_return std::unexpected(rested.error());
    }
  }
  if (save) box.saved_search = to_save(found, *search.return_options);
  put_found(session, command, search, found);
  co_return ok("Search completed.");
}

}  // namespace dormouse::imap
