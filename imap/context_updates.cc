#include "imap/context_updates.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>

#include "imap/commands/commands.h"
#include "imap/try.h"

namespace dormouse::imap {
namespace {

// Messages in one ESEARCH response: 20 bytes each at the worst, so a response fits a piece of
// output.
constexpr size_t kChangesPerResponse = 1000;

// Where new messages belong in an order that holds already.
class Insertion {
 public:
  Insertion(SearchPlace place, const SortOrder& order, std::vector<uint32_t>& uids)
      : place_(place), order_(order), uids_(uids) {}

  // Puts it into the order, not before index `from`; answers the index.
  io::Task<Result<size_t>> insert(const SortValues* values, size_t from);
  void know(const SortValues& values) { known_.emplace(values.uid, values); }

 private:
  // nullptr: the message is gone, and so belongs anywhere.
  io::Task<Result<const SortValues*>> values_of(uint32_t uid);

  SearchPlace place_;
  const SortOrder& order_;
  std::vector<uint32_t>& uids_;
  std::map<uint32_t, std::optional<SortValues>> known_;  // bounded by kContextSortedMax
  size_t read_ = 0;
};

io::Task<Result<const SortValues*>> Insertion::values_of(uint32_t uid) {
  auto known = known_.find(uid);
  if (known == known_.end()) {
    if (++read_ % kBatchMessages == 0) {
      if (auto rested = co_await place_.loop->yield(); !rested) {
        co_return std::unexpected(rested.error());
      }
    }
    auto read = co_await sort_values(place_.loop, place_.mailbox, &order_, {uid});
    if (!read) co_return std::unexpected(read.error());
    known = known_.emplace(uid, std::nullopt).first;
    if (!read->empty()) known->second = std::move(read->front());
  }
  co_return known->second ? &*known->second : nullptr;
}

io::Task<Result<size_t>> Insertion::insert(const SortValues* values, size_t from) {
  size_t low = from;
  size_t high = uids_.size();
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    size_t probe = middle;
    const SortValues* there = nullptr;
    for (; probe < high && there == nullptr; ++probe) {
      auto read = co_await values_of(uids_[probe]);
      if (!read) co_return std::unexpected(read.error());
      there = *read;
    }
    if (there != nullptr && order_.before(*there, *values)) {
      low = probe;  // one past what was compared
    } else {
      high = middle;
    }
  }
  uids_.insert(uids_.begin() + ptrdiff_t(low), values->uid);
  co_return low;
}

}  // namespace

Result<> ContextUpdates::prepare() {
  auto keywords = place_.mailbox.keywords();
  if (!keywords) return std::unexpected(keywords.error());
  for (const Context& context : contexts_) {
    Update& update = updates_.emplace_back();
    auto search = read_program(context.program);
    DORMOUSE_CHECK(search, "a context's program was frozen by this code or checked in decoding");
    update.search = std::move(*search);
    auto program = SearchProgram::compile(update.search, nullptr, *keywords, context.now_s);
    DORMOUSE_CHECK(program, "a frozen program is in a charset of ours");
    update.program = std::move(*program);
  }
  return {};
}

io::Task<Result<void>> ContextUpdates::find(const store::Changes* changes) {
  for (size_t i = 0; i < contexts_.size(); ++i) IMAP_CO_TRY(co_await find_one(i, changes));
  co_return Result<void>{};
}

io::Task<Result<UidSet>> ContextUpdates::matches(size_t index,
                                                 const std::vector<store::Message>* rows) {
  UidSet found;
  for (size_t at = 0; at < rows->size(); at += kBatchMessages) {
    auto first = rows->begin() + ptrdiff_t(at);
    auto last = first + ptrdiff_t(std::min(kBatchMessages, rows->size() - at));
    auto batch = co_await matching(place_, &updates_[index].program, {first, last});
    if (!batch) co_return std::unexpected(batch.error());
    for (const store::Message& row : *batch) found.add(row.uid);
    if (last == rows->end()) break;
    if (auto rested = co_await place_.loop->yield(); !rested) {
      co_return std::unexpected(rested.error());
    }
  }
  co_return found;
}

io::Task<Result<void>> ContextUpdates::find_one(size_t index, const store::Changes* changes) {
  Context& context = contexts_[index];
  UidSet gone;
  for (const store::Expunged& message : changes->expunged) {
    if (context.found.contains(message.uid)) gone.add(message.uid);
  }
  UidSet came;
  if (updates_[index].program.depends_on_flags()) {
    auto match = co_await matches(index, &changes->changed);
    if (!match) co_return std::unexpected(match.error());
    for (const store::Message& message : changes->changed) {
      bool was = context.found.contains(message.uid);
      bool is = match->contains(message.uid);
      if (was && !is) gone.add(message.uid);
      if (is && !was) came.add(message.uid);
    }
  }
  auto match = co_await matches(index, &changes->arrived);
  if (!match) co_return std::unexpected(match.error());
  came.add(*match);
  came.remove(context.found);
  remove(context, updates_[index], gone);
  co_return co_await add(index, std::move(came));
}

void ContextUpdates::remove(Context& context, Update& update, const UidSet& gone) {
  if (gone.empty()) return;
  any_ = true;
  context.found.remove(gone);
  if (update.search.order.empty()) {
    gone.each([&](uint32_t uid) {
      update.removed.push_back({0, uid});
      return true;
    });
    return;
  }
  std::vector<uint32_t> kept;
  kept.reserve(context.order.size());
  for (uint32_t uid : context.order) {
    if (gone.contains(uid)) {
      update.removed.push_back({uint32_t(kept.size()) + 1, uid});
    } else {
      kept.push_back(uid);
    }
  }
  context.order = std::move(kept);
}

io::Task<Result<std::vector<SortValues>>> ContextUpdates::sorted_values(const SortOrder* order,
                                                                        UidSet uids) {
  std::vector<SortValues> all;
  for (uint64_t at = 0; at < uids.count(); at += kBatchMessages) {
    std::vector<uint32_t> batch;
    uids.slice(at, at + kBatchMessages).each([&](uint32_t uid) {
      batch.push_back(uid);
      return true;
    });
    auto values = co_await sort_values(place_.loop, place_.mailbox, order, std::move(batch));
    if (!values) co_return std::unexpected(values.error());
    std::ranges::move(*values, std::back_inserter(all));
    if (at + kBatchMessages >= uids.count()) break;
    if (auto rested = co_await place_.loop->yield(); !rested) {
      co_return std::unexpected(rested.error());
    }
  }
  std::ranges::sort(all, [&](const auto& a, const auto& b) { return order->before(a, b); });
  co_return all;
}

io::Task<Result<void>> ContextUpdates::add(size_t index, UidSet uids) {
  if (uids.empty()) co_return Result<void>{};
  any_ = true;
  Context& context = contexts_[index];
  Update& update = updates_[index];
  if (update.search.order.empty()) {
    context.found.add(uids);
    uids.each([&](uint32_t uid) {
      update.added.push_back({0, uid});
      return true;
    });
    co_return Result<void>{};
  }
  if (context.order.size() + uids.count() > kContextSortedMax) {
    update.too_long = true;
    co_return Result<void>{};
  }
  SortOrder order(update.search.order);
  auto values = co_await sorted_values(&order, std::move(uids));
  if (!values) co_return std::unexpected(values.error());
  Insertion insertion(place_, order, context.order);
  size_t from = 0;
  for (const SortValues& one : *values) {
    auto at = co_await insertion.insert(&one, from);
    if (!at) co_return std::unexpected(at.error());
    insertion.know(one);
    context.found.add(one.uid);
    update.added.push_back({uint32_t(*at) + 1, one.uid});
    from = *at + 1;
  }
  co_return Result<void>{};
}

io::Task<Result<void>> ContextUpdates::say(size_t index, bool added) {
  const Update& update = updates_[index];
  std::span<const ResultChange> steps = added ? update.added : update.removed;
  while (!steps.empty()) {
    auto some = steps.first(std::min(steps.size(), kChangesPerResponse));
    steps = steps.subspan(some.size());
    EsearchLine line(out_.text(), contexts_[index].tag, update.search.uid);
    added ? line.added(some) : line.removed(some);
    line.end();
    if (out_.full()) IMAP_CO_TRY(co_await out_.drain());
  }
  co_return Result<void>{};
}

io::Task<Result<void>> ContextUpdates::say_removed() {
  for (size_t i = 0; i < updates_.size(); ++i) IMAP_CO_TRY(co_await say(i, false));
  co_return Result<void>{};
}

io::Task<Result<void>> ContextUpdates::say_added() {
  for (size_t i = 0; i < updates_.size(); ++i) IMAP_CO_TRY(co_await say(i, true));
  for (size_t i = updates_.size(); i-- > 0;) {
    if (!updates_[i].too_long) continue;
    put_no_update(out_.text(), contexts_[i].tag);
    contexts_.erase(contexts_.begin() + ptrdiff_t(i));
  }
  updates_.clear();
  co_return Result<void>{};
}

}  // namespace dormouse::imap
