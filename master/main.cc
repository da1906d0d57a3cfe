#include "master/cli.h"

// jemalloc reads this at its start. One arena: every role has one thread that allocates much (auth
// hashes in others, which allocate next to nothing), and each arena more holds back memory of its
// own. Freed pages go back after a second instead of ten, so that a burst of awake sessions does
// not stay in the resident set of a server that sleeps; without a background thread, which seccomp
// would not allow to start.
extern "C" {
const char* malloc_conf = "narenas:1,dirty_decay_ms:1000,muzzy_decay_ms:0,background_thread:false";
}

int main(int argc, char** argv) { return dormouse::master::run_command_line(argc, argv); }
