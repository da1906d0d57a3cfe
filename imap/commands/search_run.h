#pragma once
// Rows of a mailbox through both passes of a search: for SEARCH and SORT, and for what changed
// under a context.

#include <vector>

#include "imap/commands/search_program.h"
#include "io/loop.h"

namespace dormouse::imap {

struct SearchPlace {
  io::Loop* loop;
  store::Mailbox mailbox;
  const UidSet* recent;  // of the session
};

// Those of `rows` (ascending by UID) that match. Messages that are gone or cannot be read have no
// text.
io::Task<Result<std::vector<store::Message>>> matching(SearchPlace place,
                                                       const SearchProgram* program,
                                                       std::vector<store::Message> rows);

}  // namespace dormouse::imap
