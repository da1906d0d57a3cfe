#pragma once
// Opening the index, putting a damaged one aside, and what a power failure asks for. Inside of the
// store.

#include "io/result.h"
#include "store/state.h"

namespace dormouse::store {

// Opens or makes <root>/dormouse.index. A damaged one is put aside and a new one made.
// `clean_boots`: store/boots.h.
Result<> open_index(StoreState& state, std::string_view clean_boots);
// Brings the WAL into the index when it is longer than kWalRestBytes (or the index was made by this
// opener), and cuts it to nothing. Two fsyncs: for when nobody waits. False: there was no need.
Result<bool> write_wal_back(StoreState& state);
// Moves the index that `state` has open (and its -wal, -shm) to dormouse.index.corrupt-<time>,
// unless another process has done it. Closes the database.
Result<> put_index_aside(StoreState& state);

}  // namespace dormouse::store
