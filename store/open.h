#pragma once
// Opening the index, putting a damaged one aside, and what a power failure asks for. Inside of the
// store.

#include "io/result.h"
#include "store/state.h"

namespace dormouse::store {

// Opens or makes <root>/dormouse.index. A damaged one is put aside and a new one made.
Result<> open_index(StoreState& state);
// Moves the index that `state` has open (and its -wal, -shm) to dormouse.index.corrupt-<time>,
// unless another process has done it. Closes the database.
Result<> put_index_aside(StoreState& state);

}  // namespace dormouse::store
