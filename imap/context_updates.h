#pragma once
// What a change of the mailbox means to a session's contexts (RFC 5267 4.3), whether the session is
// awake or only being refreshed. In this order:
//
//   prepare() . find() . FETCHes and number_removed(), say_removed() . EXPUNGEs, EXISTS .
//   number_added(), say_added()
//
// as what leaves must be told before EXPUNGE and what arrived after EXISTS. The contexts are up to
// date after say_added(). Only what changed is looked at; a SORT reads of the others as many as it
// takes to find a place (the logarithm), and only those.

#include <vector>

#include "imap/commands/search_run.h"
#include "imap/commands/sort_keys.h"
#include "imap/context.h"
#include "imap/output.h"
#include "imap/syntax/writer.h"

namespace dormouse::imap {

class ContextUpdates {
 public:
  // All outlive it.
  ContextUpdates(std::vector<Context>& contexts, SearchPlace place, Output& out)
      : contexts_(contexts), place_(place), out_(out) {}

  // Reads the programs. An Error of the store's: nothing has happened yet.
  Result<> prepare();
  io::Task<Result<void>> find(const store::Changes* changes);

  // `number` tells the sequence number of a UID, as the client counts at that moment.
  template <class Number>
  void number_removed(Number number) {
    for (Update& update : updates_) apply(update, update.removed, number);
  }
  template <class Number>
  void number_added(Number number) {
    for (Update& update : updates_) apply(update, update.added, number);
  }
  io::Task<Result<void>> say_removed();
  io::Task<Result<void>> say_added();
  bool any() const { return any_; }  // whether something was to be said

 private:
  using Steps = std::vector<ResultChange>;  // their numbers are UIDs until number_...()
  struct Update {
    Search search;
    SearchProgram program;
    Steps removed;
    Steps added;
    bool too_long = false;
  };
  template <class Number>
  static void apply(const Update& update, Steps& steps, Number number) {
    if (update.search.uid) return;
    for (ResultChange& step : steps) step.number = number(step.number);
  }

  io::Task<Result<void>> find_one(size_t index, const store::Changes* changes);
  // Of `rows`, the UIDs that match.
  io::Task<Result<UidSet>> matches(size_t index, const std::vector<store::Message>* rows);
  void remove(Context& context, Update& update, const UidSet& gone);
  io::Task<Result<void>> add(size_t index, UidSet uids);
  // Of `uids`, in that order.
  io::Task<Result<std::vector<SortValues>>> sorted_values(const SortOrder* order, UidSet uids);
  io::Task<Result<void>> say(size_t index, bool added);

  std::vector<Context>& contexts_;
  SearchPlace place_;
  Output& out_;
  std::vector<Update> updates_;  // pairwise with contexts_
  bool any_ = false;
};

}  // namespace dormouse::imap
