#pragma once
// The second pass of SEARCH: looks for all texts in one message, in pieces.

#include "imap/commands/message_source.h"
#include "imap/commands/search_program.h"

namespace dormouse::imap {

// Fills `content` for the keys. Unreadable or gone (kNotFound) messages fail.
io::Task<Result<void>> look_into(MessageSource* source, const std::vector<ContentKey>* keys,
                                 Content* content);

}  // namespace dormouse::imap
