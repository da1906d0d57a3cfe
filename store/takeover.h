#pragma once
// A folder of the Maildir that the index does not know becomes a mailbox. Inside of the store.
//
//   marker = "1 G" 32HEXDIG " V" uid-validity LF     ; file dormouse.mailbox in the mailbox's
//   folder
//
// The marker is there so that an index built anew knows that UIDs were given out under that
// UIDVALIDITY: a dovecot-uidlist beside it is older than that and is not believed again.

#include <optional>
#include <string>
#include <string_view>

#include "io/result.h"
#include "store/index.h"
#include "store/state.h"

namespace dormouse::store {

struct Marker {
  Guid guid;
  uint32_t uid_validity = 0;
};
std::optional<Marker> parse_marker(std::string_view text);
std::string format_marker(const Marker& marker);

std::optional<Marker> read_marker(const std::string& directory);
// Best effort: without it (disk full) nothing is lost but the GUID of a mailbox whose index is
// lost.
void write_marker(const std::string& directory, const MailboxRow& row);

// `name` is canonical and its folder exists.
Result<MailboxRow> take_over(StoreState& state, const std::string& name);

// The special use that a mailbox of this name has unless told otherwise.
SpecialUse usual_special_use(std::string_view name);

}  // namespace dormouse::store
