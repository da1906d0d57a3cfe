#pragma once
// Memory that a busy moment needed and nobody uses any more goes back to the kernel. jemalloc lets
// unused pages decay only while something allocates; a role whose connections all sleep allocates
// next to nothing, and would keep them.

#include "io/loop.h"
#include "tuning/pressure_level.h"

namespace dormouse::role {

// Runs until its scope is cancelled: looks every second (every eight while there was nothing to
// give back), and gives back once little has been allocated or freed for that long. Costs two
// counter reads a look. While `level` is pressed or worse it does not wait for that: every second
// what is unused goes back.
io::Task<void> give_idle_memory_back(io::Loop& loop, const tuning::Pressure* level);

}  // namespace dormouse::role
