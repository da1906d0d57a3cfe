#pragma once
// The value of a BODY[...] item: a literal, streamed from the message's file.

#include "imap/message_reader.h"
#include "imap/output.h"
#include "imap/syntax/command.h"
#include "mime/section.h"

namespace dormouse::imap {

// Writes the literal for `range` (where find_section() says the section lies; for field sections,
// the header to pick from). The reader is open. A file that fails or shrinks after its length was
// promised is filled up with spaces, so that the client stays in step. Fails only with the channel.
io::Task<Result<void>> put_body(Output& out, MessageReader& reader, const FetchBody& body,
                                mime::Range range);

}  // namespace dormouse::imap
