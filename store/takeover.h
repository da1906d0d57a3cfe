#pragma once
// A folder of the Maildir that the index does not know becomes a mailbox. Inside of the store.

#include <optional>
#include <string>
#include <string_view>

#include "io/result.h"
#include "store/index.h"
#include "store/marker.h"
#include "store/state.h"

namespace dormouse::store {

std::optional<Marker> read_marker(const std::string& directory);
// Best effort: without it (disk full) nothing is lost but the GUID of a mailbox whose index is
// lost.
void write_marker(const std::string& directory, const MailboxRow& row);

// `name` is canonical and its folder exists.
Result<MailboxRow> take_over(StoreState& state, const std::string& name);

// The special use that a mailbox of this name has unless told otherwise.
SpecialUse usual_special_use(std::string_view name);

}  // namespace dormouse::store
