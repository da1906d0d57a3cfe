#include "role/idle_memory.h"

#include <fmt/format.h>
#include <jemalloc/jemalloc.h>

#include <cstdint>
#include <string>

namespace dormouse::role {
namespace {

constexpr uint64_t kLookMs = 1'000;
// Once nothing is due: a process that sleeps is not woken each second to find that it slept.
constexpr uint64_t kQuietLookMs = 8'000;
// In kLookMs. Keepalives of 15,000 sleepers allocate and free some 100 KiB a second: that is quiet.
// A purge costs a madvise per run of unused pages, so it is not worth less than this either.
constexpr uint64_t kQuietBytes = 512 * 1024;

// Bytes this thread has allocated and freed, together, since it began. 0: the allocator is another
// one, or keeps no such counters.
uint64_t moved_bytes() {
  uint64_t allocated = 0;
  uint64_t freed = 0;
  size_t length = sizeof allocated;
  if (mallctl("thread.allocated", &allocated, &length, nullptr, 0) != 0) return 0;
  length = sizeof freed;
  if (mallctl("thread.deallocated", &freed, &length, nullptr, 0) != 0) return 0;
  return allocated + freed;
}

void purge() {
  const std::string every_arena = fmt::format("arena.{}.purge", MALLCTL_ARENAS_ALL);
  (void)mallctl("thread.tcache.flush", nullptr, nullptr, nullptr, 0);
  (void)mallctl(every_arena.c_str(), nullptr, nullptr, nullptr, 0);
}

}  // namespace

io::Task<void> give_idle_memory_back(io::Loop& loop, const tuning::Pressure* level) {
  uint64_t before = moved_bytes();
  uint64_t since_purge = before;
  bool due = true;
  while (true) {
    bool watchful = due || *level >= tuning::Pressure::kPressed;
    uint64_t look_ms = watchful ? kLookMs : kQuietLookMs;
    if (!co_await loop.sleep(look_ms)) co_return;
    uint64_t now = moved_bytes();
    bool quiet = now - before < kQuietBytes * (look_ms / kLookMs);
    before = now;
    // A busy second makes a purge due; so does a long time of little.
    due = due || !quiet || now - since_purge >= 16 * kQuietBytes;
    bool pressed = *level >= tuning::Pressure::kPressed && now != since_purge;
    if ((!quiet || !due) && !pressed) continue;
    purge();
    due = false;
    since_purge = now;
  }
}

}  // namespace dormouse::role
