// SEARCH and SORT, and their UID forms (RFC 3501 6.4.4, 5256) with ESEARCH and ESORT (RFC 4731,
// 5267 3), SEARCHRES (5182), PARTIAL (9394), WITHIN (5032) and MODSEQ (7162); UPDATE makes a
// context of one, CANCELUPDATE ends it (5267 4.3).

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "imap/commands/commands.h"
#include "imap/commands/search_run.h"
#include "imap/commands/sort_keys.h"
#include "imap/syntax/writer.h"
#include "imap/try.h"

namespace dormouse::imap {
namespace {

// What one SORT may take of memory for comparing: 400,000 messages by date and subject.
constexpr size_t kSortBytesMax = 64 * 1024 * 1024;

// The messages found, and what the answer says of mod-sequences.
struct Found {
  UidSet uids;
  std::vector<uint32_t> order;  // SORT: of `uids`
  uint64_t highest_mod_seq = 0;
  std::vector<std::pair<uint32_t, uint64_t>> mod_seqs;  // ascending UID; where the answer needs it
};

UidSet to_set(std::span<const uint32_t> order) {
  std::vector<uint32_t> uids(order.begin(), order.end());
  std::ranges::sort(uids);
  UidSet set;
  for (uint32_t uid : uids) set.add(uid);
  return set;
}

class Searching {
 public:
  Searching(Session& session, const Command& command)
      : session_(session),
        command_(command),
        search_(*command.as<Search>()),
        options_(search_.return_options.value_or(0)),
        box_(*session.selected()),
        saved_before_(box_.saved_search),
        now_s_(std::time(nullptr)) {}

  // nullopt: found; else the answer instead.
  io::Task<Result<std::optional<Reply>>> find();
  void save();
  void put();
  // UPDATE: false where it is refused.
  bool keep_context();

 private:
  bool sorts() const { return !search_.order.empty(); }
  bool wants(SearchReturn option) const { return (options_ & option) != 0; }
  io::Task<Result<std::optional<Reply>>> run(const SearchProgram* program);
  io::Task<Result<std::optional<Reply>>> sort();
  uint32_t first() const { return sorts() ? found_.order.front() : found_.uids.min(); }
  uint32_t last() const { return sorts() ? found_.order.back() : found_.uids.max(); }
  // What PARTIAL returns, in the requested order.
  std::span<const uint32_t> partial_order() const;
  UidSet partial() const;
  // PARTIAL, MIN and MAX: what those return.
  UidSet named() const;
  uint64_t mod_seq() const;
  std::vector<uint32_t> numbers(std::span<const uint32_t> order) const;
  UidSet numbers(const UidSet& uids) const;

  Session& session_;
  const Command& command_;
  const Search& search_;
  const SearchReturn options_;
  Selected& box_;
  const UidSet saved_before_;  // "$" of the search keys
  const int64_t now_s_;
  Found found_;
};

io::Task<Result<std::optional<Reply>>> Searching::find() {
  auto keywords = box_.mailbox.keywords();
  if (!keywords) co_return refusal(keywords.error());
  auto program = SearchProgram::compile(search_, &box_, std::move(*keywords), now_s_);
  if (!program) co_return no(program.error());
  auto refused = co_await run(&*program);
  if (!refused || *refused || !sorts()) co_return refused;
  co_return co_await sort();
}

io::Task<Result<std::optional<Reply>>> Searching::run(const SearchProgram* program) {
  SearchPlace place{&session_.loop(), box_.mailbox, &box_.recent};
  uint32_t after = 0;
  while (true) {
    auto batch = box_.view.next(program->candidates(), after, kBatchMessages);
    if (batch.empty()) break;
    after = batch.back();
    auto rows = box_.mailbox.messages(std::span<const uint32_t>(batch));
    if (!rows) co_return refusal(rows.error());
    auto matches = co_await matching(place, program, std::move(*rows));
    if (!matches) co_return std::unexpected(matches.error());
    for (const store::Message& row : *matches) {
      found_.uids.add(row.uid);
      found_.highest_mod_seq = std::max(found_.highest_mod_seq, row.mod_seq);
      if (search_.has_mod_seq) found_.mod_seqs.emplace_back(row.uid, row.mod_seq);
    }
    if (auto rested = co_await session_.loop().yield(); !rested) {
      co_return std::unexpected(rested.error());
    }
  }
  co_return std::nullopt;
}

io::Task<Result<std::optional<Reply>>> Searching::sort() {
  SortOrder order(search_.order);
  std::vector<SortValues> all;
  size_t bytes = 0;
  uint32_t after = 0;
  while (true) {
    auto batch = box_.view.next(found_.uids, after, kBatchMessages);
    if (batch.empty()) break;
    after = batch.back();
    auto values = co_await sort_values(&session_.loop(), box_.mailbox, &order, std::move(batch));
    if (!values && values.error().kind == ErrorKind::kCancelled) {
      co_return std::unexpected(values.error());
    }
    if (!values) co_return refusal(values.error());
    for (SortValues& one : *values) {
      bytes += one.bytes();
      all.push_back(std::move(one));
    }
    if (bytes > kSortBytesMax) co_return no("[LIMIT] Too many messages to sort.");
    if (auto rested = co_await session_.loop().yield(); !rested) {
      co_return std::unexpected(rested.error());
    }
  }
  std::ranges::sort(all, [&](const auto& a, const auto& b) { return order.before(a, b); });
  for (const SortValues& one : all) found_.order.push_back(one.uid);
  found_.uids = to_set(found_.order);  // without those that were expunged since they were found
  co_return std::nullopt;
}

std::span<const uint32_t> Searching::partial_order() const {
  auto [begin, end] = search_.partial.within(found_.order.size());
  return std::span(found_.order).subspan(begin, end - begin);
}

UidSet Searching::partial() const {
  if (sorts()) return to_set(partial_order());
  auto [begin, end] = search_.partial.within(found_.uids.count());
  return found_.uids.slice(begin, end);
}

UidSet Searching::named() const {
  UidSet uids;
  if (wants(kReturnPartial)) uids = partial();
  if (found_.uids.empty()) return uids;
  if (wants(kReturnMin)) uids.add(first());
  if (wants(kReturnMax)) uids.add(last());
  return uids;
}

// RFC 5182 2.4, RFC 9394 3.2: with ALL, COUNT or nothing else, everything found.
void Searching::save() {
  if (!wants(kReturnSave)) return;
  bool all = wants(kReturnAll | kReturnCount) || !wants(kReturnMin | kReturnMax | kReturnPartial);
  box_.saved_search = all ? found_.uids : named();
}

// RFC 4731 3.2: the highest of what is returned.
uint64_t Searching::mod_seq() const {
  if (!search_.has_mod_seq) return 0;
  bool all = wants(kReturnAll | kReturnCount) || !wants(kReturnMin | kReturnMax | kReturnPartial);
  if (all) return found_.highest_mod_seq;
  UidSet returned = named();
  uint64_t highest = 0;
  for (const auto& [uid, mod_seq] : found_.mod_seqs) {
    if (returned.contains(uid)) highest = std::max(highest, mod_seq);
  }
  return highest;
}

std::vector<uint32_t> Searching::numbers(std::span<const uint32_t> order) const {
  std::vector<uint32_t> numbers(order.begin(), order.end());
  if (search_.uid) return numbers;
  for (uint32_t& number : numbers) number = *box_.view.sequence_of(number);
  return numbers;
}

UidSet Searching::numbers(const UidSet& uids) const {
  return search_.uid ? uids : box_.view.sequences(uids);
}

void Searching::put() {
  std::string& out = session_.out().text();
  if (!search_.return_options) {
    if (sorts()) {
      put_sort_response(out, numbers(found_.order), mod_seq());
    } else {
      put_search_response(out, numbers(found_.uids), mod_seq());
    }
    return;
  }
  // SAVE alone: nothing is said (RFC 5182 1).
  if (options_ == kReturnSave) return;
  auto number = [&](uint32_t uid) { return search_.uid ? uid : *box_.view.sequence_of(uid); };
  EsearchLine line(out, command_.tag, search_.uid);
  bool any = !found_.uids.empty();
  if (any && wants(kReturnMin)) line.number("MIN", number(first()));
  if (any && wants(kReturnMax)) line.number("MAX", number(last()));
  if (wants(kReturnCount)) line.number("COUNT", found_.uids.count());
  if (any && wants(kReturnAll)) {
    sorts() ? line.all(numbers(found_.order)) : line.all(numbers(found_.uids));
  }
  if (wants(kReturnPartial)) {
    sorts() ? line.partial(search_.partial, numbers(partial_order()))
            : line.partial(search_.partial, numbers(partial()));
  }
  if (uint64_t highest = mod_seq(); highest != 0) line.number("MODSEQ", highest);
  line.end();
}

bool uses_clock(const SearchKey& key) {
  return key.op == SearchOp::kOlder || key.op == SearchOp::kYounger ||
         std::ranges::any_of(key.children, uses_clock);
}

bool Searching::keep_context() {
  Context context;
  context.tag = command_.tag;
  context.fetch = search_.update_fetch;
  put_search_program(context.program, freeze_search(search_, box_.view, saved_before_));
  bool too_much = box_.contexts.size() >= kContextsMax || found_.order.size() > kContextSortedMax ||
                  // Too long, or too deep by the NOT that an empty set becomes.
                  !read_program(context.program);
  if (too_much) return false;
  if (uses_clock(search_.key)) context.now_s = now_s_;
  context.found = std::move(found_.uids);
  context.order = std::move(found_.order);
  box_.contexts.push_back(std::move(context));
  return true;
}

bool has_context(const Selected& box, std::string_view tag) {
  return std::ranges::any_of(box.contexts, [&](const Context& one) { return one.tag == tag; });
}

}  // namespace

Answer run_search(Session& session, const Command& command) {
  const Search& search = *command.as<Search>();
  SearchReturn options = search.return_options.value_or(0);
  bool update = (options & kReturnUpdate) != 0;
  if (update && has_context(*session.selected(), command.tag)) {
    co_return bad("Tag reuse: a context has it.");
  }
  if (search.has_mod_seq) session.enable_condstore();
  Searching searching(session, command);
  auto refused = co_await searching.find();
  if (!refused) co_return std::unexpected(refused.error());
  if (*refused) {
    // RFC 5182 2.1.
    if ((options & kReturnSave) != 0) session.selected()->saved_search.clear();
    co_return std::move(**refused);
  }
  searching.save();
  searching.put();
  std::string_view name = search.order.empty() ? "Search" : "Sort";
  if (!update) co_return ok(fmt::format("{} completed.", name));
  if (searching.keep_context()) co_return ok(fmt::format("{} completed, will notify.", name));
  put_no_update(session.out().text(), command.tag);
  co_return ok(fmt::format("{} completed, will not notify.", name));
}

Answer run(Session& session, const CancelUpdate& arguments) {
  Selected& box = *session.selected();
  bool all = true;
  for (const std::string& tag : arguments.tags) {
    all =
        std::erase_if(box.contexts, [&](const Context& one) { return one.tag == tag; }) != 0 && all;
  }
  if (!all) co_return no("No context has such a tag; the others will not be updated.");
  co_return ok("No further updates.");
}

}  // namespace dormouse::imap
